/**
 * Changes of groups of users who are online, in memory: those that the application names, and
 * those that the sweep finds.
 *
 * Rows of presence are locked before groups are read, by a statement of its own. So whoever
 * writes last has read last, and a queue entry of a transaction that is committed is never
 * compared with what was before it.
 *
 * @module
 */
import type {
  NodeId,
  Regrouped,
  Transition,
} from "../../src/core/store/store.ts";
import { WRITE_COPY_MS } from "../../src/postgres/limits.ts";
import type { UserId } from "../../src/client/protocol/user_id.ts";
import { writeClaims } from "./memory_claims.ts";
import type { MemoryDatabase } from "./memory_database.ts";
import { isSame, readGroups, writeGroups } from "./memory_groups.ts";
import { requireLease } from "./memory_nodes.ts";
import { lockPresence, tryLockPresence } from "./memory_presence.ts";
import { slice, takePosition } from "./memory_sweep.ts";
import {
  SqlError,
  type Steps,
  type Transaction,
} from "./memory_transaction.ts";

const NOTHING: Regrouped = { transitions: [], isMore: false };

/** Compares the groups of at most `most` users that the application named. */
export function* regroup(
  db: MemoryDatabase,
  tx: Transaction,
  node: NodeId,
  most: number,
): Steps<Regrouped> {
  if (db.memberships === undefined) return NOTHING;
  yield* requireLease(db, tx, node);
  yield;
  const due = lockDue(db, tx, most);
  if (due.rests.size === 0) return NOTHING;
  yield;
  yield* waitForWrites(db, tx);
  yield;
  const online = due.ids.filter((id) =>
    (tx.get(db.presence, id)?.nodes.length ?? 0) > 0
  );
  yield* lockPresence(db, tx, online);
  yield;
  const transitions = yield* regroupLocked(db, tx, online);
  if (transitions === undefined) return NOTHING;
  for (const [dueId, rest] of due.rests) {
    if (rest.length === 0) tx.delete(db.groupsDue, dueId);
    else tx.set(db.groupsDue, dueId, rest);
  }
  return { transitions, isMore: due.isMore };
}

const UNLOCK = new SqlError("RC003", "unlock");

/**
 * Waits for the writes of all nodes that are under way. They may have read the groups before the
 * application changed them, for users who seem to be offline until the write is committed.
 */
function* waitForWrites(
  { writes }: MemoryDatabase,
  tx: Transaction,
): Steps<void> {
  const nodes = tx.entries(writes).map(([node]) => node).sort();
  for (const node of nodes) {
    try {
      yield* tx.subtransaction(function* () {
        yield* tx.lock(writes, node, "update");
        throw UNLOCK;
      });
    } catch (err) {
      if (err !== UNLOCK) throw err;
    }
  }
}

interface Due {
  readonly ids: UserId[];
  /** What stays of each row of the queue. */
  readonly rests: Map<number, readonly UserId[]>;
  readonly isMore: boolean;
}

/** Locks rows of the queue that nobody has locked, with up to `most` ids. */
function lockDue(
  { groupsDue }: MemoryDatabase,
  tx: Transaction,
  most: number,
): Due {
  const ids: UserId[] = [];
  const rests: Due["rests"] = new Map();
  for (
    const [dueId, named] of tx.entries(groupsDue).sort(([a], [b]) => a - b)
  ) {
    if (ids.length === most) return { ids, rests, isMore: true };
    if (tx.tryLock(groupsDue, dueId, "update") === "taken") continue;
    const taken = named.slice(0, most - ids.length);
    ids.push(...taken);
    rests.set(dueId, named.slice(taken.length));
    if (taken.length < named.length) return { ids, rests, isMore: true };
  }
  return { ids, rests, isMore: false };
}

/** How many slices of `most` users each sweep compares, so that eight sweeps compare all who are online. */
export function countGroupSlices(db: MemoryDatabase, most: number): number {
  return 1 + Math.floor(db.onlineIds().length / (8 * most));
}

/** Compares a slice of the users who are online. */
export function* sweepGroups(
  db: MemoryDatabase,
  tx: Transaction,
  node: NodeId,
  most: number,
): Steps<Transition[]> {
  const place = takePosition(db, tx);
  if (place === undefined) return [];
  yield;
  yield* requireLease(db, tx, node);
  yield;
  const online = tx.entries(db.presence)
    .flatMap(([id, { nodes }]) => nodes.length > 0 ? [id] : []);
  const { ids, next } = slice(db, online, place.groupsAfter, most);
  yield;
  const found = yield* readGroups(db, tx, ids);
  if (found === undefined) return [];
  yield;
  tx.set(db.sweepPosition, "row", { ...place, groupsAfter: next });
  const free = ids.filter((id) =>
    !isSame(tx.get(db.presence, id)?.groups, found.get(id)) &&
    tryLockPresence(db, tx, id) === "granted"
  );
  yield;
  const transitions = yield* regroupLocked(db, tx, free);
  return transitions ?? [];
}

/** Takes over the groups of users whose rows are locked. `undefined`: they cannot be read. */
function* regroupLocked(
  db: MemoryDatabase,
  tx: Transaction,
  ids: readonly UserId[],
): Steps<Transition[] | undefined> {
  const nodesOf = (id: UserId) => tx.get(db.presence, id)?.nodes ?? [];
  const online = [...new Set(ids)].filter((id) => nodesOf(id).length > 0);
  if (online.length === 0) return [];
  const found = yield* readGroups(db, tx, online);
  if (found === undefined) return undefined;
  yield;
  const regrouped = writeGroups(db, tx, online, found);
  const overgrouped = online.filter((id) => found.get(id) === "too many");
  const nodes = overgrouped.flatMap(nodesOf);
  return yield* writeClaims(
    ...[db, tx, undefined, [], overgrouped, nodes, WRITE_COPY_MS] as const,
    regrouped,
  );
}
