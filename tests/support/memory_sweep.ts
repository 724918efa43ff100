/**
 * The sweep in memory: `sweep.sql`, and pruning.
 *
 * @module
 */
import type { NodeId, Transition } from "../../src/core/store/store.ts";
import {
  SWEEP_COPY_MS,
  USERS_READ_LOCK_MS,
} from "../../src/postgres/limits.ts";
import type { UserId } from "../../src/client/protocol/user_id.ts";
import { writeClaims } from "./memory_claims.ts";
import type { MemoryDatabase, SweepPosition } from "./memory_database.ts";
import { requireLease } from "./memory_nodes.ts";
import { tryLockPresence } from "./memory_presence.ts";
import {
  isSqlError,
  type Steps,
  type Transaction,
} from "./memory_transaction.ts";
import { copyStatus, readUsers, visibleUsers } from "./memory_users.ts";

/** Takes the row of the sweep's positions. `undefined`: another node sweeps. */
export function takePosition(
  { sweepPosition }: MemoryDatabase,
  tx: Transaction,
): SweepPosition | undefined {
  return tx.tryLock(sweepPosition, "row", "update") === "granted"
    ? tx.get(sweepPosition, "row")
    : undefined;
}

/** Whether to sweep: no node of the cluster began a sweep within `pauseMs`, or is in one. */
// deno-lint-ignore require-yield -- one statement, which waits for nothing
export function* beginSweep(
  db: MemoryDatabase,
  tx: Transaction,
  pauseMs: number,
): Steps<boolean> {
  const now = db.engine.now();
  const { sweptAt } = tx.get(db.sweepPosition, "row") ?? { sweptAt: -Infinity };
  // Two sweeps in a row have different times in Postgres.
  if (sweptAt > now - pauseMs && sweptAt <= now) return false;
  const place = takePosition(db, tx);
  if (place === undefined) return false;
  tx.set(db.sweepPosition, "row", { ...place, sweptAt: now });
  return true;
}

/** The first `most` ids after a place, ascending, and the place after them. */
export function slice(
  { compareIds }: MemoryDatabase,
  ids: readonly UserId[],
  after: UserId | undefined,
  most: number,
): { ids: UserId[]; next: UserId | undefined } {
  const found = ids
    .filter((id) => after === undefined || compareIds(id, after) > 0)
    .sort(compareIds)
    .slice(0, most);
  return { ids: found, next: found.length === most ? found.at(-1) : undefined };
}

/** One slice of each pass. */
export function* sweepUsers(
  db: MemoryDatabase,
  tx: Transaction,
  node: NodeId,
  most: number,
): Steps<Transition[]> {
  const { presence, sweepPosition } = db;
  const place = takePosition(db, tx);
  if (place === undefined) return [];
  yield;
  yield* requireLease(db, tx, node);
  yield;
  const passes = function* (): Steps<[UserId[], SweepPosition]> {
    const online = slice(
      ...[db, idsWhere(db, tx, (row) => row.nodes.length > 0)] as const,
      ...[place.onlineAfter, most] as const,
    );
    yield;
    const gone = yield* compareUsers(db, tx, online.ids);
    const seen = slice(
      ...[db, tx.entries(presence).map(([id]) => id)] as const,
      ...[place.seenAfter, most] as const,
    );
    yield;
    gone.push(...yield* compareUsers(db, tx, seen.ids));
    const next = { onlineAfter: online.next, seenAfter: seen.next };
    return [gone, { ...place, ...next }];
  };
  let result: [UserId[], SweepPosition];
  try {
    result = yield* tx.subtransaction(passes);
  } catch (err) {
    if (!isSqlError(err)) throw err;
    return [];
  }
  const [gone, position] = result;
  let { usersAfter } = place;
  try {
    if (db.hasStatus) {
      usersAfter = yield* tx.subtransaction(() =>
        compareCopies(db, tx, place.usersAfter, most)
      );
    }
  } catch (err) {
    if (!isSqlError(err)) throw err;
  }
  tx.set(sweepPosition, "row", { ...position, usersAfter });
  yield;
  return gone.length === 0 ? [] : yield* forgetUsers(db, tx, gone);
}

/** Takes over new names, and returns the ids that are not in the users table. */
function* compareUsers(
  db: MemoryDatabase,
  tx: Transaction,
  ids: readonly UserId[],
): Steps<UserId[]> {
  if (ids.length === 0) return [];
  const found = new Map(yield* readUsers(db, tx, ids));
  yield;
  let isRenamed = false;
  for (const [id, username] of found) {
    const row = tx.get(db.presence, id);
    if (row === undefined || row.username === username) continue;
    if (tx.tryLock(db.presence, id, "update") === "taken") continue;
    tx.set(db.presence, id, { ...row, username });
    isRenamed ||= row.nodes.length > 0;
  }
  yield;
  if (isRenamed) tx.notify("renamed");
  return ids.filter((id) => !found.has(id));
}

/**
 * Takes users offline who are not in the users table, and forgets them. Leaves those whose rows are
 * locked to a later pass.
 */
