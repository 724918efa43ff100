/**
 * What every run with groups is held to.
 *
 * The model is simple: from memberships and connections alone, a viewer sees itself, and the users who
 * have an open connection and share a group with it. The feed takes no part in it. After a run
 * everything agrees with the model. Then memberships change once more, in each way that the
 * application has, and each way has its own time.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { COUNT_INTERVAL_MS } from "../../src/core/fanout/limits.ts";
import { CLOSE } from "../../src/client/protocol/close.ts";
import type { UserId } from "../../src/client/protocol/user_id.ts";
import type { SimMemberships } from "../support/sim_memberships.ts";
import { NO_ENGINE_FAULTS } from "../support/memory_engine.ts";
import type { Transaction } from "../support/memory_transaction.ts";
import { HEARTBEAT_MS, LEASE_MS } from "../support/sim_node.ts";
import { GROUPS } from "./group_steps.ts";
import { USERS } from "./steps.ts";
import type { World } from "./world.ts";

/** V3: a change that is named, and the groups of a user who connects. */
const AT_ONCE_MS = 300;

/** Longest time between two statements of a transaction, while changes and connects meet. */
const RACE_PAUSE_MS = 60;

/** V3: a change that nobody named. */
const SWEEP_MS = 30_000;

/** V3, during a run whose faults pass: the longest of them, and time to recover. */
const FAULTY_SWEEP_MS = 90_000;

/** How long a transaction may take from its read of the groups to its commit. */
const TRANSACTION_MS = 60_000;

/** Until every node has its lease, its notifications and its claims again. */
const QUIET_MS = 45_000;

/** Users who should be online and whom a viewer should see, ascending. */
export function visibleUsers(world: World, viewer: UserId): UserId[] {
  const { memberships, database } = world;
  const online = database.onlineIds();
  return memberships === undefined
    ? online
    : online.filter((id) => id === viewer || doShare(memberships, id, viewer));
}

function doShare(
  memberships: SimMemberships,
  one: UserId,
  other: UserId,
): boolean {
  const groups = memberships.groupsOf(other);
  return memberships.groupsOf(one).some((group) => groups.includes(group));
}

/** V5: while the relation cannot be read, nobody comes in, and nobody is in other groups. */
export function watchUnreadable(world: World): void {
  const { database, memberships, clock } = world;
  if (memberships === undefined) return;
  database.observers.add((transaction: Transaction) => {
    for (const [, row] of transaction.changed(database.feed)) {
      if (row?.status !== "online") continue;
      const { userId, seq, groups } = row;
      const title = `${userId} in ${seq} at ${clock.now()}`;
      if (!memberships.isReadable) {
        world.violations.push(`[V5] ${title}: its groups cannot be read`);
      }
      const since = clock.now() - TRANSACTION_MS;
      // Users who change groups in one transaction leave groups before others come into them.
      const { groupsBefore = [] } = row;
      const isKnown = memberships.groupsSince(userId, since).some((one) =>
        String(one) === String(groups) ||
        String(groupsBefore.filter((group) => one.includes(group))) ===
          String(groups)
      );
      if (!isKnown) {
        world.violations.push(`[V3] ${title}: it is not in ${groups}`);
      }
    }
  });
}

/** V3: nobody is for long in groups that the application took. */
export function checkFresh(world: World): void {
  const { database, memberships, clock } = world;
  const since = clock.now() - FAULTY_SWEEP_MS;
  if (memberships === undefined || !memberships.wasReadableSince(since)) return;
  for (const [id, { nodes, groups, changedAt }] of database.presence.rows) {
    if (nodes.length === 0 || (changedAt ?? 0) > since) continue;
    const known = memberships.groupsSince(id, since);
    ok(
      known.some((one) => String(one) === String(groups)),
      `[V3] ${id} has been in ${groups} for too long`,
    );
  }
}

