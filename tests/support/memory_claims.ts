/**
 * The functions that decide transitions, in memory: `presence.sql` and `feed.sql`.
 *
 * @module
 */
import type { NodeId, Transition } from "../../src/core/store/store.ts";
import { WRITE_COPY_MS } from "../../src/postgres/limits.ts";
import type { Status } from "../../src/client/protocol/messages.ts";
import type { UserId } from "../../src/client/protocol/user_id.ts";
import type { MemoryDatabase, PresenceRow } from "./memory_database.ts";
import {
  groupArriving,
  type Grouped,
  type Groups,
  type Regrouping,
} from "./memory_groups.ts";
import { requireLease } from "./memory_nodes.ts";
import { makePresence, type Named } from "./memory_presence.ts";
import {
  isSqlError,
  SqlError,
  type Steps,
  type Transaction,
} from "./memory_transaction.ts";
import { copyInTime, readUsers } from "./memory_users.ts";

/** An earlier write arrived after a later one. */
export const OVERTAKEN = "RC002";

export interface AppliedRows {
  readonly transitions: Transition[];
  readonly unknown: UserId[];
  readonly deferred: UserId[];
  readonly ungrouped: UserId[];
  readonly overgrouped: UserId[];
}

const UNGROUPED: Grouped = { regrouped: [], ungrouped: [], overgrouped: [] };

/** Claims the arriving users for a node and releases the leaving ones. */
export function* apply(
  db: MemoryDatabase,
  tx: Transaction,
  node: NodeId,
  arriving: readonly UserId[],
  leaving: readonly UserId[],
  writeNumber: number,
  isBarrier: boolean,
): Steps<AppliedRows> {
  yield* requireLease(db, tx, node);
  yield;
  yield* tx.lock(db.writes, node, isBarrier ? "no key update" : "share");
  const last = tx.get(db.writes, node);
  if (
    last === undefined || (isBarrier ? last >= writeNumber : last > writeNumber)
  ) {
    throw new SqlError(OVERTAKEN, `write ${writeNumber} was overtaken`);
  }
  if (isBarrier) tx.set(db.writes, node, writeNumber);
  yield;

  let known: readonly Named[] = [];
  let isReadable = true;
  if (arriving.length > 0) {
    try {
      known = yield* tx.subtransaction(() => readUsers(db, tx, arriving));
    } catch (err) {
      if (!isSqlError(err)) throw err;
      isReadable = false;
      known = arriving.flatMap((id): Named[] => {
        const row = tx.get(db.presence, id);
        return row?.changedAt === undefined ? [] : [[id, row.username]];
      });
    }
    yield;
  }
  const knownIds = new Set(known.map(([id]) => id));
  const missing = arriving.filter((id) => !knownIds.has(id));
  const left = isReadable ? [...leaving, ...missing] : leaving;
  const copyMs = isReadable ? WRITE_COPY_MS : 0;
  const isGrouped = db.memberships !== undefined && known.length > 0;
  if (isGrouped || (known.length > 0 && left.length > 0)) {
    yield* makePresence(db, tx, known, left);
    yield;
  }
  let grouped = UNGROUPED;
  if (isGrouped) {
    grouped = yield* groupArriving(db, tx, [...knownIds]);
    yield;
  }
  const { regrouped, ungrouped, overgrouped } = grouped;
  const going = [...left, ...overgrouped];
  const refused = new Set([...ungrouped, ...overgrouped]);
  const coming = known.filter(([id]) => !refused.has(id));
  const transitions = yield* writeClaims(
    ...[db, tx, node, coming, going, [node], copyMs, regrouped] as const,
  );
  return {
    transitions,
    unknown: isReadable ? missing : [],
    deferred: isReadable ? [] : missing,
    ungrouped,
    overgrouped,
  };
}

/**
 * Adds `node` to the claims of `coming` users and removes `gone` nodes from those of `going`
 * users, and appends the transitions, with those of users who are in other groups now.
 */
export function* writeClaims(
  db: MemoryDatabase,
  tx: Transaction,
  node: NodeId | undefined,
  coming: readonly Named[],
  going: readonly UserId[],
  gone: readonly NodeId[],
  copyMs: number,
  regrouped: readonly Regrouping[] = [],
): Steps<Transition[]> {
  const arrived = coming.length > 0 && node !== undefined
    ? yield* claim(db, tx, node, coming)
    : [];
  const departed = going.length > 0 ? yield* release(db, tx, going, gone) : [];
  if (arrived.length + departed.length + regrouped.length === 0) return [];
  if (arrived.length + departed.length > 0) {
    yield* copyInTime(
      ...[db, tx] as const,
      arrived.map(([id]) => id),
      departed.map(([id]) => id),
      copyMs,
    );
    yield;
  }
  return yield* append(db, tx, [
    ...arrived.map((user): Change => [...user, "online", undefined]),
    ...departed.map((user): Change => [
      ...[...user, "offline"] as const,
      tx.get(db.presence, user[0])?.groups,
    ]),
    ...regrouped.map(([id, before]): Change => [
      ...[id, tx.get(db.presence, id)?.username ?? "", "online"] as const,
      before,
    ]),
  ]);
}

