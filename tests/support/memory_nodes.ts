/**
 * Nodes and their leases in memory: `nodes.sql`.
 *
 * @module
 */
import type { NodeId, Transition } from "../../src/core/store/store.ts";
import {
  LEAVE_COPY_MS,
  SWEEP_LOCK_MS,
  WRITE_COPY_MS,
} from "../../src/postgres/limits.ts";
import type { UserId } from "../../src/client/protocol/user_id.ts";
import { writeClaims } from "./memory_claims.ts";
import type { MemoryDatabase, NodeRow } from "./memory_database.ts";
import { lockPresence, tryLockPresence } from "./memory_presence.ts";
import {
  isSqlError,
  LOCK_NOT_AVAILABLE,
  SqlError,
  type Steps,
  type Transaction,
} from "./memory_transaction.ts";

/** The node holds no lease. */
export const FENCED = "RC001";

export interface Swept {
  readonly transitions: Transition[];
  /** `"more"`: some claims may be left. */
  readonly rest: "none" | "more";
}

const NOTHING: Swept = { transitions: [], rest: "none" };

/** Throws unless the node holds a lease, and keeps it from being swept until the transaction ends. */
export function* requireLease(
  { nodes, engine }: MemoryDatabase,
  tx: Transaction,
  node: NodeId,
): Steps<void> {
  const holds = (row: NodeRow | undefined) =>
    row !== undefined && row.expiresAt > engine.now();
  const before = tx.get(nodes, node);
  if (holds(before)) {
    yield* tx.lock(nodes, node, "key share");
    const row = tx.get(nodes, node);
    // Postgres looks again only if the row changed while the lock was waited for.
    if (row === before || holds(row)) return;
  }
  throw new SqlError(FENCED, `node ${node} holds no lease`);
}

/** Makes a node known, with the claims of its predecessor, or else sweeps. */
export function* joinNode(
  db: MemoryDatabase,
  tx: Transaction,
  node: NodeId,
  leaseMs: number,
  heartbeatMs: number,
  predecessor: NodeId | undefined,
  most: number,
): Steps<Transition[]> {
  const { nodes, presence, writes, engine } = db;
  yield* tx.lock(nodes, node, "update");
  if (tx.get(nodes, node) !== undefined) {
    throw new SqlError("23505", `node ${node} exists`);
  }
  const renewedAt = engine.now();
  tx.set(nodes, node, {
    ...{ expiresAt: renewedAt + leaseMs, renewedAt, heartbeatMs },
    leaving: false,
  });
  tx.set(writes, node, 0);
  yield;
  if (predecessor === undefined) {
    return (yield* sweepNodes(db, tx, node, most, leaseMs)).transitions;
  }
  if (tx.get(nodes, predecessor) !== undefined) {
    yield* tx.lock(nodes, predecessor, "update");
  }
  yield;
  yield* lockPresence(db, tx, claimsOf(db, tx, [predecessor]));
  yield;
  for (const id of claimsOf(db, tx, [predecessor])) {
    const row = tx.get(presence, id);
    if (row === undefined) continue;
    tx.set(presence, id, {
      ...row,
      nodes: row.nodes.map((one) => one === predecessor ? node : one),
    });
  }
  yield;
  tx.delete(nodes, predecessor);
  tx.delete(writes, predecessor);
  return [];
}

/** Renews the lease, and does nothing else. */
export function* renew(
  { nodes, engine }: MemoryDatabase,
  tx: Transaction,
  node: NodeId,
  leaseMs: number,
): Steps<void> {
  const isRenewable = (row: NodeRow | undefined) =>
    row !== undefined && row.expiresAt > engine.now() && !row.leaving;
  const before = tx.get(nodes, node);
  if (isRenewable(before)) {
    yield* tx.lock(nodes, node, "no key update");
    const row = tx.get(nodes, node);
    if (row !== undefined && (row === before || isRenewable(row))) {
      const renewedAt = engine.now();
      tx.set(nodes, node, {
        ...{ ...row, renewedAt, expiresAt: renewedAt + leaseMs },
      });
      return;
    }
  }
  throw new SqlError(FENCED, `node ${node} holds no lease`);
}

