/**
 * What every run is held to.
 *
 * The model is simple: a user with an open connection is online, unless the application has no row
 * for it. After a run all faults end, and after a minute everything agrees with the model. Then the
 * application meddles once more, nodes die and leave, and each of these has its own time.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import type { Transition } from "../../src/core/store/store.ts";
import { CLOSE } from "../../src/client/protocol/close.ts";
import type { UserId } from "../../src/client/protocol/user_id.ts";
import type { Transaction } from "../support/memory_transaction.ts";
import type { SimClient } from "../support/sim_client.ts";
import { HEARTBEAT_MS, LEASE_MS } from "../support/sim_node.ts";
import { checkViews, visibleUsers } from "./group_checks.ts";
import { UNKNOWN_USER, USERS } from "./steps.ts";
import type { World } from "./world.ts";

/**
 * Checks that can be left out, to find what is behind a fault that they find first. A check that the core
 * does not keep yet is `false`, with the fault in plain words.
 */
export const CHECKS = {
  /** Two connections that fall silent do not cost a node its lease. */
  silentConnections: true,
  /** A database that stands still for less than a lease costs no node its users. */
  slowRenewals: true,
  /** A node that stops in order has left in its time, also if a connection has fallen silent. */
  leaveInTime: true,
  /** The last node to leave releases the claims of nodes that died before. */
  leaveAlone: true,
  /** Every node has every name as it is in the database. */
  names: true,
  /** The token that a client sent last counts, however long each verification takes. */
  refreshes: true,
  /** A token that expires ends its connection, although another socket is broken. */
  brokenSockets: true,
  /** A user who has a good token and no row gets one, also if the row was there before. */
  provisioning: true,
};

export type Check = keyof typeof CHECKS;

for (const name of (Deno.env.get("WITHOUT") ?? "").split(",")) {
  if (name in CHECKS) CHECKS[name as Check] = false;
}

/** Until every node has its lease, its notifications and a complete roster again. */
const QUIET_MS = 45_000;

/** Sweeps until whatever the application did is found: every pass begins anew in this time. */
export const SWEEPS_MAX = 8;

/**
 * From now on records each user who is reported offline although it is connected.
 *
 * @param when `"never"`: it must not happen. `"without a lease"`: only to a node without a lease.
 */
export function watchOffline(
  world: World,
  when: "never" | "without a lease",
): void {
  const { database, application, memberships } = world;
  const isExcused = ({ core }: { core: World["nodes"][number]["core"] }) => {
    const row = database.nodes.rows.get(core.lease.nodeId);
    return row === undefined || row.leaving ||
      row.expiresAt <= database.engine.now();
  };
  database.observers.add((transaction: Transaction) => {
    for (const [, transition] of transaction.changed(database.feed)) {
      if (transition?.status !== "offline") continue;
      const { userId, seq } = transition;
      for (const { client, node } of world.entries) {
        if (client.userId !== userId || !node.isRunning) continue;
        if (client.connection.state !== "live") continue;
        if (!application.wasThereSince(userId, client.openedAt)) continue;
        if (memberships?.wasInTooMany(userId, client.openedAt)) continue;
        if (when === "without a lease" && isExcused(node)) continue;
        world.violations.push(
          `[C5] ${userId} is connected, and was reported offline in ${seq} at ${world.clock.now()}`,
        );
      }
    }
  });
}

/** Ends all faults, waits, and compares with the model. */
export async function checkQuiet(world: World): Promise<void> {
  const { clock, database } = world;
  await world.heal();
  // Until then the leases of nodes that died may last.
  await clock.advance(QUIET_MS + world.extraLeaseMs);
  deepEqual(world.violations, []);
  deepEqual(database.engine.locks.deadlocks, [], "a circle of transactions");
  checkModel(world);
  checkViews(world);
  for (const { client } of world.entries) checkClient(client, world);
  for (const id of USERS) checkAlternation(database.history, id);
}

/** Users who should be online, ascending. */
export function onlineUsers({ entries, database }: World): UserId[] {
  const users = entries
    .filter(({ client, node }) => node.isRunning && client.closed === undefined)
    .map(({ client }) => client.userId);
  return [...new Set(users)].sort(database.compareIds);
}

