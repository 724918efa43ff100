/**
 * The users table in memory. It belongs to the application: everything else only reads it, and
 * writes a copy of the status into it.
 *
 * This file has what `users.sql` does with it. Rows may be locked, may refuse a write, and the
 * table may be locked or gone, so every reader and writer must expect an error.
 *
 * @module
 */
import {
  COPY_LOCK_MS,
  COPY_PAUSE_MS,
  USERS_READ_LOCK_MS,
} from "../../src/postgres/limits.ts";
import type { Status } from "../../src/client/protocol/messages.ts";
import type { UserId } from "../../src/client/protocol/user_id.ts";
import type { MemoryDatabase } from "./memory_database.ts";
import {
  isSqlError,
  QUERY_CANCELED,
  SqlError,
  type Steps,
  Table,
  type Transaction,
} from "./memory_transaction.ts";

export interface UserRow {
  readonly username: string;
  readonly status: string;
}

/**
 * A trigger of the application on a user's row. `"refuses"` raises, `"keeps"` stores the old status,
 * `"is slow"` takes `SLOW_ROW_MS`, and `"waits"` waits for a lock of the application.
 */
export type Trigger = "refuses" | "keeps" | "is slow" | "waits";

export const SLOW_ROW_MS = 250;

export class UsersTable extends Table<UserId, UserRow> {
  readonly triggers = new Map<UserId, Trigger>();
  /** The file with the table's rows. There is none while the application has dropped the table. */
  readonly files = new Table<"users", number>("files");
  /** Rows of another table, which the trigger that waits has to lock. */
  readonly accounts = new Table<UserId, true>("accounts");

  constructor() {
    super("users");
    this.files.rows.set("users", 0);
  }
}

/** The users among `ids` that exist, with their names. */
export function* readUsers(
  db: MemoryDatabase,
  tx: Transaction,
  ids: readonly UserId[],
): Steps<[UserId, string][]> {
  yield* openUsers(db, tx, USERS_READ_LOCK_MS);
  return ids.flatMap((id) => {
    const row = tx.get(db.users, id);
    return row === undefined ? [] : [[id, row.username]];
  });
}

/** All rows that a statement sees, once it has the lock of the table. A copy of the table. */
export function* visibleUsers(
  db: MemoryDatabase,
  tx: Transaction,
  lockMs: number,
): Steps<ReadonlyMap<UserId, UserRow>> {
  yield* openUsers(db, tx, lockMs);
  return new Map(tx.entries(db.users));
}

/** Locks the table as every statement that names it does. Throws if it is locked, or gone. */
export function* openUsers(
  { users }: MemoryDatabase,
  tx: Transaction,
  lockMs = Infinity,
): Steps<void> {
  yield* tx.lockTable(users, "read", lockMs);
  if (tx.get(users.files, "users") === undefined) {
    throw new SqlError("42P01", "the users table does not exist");
  }
}

/** Copies the status as part of a write, within its time. What it leaves is due. */
export function* copyInTime(
  db: MemoryDatabase,
  tx: Transaction,
  online: readonly UserId[],
  offline: readonly UserId[],
  budgetMs: number,
): Steps<void> {
  if (!db.hasStatus) return;
  const startedAt = db.engine.now();
  const pausedUntil = tx.get(db.copyPause, "until") ?? -Infinity;
  let due: readonly UserId[] = [...online, ...offline];
  if (budgetMs > 0 && pausedUntil <= startedAt) {
    due = yield* copyStatus(db, tx, online, offline, budgetMs);
    const now = db.engine.now();
    if (now > startedAt + 3 * budgetMs) {
      yield* tx.lock(db.copyPause, "until", "no key update");
      tx.set(db.copyPause, "until", now + COPY_PAUSE_MS);
    }
  }
  yield;
  for (const id of due) {
    yield* tx.lock(db.presence, id, "no key update");
    const row = tx.get(db.presence, id);
    if (row !== undefined) tx.set(db.presence, id, { ...row, copyDue: true });
  }
}

/** Writes the status into the users table. Returns the ids that were not written. */
export function* copyStatus(
  db: MemoryDatabase,
  tx: Transaction,
  online: readonly UserId[],
  offline: readonly UserId[],
  budgetMs: number,
): Steps<UserId[]> {
  const ids = [...online, ...offline];
  const startedAt = db.engine.now();
  const leftMs = () => startedAt + budgetMs - db.engine.now();
  const due: UserId[] = [];
  let step = 1;
  let at = 0;
  while (at < ids.length && leftMs() > 0) {
    const isOnline = at < online.length;
    const end = Math.min(at + step, isOnline ? online.length : ids.length);
    const slice = ids.slice(at, end);
    const stepStartedAt = db.engine.now();
    try {
      const status = isOnline ? "online" : "offline";
      const written = yield* tx.subtransaction(() =>
        copyStep(db, tx, slice, status)
      );
      due.push(...slice.filter((id) => !written.has(id)));
    } catch (err) {
      if (!isSqlError(err)) throw err;
      if (err.code === QUERY_CANCELED) break;
      if (slice.length > 1) {
        step = Math.floor(slice.length / 2);
        continue;
      }
      due.push(...slice);
    }
    const stepMs = db.engine.now() - stepStartedAt;
    const rowMs = Math.max(stepMs / slice.length, 0.001);
    const most = Math.min(4 * slice.length, Math.floor(leftMs() / rowMs));
    step = Math.max(1, most);
    at = end;
  }
  return [...due, ...ids.slice(at)];
}

/** Writes one status into the rows that nobody has locked. Returns the ids whose rows now hold it. */
function* copyStep(
  db: MemoryDatabase,
  tx: Transaction,
  ids: readonly UserId[],
  status: Status,
): Steps<Set<UserId>> {
  yield* openUsers(db, tx, COPY_LOCK_MS);
  const free = ids.filter((id) =>
    tx.get(db.users, id) !== undefined &&
    tx.tryLock(db.users, id, "no key update") === "granted"
  );
  yield;
  const written = new Set<UserId>();
  for (const id of free) {
    const stored = yield* storeStatus(db, tx, id, status);
    if (stored === status) written.add(id);
  }
  return written;
}

/** Writes a status as the table's triggers want it. Returns what the row holds then. */
export function* storeStatus(
  { users, engine }: MemoryDatabase,
  tx: Transaction,
  id: UserId,
  status: string,
): Steps<string | undefined> {
  const trigger = users.triggers.get(id);
  if (trigger === "is slow") yield engine.sleep(SLOW_ROW_MS);
  if (trigger === "waits") {
    yield* tx.lock(users.accounts, id, "update", COPY_LOCK_MS);
  }
  if (trigger === "refuses") {
    throw new SqlError("P0001", `the row of user ${id} refuses`);
  }
  const row = tx.get(users, id);
  if (row === undefined || trigger === "keeps") return row?.status;
  tx.set(users, id, { ...row, status });
  return status;
}
