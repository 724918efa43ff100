/**
 * The memberships of the application of a simulation: it puts users into groups and takes them out.
 *
 * It remembers what was true when, so that a check can ask. Each of its statements is a transaction
 * beside those of the nodes. What a node makes of it is not known here.
 *
 * @module
 */
import type { UserId } from "../../src/client/protocol/user_id.ts";
import type { FakeClock } from "./fake_clock.ts";
import type { MemoryDatabase } from "./memory_database.ts";
import {
  changeMembership,
  groupsChanged,
  type MembershipsTable,
} from "./memory_groups.ts";
import type { Steps, Transaction } from "./memory_transaction.ts";

/** `set`: into these groups and no others. */
export interface MembershipChange {
  readonly userId: UserId;
  readonly how: "join" | "leave" | "set";
  readonly groups: readonly string[];
}

/** From a moment on a user is in these groups, sorted. */
interface Membership {
  readonly at: number;
  readonly userId: UserId;
  readonly groups: readonly string[];
}

export class SimMemberships {
  readonly #database: MemoryDatabase;
  readonly #table: MembershipsTable;
  readonly #clock: FakeClock;
  #unlock = Promise.withResolvers<void>();
  /** Statements that have not ended. */
  readonly #running = new Set<Promise<void>>();
  readonly #past: Membership[] = [];
  /** How often the database was restarted when the table was locked. A restart ends the lock. */
  #lockedAtRestart: number | undefined;
  /** Statements that lock the whole table, or wait for that. Behind them no read begins. */
  #exclusive = 0;
  /** When it was last seen that a read could fail. */
  #unreadableAt = -Infinity;

  constructor(
    database: MemoryDatabase,
    table: MembershipsTable,
    clock: FakeClock,
  ) {
    this.#database = database;
    this.#table = table;
    this.#clock = clock;
    database.observers.add((tx) => {
      for (const [userId, groups] of tx.changed(table)) {
        this.#record(userId, groups ?? []);
      }
    });
  }

  /** Changes memberships in one transaction, which names their users or not. */
  change(
    changes: readonly MembershipChange[],
    naming: "named" | "silent",
  ): void {
    const [db, table] = [this.#database, this.#table];
    const users = [...new Set(changes.map(({ userId }) => userId))];
    void this.#run(function* (tx) {
      for (const userId of users.sort(db.compareIds)) {
        const own = changes.filter((change) => change.userId === userId);
        yield* tx.lockTable(table, "read");
        yield* tx.lock(table, userId, "no key update");
        const groups = own.reduce(changed, tx.get(table, userId) ?? []);
        yield* changeMembership(db, tx, userId, groups, "silent");
      }
      if (naming === "named") groupsChanged(db, tx, users);
    });
  }

  /** Names users whose groups have not changed. */
  name(userIds: readonly UserId[]): void {
    const db = this.#database;
    // deno-lint-ignore require-yield -- one statement, which waits for nothing
    void this.#run(function* (tx) {
      groupsChanged(db, tx, userIds);
    });
  }

  /** Locks the whole table until `unlock`. */
  lock(): void {
    const unlocked = this.#unlock.promise;
    const { engine } = this.#database;
    const begin = () => {
      if (this.#unlock.promise !== unlocked) return;
      this.#lockedAtRestart = engine.restarts;
    };
    this.#runAlone(function* () {
      begin();
      yield unlocked;
    });
  }

  unlock(): void {
    this.#lockedAtRestart = undefined;
    this.#unlock.resolve();
    this.#unlock = Promise.withResolvers();
  }

  /** Drops the table, and makes it again with the same rows after a while. */
  drop(ms: number): void {
    const table = this.#table;
    // deno-lint-ignore require-yield -- one statement
    this.#runAlone(function* (tx) {
      tx.delete(table.files, "memberships");
    });
    this.#clock.after(ms, () => this.#makeTable());
  }

  /** Gives everything back. Resolves after that. */
  async stop(): Promise<void> {
    this.unlock();
    await Promise.allSettled(this.#running);
    this.#makeTable();
    await Promise.allSettled(this.#running);
  }

  /** Another database took over, with the rows that it has. */
  lost(): void {
    for (const userId of new Set(this.#past.map(({ userId }) => userId))) {
      this.#record(userId, this.#table.rows.get(userId) ?? []);
    }
    this.#unreadableAt = this.#clock.now();
  }

  get isReadable(): boolean {
    const { engine } = this.#database;
    const isLocked = this.#lockedAtRestart === engine.restarts;
    return !isLocked && this.#table.files.rows.has("memberships");
  }

  /** Whether the table could be read all the time since then. */
  wasReadableSince(since: number): boolean {
    this.#note();
    return this.#unreadableAt < since;
  }

  /** The groups of a user now, sorted. */
  groupsOf(userId: UserId): readonly string[] {
    return this.#past.findLast((one) => one.userId === userId)?.groups ?? [];
  }

  /** Each set of groups that a user had at some moment since then. */
  groupsSince(userId: UserId, since: number): (readonly string[])[] {
    const own = this.#past.filter((one) => one.userId === userId);
    const later = own.filter(({ at }) => at >= since);
    const first = own[own.length - later.length - 1]?.groups ?? [];
    return [first, ...later.map(({ groups }) => groups)];
  }

  /** Whether a user is, or was since then, in more groups than allowed. */
  wasInTooMany(userId: UserId, since: number): boolean {
    return this.groupsSince(userId, since)
      .some(({ length }) => length > this.#table.groupsMax);
  }

  #record(userId: UserId, groups: readonly string[]): void {
    const sorted = [...new Set(groups)].sort();
    this.#past.push({ at: this.#clock.now(), userId, groups: sorted });
  }

  #note(): void {
    if (this.#exclusive > 0 || !this.isReadable) {
      this.#unreadableAt = this.#clock.now();
    }
  }

  #makeTable(): void {
    const table = this.#table;
    if (table.files.rows.has("memberships")) return;
    // deno-lint-ignore require-yield -- one statement
    this.#runAlone(function* (tx) {
      tx.set(table.files, "memberships", 0);
    });
  }

  /** Runs a transaction that has locked the whole table. */
  #runAlone(body: (transaction: Transaction) => Steps<void>): void {
    const table = this.#table;
    this.#exclusive += 1;
    const running = this.#run(function* (tx) {
      yield* tx.lockTable(table, "exclusive");
      yield* body(tx);
    });
    void running.finally(() => {
      this.#note();
      this.#exclusive -= 1;
    });
  }

  /** What fails, for example because the database was restarted, is not tried again. */
  #run(body: (transaction: Transaction) => Steps<void>): Promise<void> {
    const running = this.#database.engine.execute(body, Infinity)
      .catch(() => {})
      .finally(() => this.#running.delete(running));
    this.#running.add(running);
    return running;
  }
}

function changed(
  groups: readonly string[],
  { how, groups: others }: MembershipChange,
): readonly string[] {
  switch (how) {
    case "join":
      return [...new Set([...groups, ...others])];
    case "leave":
      return groups.filter((group) => !others.includes(group));
    case "set":
      return others;
  }
}