function checkModel(world: World): void {
  const { database, nodes } = world;
  const online = onlineUsers(world);
  deepEqual(database.onlineIds(), online, "claims");
  equal(database.nodes.rows.size, nodes.length, "node rows");
  checkCopies(world);
  for (const one of nodes) {
    ok(one.ready, "a node is not ready");
    equal(one.roster.seq, database.seq, "roster seq");
    equal(one.roster.size, online.length, "roster");
    if (world.memberships === undefined) {
      const users = one.roster.everybody.users();
      deepEqual(users.map(({ id }) => id), online, "roster");
    }
    for (const id of online) {
      ok(one.roster.has(id), `roster has no ${id}`);
      if (!CHECKS.names) continue;
      const { username } = database.users.rows.get(id) ?? {};
      equal(one.roster.nameOf(id), username, "a name");
    }
  }
}

/** U1: the copy of the status is right in every row of the users table. */
function checkCopies({ database }: World): void {
  const online = new Set(database.onlineIds());
  const wrong = [...database.users.rows].filter(([id, { status }]) =>
    status !== (online.has(id) ? "online" : "offline")
  );
  deepEqual(wrong, [], "[U1] copies of the status");
}

/** P2, P4, P6, S1: a client that is open has received everything, and one that is closed deserved it. */
function checkClient(client: SimClient, world: World): void {
  const { userId, closed } = client;
  if (client.fault !== undefined) throw client.fault;
  if (closed !== undefined) return checkClosed(client, world);
  const { database } = world;
  ok(database.users.rows.has(userId), `${userId} is deleted, but connected`);
  if (CHECKS.refreshes && client.lastToken !== undefined) {
    equal(client.connection.tokenId, client.lastToken, "the last token counts");
  }
  if (client.version === 2) return checkV2(client, world);
  if (client.judge?.end !== undefined) return client.judge.end();
  const isWhole = database.epoch === 0 && world.options.feedRows >= 1_000;
  if (!isWhole) return checkLastMessages(client, world);
  const expected = database.history
    .filter((row) => row.seq > client.openedSeq && row.userId !== userId)
    .map((row) => ({ type: `user_${row.status}`, userId: row.userId }));
  deepEqual(client.received, expected, `messages of a connection of ${userId}`);
}

function checkClosed(
  client: SimClient,
  { application, options, memberships }: World,
): void {
  const { userId, closed, openedAt } = client;
  switch (closed) {
    case CLOSE.policy.code:
      if (memberships?.wasInTooMany(userId, openedAt)) return;
      if (options.autoProvision && !client.connection.wasLive) {
        // With groups a user is written at each connect, and found to be deleted before the sweep does.
        const since = memberships === undefined
          ? openedAt
          : openedAt - QUIET_MS;
        const wasDeleted = application.wasDeletedSince(userId, since);
        ok(wasDeleted, `${userId} is refused, but got a row`);
      } else if (userId === UNKNOWN_USER && !options.autoProvision) {
        deepEqual(client.received, [], "an unknown user receives nothing");
      } else {
        const wasThere = application.wasThereSince(userId, openedAt);
        ok(!wasThere, `${userId} is refused, but was always there`);
      }
      return;
    case CLOSE.overloaded.code:
      // Its ring overwrote what a slow client, or one that waits for its claim, has not got.
      if (client.wasSlow) return;
      if (client.version === 1 && options.ringCapacity < 1_000) return;
      // The answer to a write may come long after its read of the groups failed.
      if (memberships?.wasReadableSince(openedAt - QUIET_MS) === false) {
        ok(!client.connection.wasLive, `${userId} was in, and is sent away`);
        return;
      }
      ok(options.autoProvision, `a connection of ${userId} is sent away`);
      return;
    case CLOSE.tokenExpired.code:
      return;
    default:
      equal(closed, undefined, `a connection of ${userId} is closed`);
  }
}

/** P6, where a node may have missed rows of the feed: the last message about a user is its status. */
function checkLastMessages(
  { userId, received }: SimClient,
  { database }: World,
): void {
  const online = new Set(database.onlineIds());
  for (const id of USERS) {
    const last = received.findLast((message) =>
      "userId" in message && message.userId === id
    );
    if (id === userId || last === undefined) continue;
    equal(last.type === "user_online", online.has(id), `${userId} of ${id}`);
  }
}