/** Returns the users whose first claim it is. */
function* claim(
  db: MemoryDatabase,
  tx: Transaction,
  node: NodeId,
  coming: readonly Named[],
): Steps<Named[]> {
  const first: Named[] = [];
  const now = db.engine.timestamp();
  for (const [id, username] of sorted(db, coming)) {
    yield* tx.lock(db.presence, id, "no key update");
    const row: PresenceRow | undefined = tx.get(db.presence, id);
    const nodes = row?.nodes ?? [];
    if (nodes.includes(node)) continue;
    const changedAt = nodes.length === 0 ? now : row?.changedAt;
    const copyDue = row?.copyDue ?? false;
    // A new name of a user who is online is the sweep's to find, which notifies the nodes of it.
    const name = nodes.length === 0 ? username : row?.username ?? username;
    // Groups of a time when they were configured are the sweep's to take from a user who is online.
    const isStale = nodes.length === 0 && db.memberships === undefined;
    tx.set(db.presence, id, {
      ...{ username: name, nodes: [...nodes, node], changedAt, copyDue },
      groups: isStale ? undefined : row?.groups,
    });
    if (nodes.length === 0) first.push([id, username]);
  }
  yield;
  return first;
}

/** Returns the users whose last claim went. */
function* release(
  db: MemoryDatabase,
  tx: Transaction,
  going: readonly UserId[],
  gone: readonly NodeId[],
): Steps<Named[]> {
  const last: Named[] = [];
  const isGone = (nodeId: NodeId) => gone.includes(nodeId);
  // The statement sees the rows that match when it begins, and looks again once it has a row's lock.
  const matching = [...new Set(going)].sort(db.compareIds)
    .filter((id) => tx.get(db.presence, id)?.nodes.some(isGone));
  for (const id of matching) {
    yield* tx.lock(db.presence, id, "no key update");
    const row = tx.get(db.presence, id);
    if (row === undefined || !row.nodes.some(isGone)) continue;
    const nodes = row.nodes.filter((nodeId) => !isGone(nodeId));
    const changedAt = nodes.length === 0
      ? db.engine.timestamp()
      : row.changedAt;
    tx.set(db.presence, id, { ...row, nodes, changedAt });
    if (nodes.length === 0) last.push([id, row.username]);
  }
  yield;
  return last;
}

/** A user, the name, the status now, and the groups until now. */
type Change = readonly [UserId, string, Status, Groups];

/**
 * Appends transitions to the feed in id order, and notifies of the new head. Users who only leave
 * groups come first, and one who leaves a group that somebody else comes into leaves it first.
 */
function* append(
  db: MemoryDatabase,
  tx: Transaction,
  changes: readonly Change[],
): Steps<Transition[]> {
  yield* tx.lock(db.counter, "seq", "no key update");
  let seq = tx.get(db.counter, "seq") ?? 0;
  const moves = sorted(db, changes).map((change) =>
    moveOf(change, tx.get(db.presence, change[0])?.groups)
  );
  const gained = new Set(moves.flatMap((move) => move.gained));
  const steps = moves.flatMap((move) => stepsOf(move, gained));
  const transitions = steps.sort((a, b) => a.part - b.part)
    .map(({ user: [userId, username, status], before, after }): Transition => ({
      ...{ seq: ++seq, userId, username, status },
      ...after === undefined ? {} : { groups: after },
      ...before === undefined ? {} : { groupsBefore: before },
    }));
  tx.set(db.counter, "seq", seq);
  for (const transition of transitions) {
    tx.set(db.feed, transition.seq, transition);
  }
  tx.notify(String(seq));
  yield;
  return transitions;
}

interface Move {
  readonly user: Change;
  readonly before: Groups;
  readonly after: Groups;
  readonly lost: readonly string[];
  readonly gained: readonly string[];
}

function moveOf(user: Change, groups: Groups): Move {
  const [, , status, before] = user;
  const after = status === "online" ? groups : undefined;
  const without = (one: Groups, other: Groups) =>
    (one ?? []).filter((name) => !other?.includes(name));
  return {
    ...{ user, before, after },
    ...{ lost: without(before, after), gained: without(after, before) },
  };
}

function stepsOf(move: Move, gained: ReadonlySet<string>) {
  const { user, before, after, lost } = move;
  const comes = move.gained.length > 0;
  if (!comes || !lost.some((name) => gained.has(name))) {
    return [{ user, before, after, part: lost.length > 0 && !comes ? 0 : 1 }];
  }
  const common = (before ?? []).filter((name) => after?.includes(name));
  return [
    { user, before, after: common, part: 0 },
    { user, before: common, after, part: 1 },
  ];
}

/** Leaves a hole in the feed behind `beyond`. */
export function* skipTo(
  db: MemoryDatabase,
  tx: Transaction,
  beyond: number,
): Steps<void> {
  if (db.seq >= beyond) return;
  yield* tx.lock(db.counter, "seq", "no key update");
  if ((tx.get(db.counter, "seq") ?? 0) >= beyond) return;
  // Where Postgres takes a random number, this differs before and after a failover.
  const seq = beyond + 1_000 * db.epoch;
  tx.set(db.counter, "seq", seq);
  tx.notify(String(seq));
}

function sorted<Row extends readonly [UserId, ...unknown[]]>(
  { compareIds }: MemoryDatabase,
  rows: readonly Row[],
): Row[] {
  return [...rows].sort(([a], [b]) => compareIds(a, b));
}