function* forgetUsers(
  db: MemoryDatabase,
  tx: Transaction,
  ids: readonly UserId[],
): Steps<Transition[]> {
  const free = ids.filter((id) => tryLockPresence(db, tx, id) === "granted");
  yield;
  let found: Map<UserId, string>;
  try {
    found = new Map(yield* tx.subtransaction(() => readUsers(db, tx, free)));
  } catch (err) {
    if (!isSqlError(err)) throw err;
    return [];
  }
  yield;
  const gone = [...new Set(free)].filter((id) => !found.has(id));
  const nodes = gone.flatMap((id) => tx.get(db.presence, id)?.nodes ?? []);
  const transitions = yield* writeClaims(
    ...[db, tx, undefined, [], gone, nodes, 0] as const,
  );
  yield;
  for (const id of gone) {
    if (tx.get(db.presence, id)?.nodes.length === 0) tx.delete(db.presence, id);
  }
  return transitions;
}

/** Marks the copies that are wrong in a slice of the users table. Returns where the next slice starts. */
function* compareCopies(
  db: MemoryDatabase,
  tx: Transaction,
  after: UserId | undefined,
  most: number,
): Steps<UserId | undefined> {
  const { presence } = db;
  const visible = yield* visibleUsers(db, tx, USERS_READ_LOCK_MS);
  const { ids, next } = slice(db, [...visible.keys()], after, most);
  const rows = ids.map((id) => ({ id, ...visible.get(id) }));
  yield;
  const wrong = rows.filter(({ id, status }) => {
    const isOnline = (tx.get(presence, id)?.nodes.length ?? 0) > 0;
    return status !== (isOnline ? "online" : "offline");
  });
  for (const { id, username = "" } of wrong) {
    yield* tx.lock(presence, id, "no key update", USERS_READ_LOCK_MS);
    const row = tx.get(presence, id);
    const unseen = { username, nodes: [], changedAt: undefined };
    tx.set(presence, id, { ...row ?? unseen, copyDue: true });
  }
  yield;
  return next;
}

/** A copy that is right now, with the moment of the status that was copied. */
export type Copied = readonly [UserId, number | undefined];

/** Writes up to `most` copies that are due. */
export function* copyDue(
  db: MemoryDatabase,
  tx: Transaction,
  node: NodeId,
  most: number,
): Steps<Copied[]> {
  if (!db.hasStatus) return [];
  const place = takePosition(db, tx);
  if (place === undefined) return [];
  yield;
  yield* requireLease(db, tx, node);
  yield;
  const { ids, next } = slice(
    ...[db, idsWhere(db, tx, (row) => row.copyDue)] as const,
    ...[place.dueAfter, most] as const,
  );
  const rows = new Map(ids.map((id) => [id, tx.get(db.presence, id)]));
  yield;
  tx.set(db.sweepPosition, "row", { ...place, dueAfter: next });
  if (ids.length === 0) return [];
  const isOnline = (id: UserId) => (rows.get(id)?.nodes.length ?? 0) > 0;
  // In any order: rows that are slow to refuse must not be the first ones each time.
  const shuffled = ids.toSorted(() => db.engine.random() - 0.5);
  const online = shuffled.filter(isOnline);
  const offline = shuffled.filter((id) => !isOnline(id));
  let due = [
    ...yield* copyStatus(db, tx, online, [], SWEEP_COPY_MS / 2),
    ...yield* copyStatus(db, tx, [], offline, SWEEP_COPY_MS / 2),
  ];
  if (due.length > 0) {
    const written = due;
    try {
      const found = yield* tx.subtransaction(() => readUsers(db, tx, written));
      due = found.map(([id]) => id);
    } catch (err) {
      if (!isSqlError(err)) throw err;
    }
  }
  return ids.filter((id) => !due.includes(id))
    .map((id) => [id, rows.get(id)?.changedAt] as const);
}

/** Forgets that copies are due, unless the status has changed since it was copied. */
export function* copiesDone(
  { presence }: MemoryDatabase,
  tx: Transaction,
  copied: readonly Copied[],
): Steps<void> {
  const isDone = (id: UserId, moment: number | undefined) => {
    const row = tx.get(presence, id);
    return row !== undefined && row.copyDue && row.changedAt === moment;
  };
  const matching = copied.filter(([id, moment]) => isDone(id, moment));
  for (const [id, moment] of matching) {
    if (tx.tryLock(presence, id, "update") === "taken") continue;
    const row = tx.get(presence, id);
    if (row === undefined || !isDone(id, moment)) continue;
    tx.set(presence, id, { ...row, copyDue: false });
  }
  yield;
  for (const [id] of copied) {
    const row = tx.get(presence, id);
    if (row === undefined || row.changedAt !== undefined || row.copyDue) {
      continue;
    }
    yield* tx.lock(presence, id, "update");
    const now = tx.get(presence, id);
    if (now?.changedAt === undefined && now?.copyDue === false) {
      tx.delete(presence, id);
    }
  }
}

/** Deletes at most `most` rows of the feed beyond the newest `keepRows`. */
export function* pruneFeed(
  { feed, locks, seq }: MemoryDatabase,
  tx: Transaction,
  keepRows: number,
  most: number,
): Steps<void> {
  if (tx.tryLock(locks, "prune", "update") === "taken") return;
  yield;
  const old = tx.entries(feed).map(([at]) => at).sort((a, b) => a - b)
    .slice(0, most)
    .filter((at) => at <= seq - keepRows);
  for (const at of old) tx.delete(feed, at);
}

function idsWhere(
  { presence }: MemoryDatabase,
  tx: Transaction,
  matches: (row: { nodes: readonly NodeId[]; copyDue: boolean }) => boolean,
): UserId[] {
  return tx.entries(presence).filter(([, row]) => matches(row)).map(([id]) =>
    id
  );
}