/** Every list, copy and number agrees with the model. */
export function checkViews(world: World): void {
  const { nodes, memberships, database } = world;
  if (memberships === undefined) return;
  for (const id of database.onlineIds()) {
    const groups = database.presence.rows.get(id)?.groups;
    deepEqual(groups, memberships.groupsOf(id), `groups of ${id}`);
  }
  for (const viewer of database.onlineIds()) {
    const expected = visibleUsers(world, viewer);
    for (const { core: { roster } } of nodes) {
      const groups = roster.groupsOf(viewer);
      ok(groups !== undefined, `roster has no ${viewer}`);
      const view = roster.view(groups);
      const users = view.users();
      deepEqual(users.map(({ id }) => id), expected, `list of ${viewer}`);
      equal(view.size, expected.length, `number of ${viewer}`);
    }
  }
  for (const { client } of world.entries) {
    if (client.fault !== undefined) throw client.fault;
    if (client.closed !== undefined || client.bufferedAmount > 0) continue;
    if (client.version === 1) {
      client.judge?.end?.();
      continue;
    }
    const visible = visibleUsers(world, client.userId);
    if (client.count !== undefined) {
      equal(client.count, visible.length, `[V1] number of ${client.userId}`);
      continue;
    }
    deepEqual(
      [...client.users].sort(database.compareIds),
      visible.filter((id) => client.isWatching(id)),
      `[V2] copy of ${client.userId}`,
    );
  }
}

/** V3, V5: memberships change in each way that there is. */
export async function checkMemberships(world: World): Promise<void> {
  if (world.memberships === undefined) return;
  await checkNamed(world);
  await checkConnect(world);
  await checkSilent(world);
  await checkRace(world);
  await checkUnreadable(world);
  await checkTooMany(world);
  deepEqual(world.violations, []);
}

/** Puts some users into other groups, and returns them. */
function changeSome(world: World, naming: "named" | "silent"): UserId[] {
  const { random, memberships } = world;
  const users = USERS.filter(() => random() < 0.4);
  const changes = users.map((userId) => ({
    ...{ userId, how: "set" as const },
    groups: GROUPS.filter(() => random() < 0.3).slice(0, 3),
  }));
  memberships?.change(changes, naming);
  return users;
}

async function checkNamed(world: World): Promise<void> {
  changeSome(world, "named");
  await world.clock.advance(AT_ONCE_MS);
  checkViews(world);
}

/** A user who connects, or sends another token, is in its groups at once. */
async function checkConnect(world: World): Promise<void> {
  const { nodes, entries, database, memberships, clock, random } = world;
  const [userId] = changeSome(world, "silent");
  const node = nodes[Math.floor(random() * nodes.length)];
  if (userId === undefined || node === undefined) return;
  if (!database.users.rows.has(userId)) return;
  const open = entries.find(({ client }) =>
    client.userId === userId && client.version === 2 &&
    client.closed === undefined
  );
  if (open !== undefined && random() < 0.5) open.node.refresh(open.client, 0);
  else {
    world.enter(node, userId, { version: random() < 0.5 ? 1 : 2, watch: "*" });
  }
  await clock.advance(AT_ONCE_MS);
  const groups = database.presence.rows.get(userId)?.groups;
  deepEqual(groups, memberships?.groupsOf(userId), `[V3] groups of ${userId}`);
}

async function checkSilent(world: World): Promise<void> {
  changeSome(world, "silent");
  await world.clock.advance(SWEEP_MS);
  checkViews(world);
}

/** Users connect while their memberships change: what is named counts, before any sweep. */
async function checkRace(world: World): Promise<void> {
  const { nodes, memberships, clock, random, database } = world;
  const { faults } = database.engine;
  // Some transactions overtake others.
  Object.assign(faults, { pauses: 0.3, pauseMs: RACE_PAUSE_MS });
  for (const userId of USERS) {
    const node = nodes[Math.floor(random() * nodes.length)];
    if (node === undefined || !database.users.rows.has(userId)) continue;
    world.enter(node, userId, { version: random() < 0.5 ? 1 : 2, watch: "*" });
    await clock.advance(random() * 2 * RACE_PAUSE_MS);
    const groups = GROUPS.filter(() => random() < 0.3).slice(0, 3);
    memberships?.change([{ userId, how: "set", groups }], "named");
  }
  // A transaction has about twenty statements, and waits for two others at most.
  await clock.advance(20 * RACE_PAUSE_MS);
  Object.assign(faults, NO_ENGINE_FAULTS);
  await clock.advance(COUNT_INTERVAL_MS + AT_ONCE_MS);
  checkViews(world);
}

