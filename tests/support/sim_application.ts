/**
 * The application of a simulation. The users table is its own, and it does with it what it wants.
 *
 * Each of its statements is a transaction beside those of the nodes: it waits for their locks, and
 * they meet its locks. What a node makes of it is not known here.
 *
 * @module
 */
import type { UserId } from "../../src/client/protocol/user_id.ts";
import type { FakeClock } from "./fake_clock.ts";
import type { MemoryDatabase } from "./memory_database.ts";
import type { Steps, Transaction } from "./memory_transaction.ts";
import {
  openUsers,
  storeStatus,
  type Trigger,
  type UsersTable,
} from "./memory_users.ts";

export class SimApplication {
  readonly #database: MemoryDatabase;
  readonly #clock: FakeClock;
  #unlock = Promise.withResolvers<void>();
  #renames = 0;
  /** Statements that have not ended. */
  readonly #running = new Set<Promise<void>>();
  /** When a user's row was last not there: `Infinity` if it is not there now. */
  readonly #absentAt = new Map<UserId, number>();
  /** When a user's row was last deleted. */
  readonly #deletedAt = new Map<UserId, number>();

  constructor(database: MemoryDatabase, clock: FakeClock) {
    this.#database = database;
    this.#clock = clock;
    database.observers.add((transaction) => {
      for (const [id, row] of transaction.changed(database.users)) {
        if (row === undefined) {
          this.#absentAt.set(id, Infinity);
          this.#deletedAt.set(id, clock.now());
        } else if (!database.users.rows.has(id)) {
          this.#absentAt.set(id, clock.now());
        }
      }
    });
  }

  /** Another database took over, which lacks these rows. */
  lost(before: Iterable<UserId>): void {
    for (const id of before) {
      if (this.#database.users.rows.has(id)) continue;
      this.#absentAt.set(id, Infinity);
      this.#deletedAt.set(id, this.#clock.now());
    }
  }

  /** Whether the user's row was there all the time since then. */
  wasThereSince(userId: UserId, since: number): boolean {
    const { rows } = this.#database.users;
    return rows.has(userId) && (this.#absentAt.get(userId) ?? -1) < since;
  }

  /** Whether the user's row was deleted then or later. */
  wasDeletedSince(userId: UserId, since: number): boolean {
    return (this.#deletedAt.get(userId) ?? -1) >= since;
  }

  /** Writes a status, as if the column were its own. */
  setStatus(userId: UserId, status: string): void {
    this.#run((tx) => this.#write(tx, userId, status));
  }

  /** Reads a user's row, and saves the whole of it after a while, as an object mapper does. */
  save(userId: UserId, afterMs: number): void {
    const row = this.#database.users.rows.get(userId);
    if (row === undefined) return;
    this.#clock.after(afterMs, () => this.setStatus(userId, row.status));
  }

  rename(userId: UserId): void {
    const { users } = this.#database;
    const username = `renamed${this.#renames += 1}`;
    this.#run(function* (tx) {
      yield* tx.lock(users, userId, "no key update");
      const row = tx.get(users, userId);
      if (row !== undefined) tx.set(users, userId, { ...row, username });
    });
  }

  delete(userId: UserId): void {
    const { users } = this.#database;
    this.#run(function* (tx) {
      yield* tx.lock(users, userId, "update");
      if (tx.get(users, userId) !== undefined) tx.delete(users, userId);
    });
  }

  create(userId: UserId): void {
    const { users } = this.#database;
    this.#run(function* (tx) {
      yield* tx.lock(users, userId, "update");
      if (tx.get(users, userId) !== undefined) return;
      tx.set(users, userId, { username: `user${userId}`, status: "offline" });
    });
  }

  /** Locks a user's row until `unlock`. */
  lockRow(userId: UserId): void {
    const { users } = this.#database;
    const unlocked = this.#unlock.promise;
    this.#run(function* (tx) {
      yield* tx.lock(users, userId, "update");
      yield unlocked;
    });
  }

  /** Locks the whole table until `unlock`. */
  lockTable(): void {
    const { users } = this.#database;
    const unlocked = this.#unlock.promise;
    this.#run(function* (tx) {
      yield* tx.lockTable(users, "exclusive");
      yield unlocked;
    });
  }

  unlock(): void {
    this.#unlock.resolve();
    this.#unlock = Promise.withResolvers();
  }

  /** Truncates the table and fills it again, in one transaction that takes a while. */
  refill(ms: number): void {
    const { users, engine } = this.#database;
    this.#run(function* (tx) {
      yield* tx.lockTable(users, "exclusive");
      yield engine.sleep(ms);
      refillTable(tx, users);
    });
  }

  /** Drops the table, and makes it again after a while. */
  recreate(ms: number): void {
    const { users } = this.#database;
    this.#run(function* (tx) {
      yield* tx.lockTable(users, "exclusive");
      tx.delete(users.files, "users");
    });
    this.#clock.after(ms, () => this.#makeTable());
  }

  /** The table gets a trigger on a user's row. */
  setTrigger(userId: UserId, trigger: Trigger): void {
    const { users } = this.#database;
    users.triggers.set(userId, trigger);
    if (trigger !== "waits") return;
    const unlocked = this.#unlock.promise;
    this.#run(function* (tx) {
      yield* tx.lock(users.accounts, userId, "update");
      yield unlocked;
    });
  }

  /**
   * Gives everything back: locks, triggers, and when its statements have ended, the table. Resolves
   * after that.
   */
  async stop(): Promise<void> {
    this.unlock();
    this.#database.users.triggers.clear();
    await Promise.allSettled(this.#running);
    this.#makeTable();
    await Promise.allSettled(this.#running);
  }

  #makeTable(): void {
    const { users } = this.#database;
    this.#run(function* (tx) {
      yield* tx.lockTable(users, "exclusive");
      if (tx.get(users.files, "users") !== undefined) return;
      refillTable(tx, users);
    });
  }

  *#write(tx: Transaction, userId: UserId, status: string): Steps<void> {
    const { users } = this.#database;
    yield* openUsers(this.#database, tx);
    yield* tx.lock(users, userId, "no key update");
    yield* storeStatus(this.#database, tx, userId, status);
  }

  /** What fails, for example because the database was restarted, is not tried again. */
  #run(body: (transaction: Transaction) => Steps<void>): void {
    const running = this.#database.engine.execute(body, Infinity)
      .catch(() => {})
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
  }
}

let files = 0;

/** The same users in a new file, with the default status. */
function refillTable(tx: Transaction, users: UsersTable): void {
  files += 1;
  tx.set(users.files, "users", files);
  for (const [id, row] of tx.entries(users)) {
    tx.set(users, id, { ...row, status: "offline" });
  }
}