/** Ends a node. If no other lives, every claim of nodes that ended or left is released. */
export function* leaveNode(
  db: MemoryDatabase,
  tx: Transaction,
  node: NodeId,
  handoverMs: number,
): Steps<void> {
  const { nodes, locks, engine } = db;
  yield* tx.lock(locks, "leave", "update");
  yield;
  const own = tx.get(nodes, node);
  // A database that stood still kept every node from renewing, also this one.
  const counted = Math.min(
    engine.now(),
    own === undefined ? Infinity : own.renewedAt + own.heartbeatMs,
  );
  const lives = ([id, row]: [NodeId, NodeRow]) =>
    id !== node && !row.leaving &&
    row.renewedAt > counted - 2 * row.heartbeatMs;
  yield;
  if (tx.entries(nodes).some(lives)) {
    yield;
    if (own === undefined) return;
    yield* tx.lock(nodes, node, "no key update");
    const row = tx.get(nodes, node);
    if (row === undefined) return;
    const expiresAt = engine.now() + handoverMs;
    tx.set(nodes, node, { ...row, expiresAt, leaving: true });
    return;
  }
  yield;
  const gone: NodeId[] = [];
  for (const [id] of matchingNodes(db, tx, (_, row) => row !== undefined)) {
    yield* tx.lock(nodes, id, "update");
    if (tx.get(nodes, id) !== undefined) gone.push(id);
  }
  yield;
  yield* releaseNodes(db, tx, gone, Infinity, LEAVE_COPY_MS);
}

/** Releases up to `most` claims of nodes whose lease ended. */
export function* sweepNodes(
  db: MemoryDatabase,
  tx: Transaction,
  node: NodeId,
  most: number,
  sparedMs = 0,
): Steps<Swept> {
  const { nodes, engine } = db;
  yield* requireLease(db, tx, node);
  yield;
  const isGone = (_id: NodeId, row: NodeRow | undefined) =>
    row !== undefined &&
    row.expiresAt <= engine.now() - (row.leaving ? 0 : sparedMs);
  const gone: NodeId[] = [];
  for (const [id] of matchingNodes(db, tx, isGone)) {
    if (tx.tryLock(nodes, id, "update") === "taken") continue;
    if (isGone(id, tx.get(nodes, id))) gone.push(id);
  }
  yield;
  if (gone.length === 0) return NOTHING;
  return yield* releaseNodes(db, tx, gone, most, WRITE_COPY_MS);
}

/**
 * Releases up to `most` claims of nodes whose rows are locked, first of users whose rows nobody has
 * locked. Forgets nodes without a claim.
 */
function* releaseNodes(
  db: MemoryDatabase,
  tx: Transaction,
  gone: readonly NodeId[],
  most: number,
  copyMs: number,
): Steps<Swept> {
  const held = most === Infinity
    ? claimsOf(db, tx, gone)
    : yield* lockClaims(db, tx, gone, most);
  yield;
  const transitions = yield* writeClaims(
    ...[db, tx, undefined, [], held ?? [], gone, copyMs] as const,
  );
  yield;
  if (held !== undefined && claimsOf(db, tx, gone).length > 0) {
    return { transitions, rest: "more" };
  }
  for (const nodeId of gone) {
    if (claimsOf(db, tx, [nodeId]).length > 0) continue;
    tx.delete(db.nodes, nodeId);
    tx.delete(db.writes, nodeId);
  }
  return { transitions, rest: "none" };
}

/** Locks claims that nobody has locked, or waits for one. `undefined`: the time for that is over. */
function* lockClaims(
  db: MemoryDatabase,
  tx: Transaction,
  gone: readonly NodeId[],
  most: number,
): Steps<UserId[] | undefined> {
  const free: UserId[] = [];
  for (const id of claimsOf(db, tx, gone)) {
    if (free.length === most) break;
    if (tryLockPresence(db, tx, id) === "granted") free.push(id);
  }
  const [first] = claimsOf(db, tx, gone);
  if (free.length > 0 || first === undefined) return free;
  yield;
  try {
    yield* tx.subtransaction(() =>
      tx.lock(db.presence, first, "update", SWEEP_LOCK_MS)
    );
  } catch (err) {
    if (isSqlError(err) && err.code === LOCK_NOT_AVAILABLE) return undefined;
    throw err;
  }
  return claimsOf(db, tx, gone).filter((id) => id === first);
}

/** The users with a claim of one of these nodes, ids ascending. */
export function claimsOf(
  { presence, compareIds }: MemoryDatabase,
  tx: Transaction,
  nodes: readonly NodeId[],
): UserId[] {
  return tx.entries(presence)
    .filter(([, row]) => row.nodes.some((nodeId) => nodes.includes(nodeId)))
    .map(([id]) => id)
    .sort(compareIds);
}

function matchingNodes(
  { nodes }: MemoryDatabase,
  tx: Transaction,
  matches: (id: NodeId, row: NodeRow | undefined) => boolean,
): [NodeId, NodeRow][] {
  return tx.entries(nodes)
    .filter(([id, row]) => matches(id, row))
    .sort(([a], [b]) => a < b ? -1 : 1);
}