async function checkUnreadable(world: World): Promise<void> {
  const { nodes: [node], memberships, clock, random, database } = world;
  if (memberships === undefined || node === undefined) return;
  changeSome(world, "named");
  await clock.advance(AT_ONCE_MS);
  const online = new Set(database.onlineIds());
  const isOnline = (id: UserId) => online.has(id);
  const before = database.seq;
  if (random() < 0.5) memberships.drop(5_000);
  else {
    memberships.lock();
    clock.after(5_000, () => memberships.unlock());
  }
  await clock.advance(0);
  memberships.name(USERS);
  const clients = USERS.filter((id) => database.users.rows.has(id))
    .map((id) => {
      const client = node.open(id);
      world.entries.push({ client, node });
      return client;
    });
  await clock.advance(4_000);
  equal(database.seq, before, "[V5] nothing changes while nothing can be read");
  for (const { userId, closed, connection } of clients) {
    if (isOnline(userId)) {
      ok(connection.wasLive, `[V5] ${userId} is not let in`);
    } else equal(closed, CLOSE.overloaded.code, `[V5] ${userId} is let in`);
  }
  await clock.advance(SWEEP_MS + 1_000);
  checkViews(world);
}

/** A node loses its lease, and comes back while nothing can be read: its users stay, and are in later. */
export async function checkFenced(world: World): Promise<void> {
  const { nodes: [node, other], memberships, clock, database } = world;
  if (memberships === undefined || other === undefined) return;
  // A small ring overwrites what a version 1 connection has not got, and it is closed.
  const isRing = world.options.ringCapacity >= 1_000;
  const clients = world.entries.filter((entry) => entry.node === node)
    .map(({ client }) => client)
    .filter(({ version, closed }) =>
      closed === undefined && (isRing || version === 2)
    );
  Object.assign(node?.pool.faults ?? {}, { cut: true });
  await clock.advance(LEASE_MS + 3 * HEARTBEAT_MS);
  // A small ring forgets that they went offline.
  for (let changes = 0; changes < 3; changes++) {
    changeSome(world, "named");
    await clock.advance(AT_ONCE_MS);
  }
  memberships.lock();
  Object.assign(node?.pool.faults ?? {}, { cut: false });
  await clock.advance(10_000);
  for (const { userId, closed } of clients) {
    equal(closed, undefined, `[V5] ${userId} was in, and is sent away`);
  }
  memberships.unlock();
  await clock.advance(QUIET_MS);
  const online = new Set(database.onlineIds());
  for (const { userId } of clients) {
    ok(online.has(userId), `[V5] ${userId} is connected, but offline`);
  }
  checkViews(world);
}

async function checkTooMany(world: World): Promise<void> {
  const { memberships, clock, random, database } = world;
  const userId = USERS[Math.floor(random() * USERS.length)];
  if (memberships === undefined || userId === undefined) return;
  const naming = random() < 0.5 ? "named" : "silent";
  memberships.change([{ userId, how: "set", groups: GROUPS }], naming);
  await clock.advance(naming === "named" ? AT_ONCE_MS : SWEEP_MS);
  for (const { client } of world.entries) {
    if (client.userId !== userId) continue;
    ok(client.closed !== undefined, `${userId} is in too many groups, and in`);
  }
  ok(!database.onlineIds().includes(userId), `${userId} is online`);
  memberships.change([{ userId, how: "set", groups: [] }], naming);
  await clock.advance(AT_ONCE_MS);
  checkViews(world);
}
