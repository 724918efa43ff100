/**
 * The application's memberships in memory: which user is in which groups.
 *
 * This file has what `groups.sql` does with the relation, which is locked and dropped as the
 * users table is: every reader must expect an error.
 *
 * @module
 */
import { USERS_READ_LOCK_MS } from "../../src/postgres/limits.ts";
import type { UserId } from "../../src/client/protocol/user_id.ts";
import type { MemoryDatabase } from "./memory_database.ts";
import { deleteUnseen } from "./memory_presence.ts";
import {
  isSqlError,
  SqlError,
  type Steps,
  Table,
  type Transaction,
} from "./memory_transaction.ts";

/** Characters of a group's id. */
export const GROUP_LENGTH_MAX = 128;

/** A user's groups, in any order, also twice. A user without a row is in no group. */
export class MembershipsTable extends Table<UserId, readonly string[]> {
  /** The file with the table's rows. There is none while the application has dropped the table. */
  readonly files = new Table<"memberships", number>("files");
  /** When the token was issued from which a row is. */
  readonly issuedAt = new Table<UserId, number>("issued_at");
  /** Groups that a user may be in. */
  readonly groupsMax: number;

  constructor(groupsMax = 100) {
    super("memberships");
    this.groupsMax = groupsMax;
    this.files.rows.set("memberships", 0);
  }
}

export type Groups = readonly string[] | undefined;

/** Sorted, each once. `undefined`: groups are not configured. */
export type FoundGroups = ReadonlyMap<UserId, Groups | "too many">;

/** A user who is online, and the groups before they changed. */
export type Regrouping = readonly [UserId, Groups];

/** The application puts a user into other groups, and names the user or not. */
export function* changeMembership(
  db: MemoryDatabase,
  tx: Transaction,
  userId: UserId,
  groups: readonly string[],
  naming: "named" | "silent",
): Steps<void> {
  const { memberships } = db;
  if (memberships === undefined) return;
  yield* tx.lockTable(memberships, "read");
  yield* tx.lock(memberships, userId, "no key update");
  tx.set(memberships, userId, groups);
  if (naming === "named") groupsChanged(db, tx, [userId]);
}

/** The application names users whose groups its transaction has changed. It waits for nothing. */
export function groupsChanged(
  db: MemoryDatabase,
  tx: Transaction,
  ids: readonly UserId[],
): void {
  if (db.memberships === undefined || ids.length === 0) return;
  tx.set(db.groupsDue, db.nextDueId(), [...ids]);
  tx.notify("groups");
}

/** The groups of users. Nothing is held of a read that failed: `undefined`. */
export function* readGroups(
  { memberships }: MemoryDatabase,
  tx: Transaction,
  ids: readonly UserId[],
): Steps<FoundGroups | undefined> {
  if (memberships === undefined) return new Map();
  try {
    return yield* tx.subtransaction(function* () {
      yield* tx.lockTable(memberships, "read", USERS_READ_LOCK_MS);
      if (tx.get(memberships.files, "memberships") === undefined) {
        throw new SqlError("42P01", "the memberships do not exist");
      }
      return new Map(ids.map((id) => {
        const groups = new Set(tx.get(memberships, id));
        const isTooMany = groups.size > memberships.groupsMax ||
          [...groups].some((group) => [...group].length > GROUP_LENGTH_MAX);
        return [id, isTooMany ? "too many" : [...groups].sort()];
      }));
    });
  } catch (err) {
    if (!isSqlError(err)) throw err;
    return undefined;
  }
}

/** Whether two sorted lists have the same groups. */
export function isSame(one: Groups, other: Groups | "too many"): boolean {
  if (one === undefined || !Array.isArray(other)) return one === other;
  return one.length === other.length &&
    one.every((group, at) => group === other[at]);
}

/** Takes over the groups of users whose rows are locked. Returns those who are online, and changed. */
export function writeGroups(
  { presence }: MemoryDatabase,
  tx: Transaction,
  ids: readonly UserId[],
  found: FoundGroups,
): Regrouping[] {
  return ids.flatMap((id): Regrouping[] => {
    const row = tx.get(presence, id);
    const groups = found.get(id);
    if (row === undefined || groups === "too many") return [];
    if (isSame(row.groups, groups)) return [];
    tx.set(presence, id, { ...row, groups });
    return row.nodes.length > 0 ? [[id, row.groups]] : [];
  });
}

export interface Grouped {
  /** Users who are online, and in other groups now. */
  readonly regrouped: Regrouping[];
  readonly ungrouped: UserId[];
  readonly overgrouped: UserId[];
}

/** Takes over the groups of users who arrive, whose rows are locked. */
export function* groupArriving(
  db: MemoryDatabase,
  tx: Transaction,
  arriving: readonly UserId[],
): Steps<Grouped> {
  const found = yield* readGroups(db, tx, arriving);
  yield;
  const ungrouped = found !== undefined
    ? []
    : arriving.filter((id) => tx.get(db.presence, id)?.nodes.length === 0);
  const overgrouped = arriving.filter((id) => found?.get(id) === "too many");
  const regrouped = writeGroups(
    db,
    tx,
    found === undefined ? [] : arriving,
    found ?? new Map(),
  );
  deleteUnseen(db, tx, [...ungrouped, ...overgrouped]);
  return { regrouped, ungrouped, overgrouped };
}

/** Newer tokens replace the groups of their users. */
export function* setTokenGroups(
  { memberships, compareIds }: MemoryDatabase,
  tx: Transaction,
  entries: readonly {
    readonly userId: UserId;
    readonly groups: readonly string[];
    readonly issuedAt: number;
  }[],
): Steps<void> {
  if (memberships === undefined) return;
  yield* tx.lockTable(memberships, "read");
  const sorted = entries.toSorted((a, b) => compareIds(a.userId, b.userId));
  for (const { userId, groups, issuedAt } of sorted) {
    yield* tx.lock(memberships, userId, "no key update");
    const before = tx.get(memberships.issuedAt, userId) ?? -Infinity;
    if (issuedAt < before) continue;
    tx.set(memberships.issuedAt, userId, issuedAt);
    tx.set(memberships, userId, groups);
  }
}