/** S1, S2, S4: a version 2 client ends with a copy that equals the database, or with the number. */
function checkV2(client: SimClient, world: World): void {
  const { database } = world;
  ok(client.received.length > 0, "[S2] a client gets a first message");
  const online = visibleUsers(world, client.userId);
  if (client.count !== undefined) {
    equal(client.count, online.length, "[S4] the number of online users");
    return;
  }
  const copy = [...client.users].sort(database.compareIds);
  const expected = online.filter((id) => client.isWatching(id));
  deepEqual(copy, expected, `copy of ${client.userId}`);
}

/** P6: the feed has online and offline of a user in turn, apart from changes of its groups. */
function checkAlternation(history: readonly Transition[], id: UserId): void {
  const isRegrouped = ({ status, groupsBefore }: Transition) =>
    status === "online" && groupsBefore !== undefined;
  const statuses = history
    .filter((row) => row.userId === id && !isRegrouped(row))
    .map(({ status }) => status);
  deepEqual(
    statuses,
    statuses.map((_, index) => index % 2 === 0 ? "online" : "offline"),
    `feed of ${id}`,
  );
}

/** U1: whatever the application writes is put right by a bounded number of sweeps. */
export async function checkMeddling(world: World): Promise<void> {
  const { application, database, clock, entries, random } = world;
  for (const id of USERS) {
    const choice = random();
    if (choice < 0.4) application.setStatus(id, "online");
    else if (choice < 0.8) application.setStatus(id, "offline");
  }
  const [one, other] = entries.toSorted(() => random() - 0.5);
  if (one !== undefined) application.rename(one.client.userId);
  if (other !== undefined) application.delete(other.client.userId);
  await clock.advance(SWEEPS_MAX * HEARTBEAT_MS + 1_000);
  deepEqual(world.violations, []);
  checkModel(world);
  checkViews(world);
  if (other === undefined) return;
  const { userId, closed } = other.client;
  ok(closed !== undefined, `${userId} was deleted, but is connected`);
  ok(!database.presence.rows.has(userId), `${userId} was deleted, but is kept`);
}

/** C2: users of a node that died are offline a lease and a heartbeat later. */
export async function checkDeath(world: World): Promise<void> {
  const { clock, database, nodes, random } = world;
  // Otherwise the nodes end together, in `checkEnd`.
  if (nodes.length < 2 || random() < 0.5) return;
  nodes[0]?.crash();
  await clock.advance(LEASE_MS + HEARTBEAT_MS + 100);
  deepEqual(database.onlineIds(), onlineUsers(world), "[C2] claims");
  deepEqual(world.violations, []);
}

/**
 * Every node leaves or dies, in any order. Nobody stays online: at once, if the last one left and
 * the others died well before, and otherwise after the next start.
 */
export async function checkEnd(world: World): Promise<void> {
  const { clock, database, nodes, random } = world;
  let lastDeathAt = -Infinity;
  let lastLeaveAt = -Infinity;
  const running = nodes.filter((node) => node.isRunning);
  let last: "left" | "died" = "died";
  let wasRenewing = true;
  for (const node of running.toSorted(() => random() - 0.5)) {
    await clock.advance(random() * 20_000);
    if (random() < 0.5) {
      node.crash();
      last = "died";
      lastDeathAt = clock.now();
      continue;
    }
    last = "left";
    // A firewall forgot some of its connections, and a sweep or a renewal is under way on one.
    wasRenewing = !CHECKS.leaveInTime || random() < 0.5;
    if (!wasRenewing) node.pool.silence(1 + random() * 2);
    await clock.advance(random() * 2 * HEARTBEAT_MS);
    lastLeaveAt = clock.now();
    void node.stop(5_000);
    await clock.advance(8_000);
    const isKnown = [...database.nodes.rows].some(([id, row]) =>
      id === node.core.lease.nodeId && !row.leaving
    );
    ok(!isKnown, "[C7] a node that stopped in order has not left");
  }
  const leftAlone = lastLeaveAt - lastDeathAt > 2 * HEARTBEAT_MS;
  if (CHECKS.leaveAlone && last === "left" && wasRenewing && leftAlone) {
    deepEqual(database.onlineIds(), [], "[C7] nobody is online without a node");
  }
  world.entries = [];
  await world.boot(0);
  await clock.advance(2 * LEASE_MS + SWEEPS_MAX * HEARTBEAT_MS);
  deepEqual(database.onlineIds(), [], "[C3] users of nodes that ended");
  checkCopies(world);
  deepEqual(world.violations, []);
  const stopped = world.nodes[0]?.stop(0);
  await clock.advance(10_000);
  await stopped;
}
