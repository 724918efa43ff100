/**
 * What a storm costs: calls to the store, texts that are encoded, and sends. They are counted and
 * not timed, so that a busy machine changes nothing. A test fails if one of them begins to grow
 * with the number of clients.
 */
import { equal, ok } from "node:assert/strict";
import { Connection } from "../../../src/core/connections/connection.ts";
import { createCore } from "../../../src/core/core.ts";
import { Hub } from "../../../src/core/connections/hub.ts";
import { BATCH_USERS_MAX } from "../../../src/core/presence/limits.ts";
import { RING_TRANSITIONS_MAX } from "../../../src/base/limits.ts";
import { noMetrics } from "../../../src/base/metrics.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { FakeSocket, rememberingLog } from "../../support/fakes.ts";
import { MemoryDatabase } from "../../support/memory_database.ts";
import { MemoryStore } from "../../support/memory_store.ts";

const USERS = 2_500;

/** A node without a network, and the number of calls to its store. */
async function countingNode() {
  const clock = new FakeClock();
  const ids = Array.from({ length: 2 * USERS }, (_, index) => index + 1);
  const store = new MemoryStore(new MemoryDatabase(ids, clock));
  const calls = { apply: 0, readFeed: 0, snapshot: 0 };
  for (const name of ["apply", "readFeed", "snapshot"] as const) {
    const original = store[name].bind(store) as (...args: never[]) => never;
    store[name] = ((...args: never[]) => {
      calls[name] += 1;
      return original(...args);
    }) as never;
  }
  const core = createCore({
    ...{ hub: new Hub(), store, clock, log: rememberingLog() },
    ...{ metrics: noMetrics, leaseMs: 10_000, heartbeatMs: 3_000 },
    offlineGraceMs: 0,
    fanout: { intervalMs: 50, stateUsersMax: 20_000 },
  }, () => 0.5);
  await core.lease.join();
  await core.feed.start();
  const { roster, presence, connections } = core;
  calls.apply = calls.readFeed = calls.snapshot = 0;
  const connect = (userId: number, version: 1 | 2) => {
    const socket = new FakeSocket();
    const connection = new Connection(userId, socket, {
      ...{ version, endsAt: Infinity, receivedAt: 0 },
    });
    connections.open(connection);
    if (version === 1) core.fanout.subscribeV1(connection, roster.ring.head);
    else core.fanout.subscribeV2(connection);
    return { connection, socket };
  };
  const stop = async () => {
    const stopping = [
      ...[presence.stop(), core.fanout.stop(), core.feed.stop()],
      core.lease.leave(0),
    ];
    await clock.advance(10_000);
    await Promise.all(stopping);
  };
  return { clock, core, calls, connect, stop };
}

Deno.test("[S5] a storm costs version 2 a few texts and two sends for each connection, and the store a few writes", async () => {
  const { clock, calls, connect, stop } = await countingNode();
  const clients = Array.from({ length: USERS }, (_, n) => connect(n + 1, 2));
  await clock.advance(1_000);
  equal(calls.apply, Math.ceil(USERS / BATCH_USERS_MAX));
  // A notification may arrive before the answer to the write that caused it.
  ok(calls.readFeed <= calls.apply, `${calls.readFeed} reads`);
  equal(calls.snapshot, 0);
  const texts = new Set(clients.flatMap(({ socket }) => socket.sent));
  const sends = clients.reduce(
    (sum, { socket }) => sum + socket.sent.length,
    0,
  );
  ok(texts.size <= 6, `${texts.size} texts`);
  ok(sends <= 2.5 * USERS, `${sends} sends`);
  await stop();
});

Deno.test("[P6] a storm costs version 1 one text for each transition, and one send of it for each connection", async () => {
  const { clock, calls, connect, stop, core } = await countingNode();
  const peers = Array.from({ length: 50 }, (_, n) => connect(n + 1, 1));
  await clock.advance(1_000);
  const before = peers.map(({ socket }) => socket.sent.length);
  const writes = calls.apply;
  for (let n = 0; n < USERS; n++) connect(USERS + n + 1, 2);
  await clock.advance(1_000);
  equal(calls.apply - writes, Math.ceil(USERS / BATCH_USERS_MAX));
  for (const [n, { socket }] of peers.entries()) {
    equal(socket.sent.length - (before[n] ?? 0), USERS);
  }
  const { ring } = core.roster;
  const first = peers[0]?.socket.sent.slice(-USERS) ?? [];
  // Each is the text in the ring. No other text was encoded.
  for (let n = 0; n < USERS; n += 250) {
    equal(first[n], ring.at(ring.head - USERS + n).as("online").message);
  }
  ok(ring.head - ring.tail <= RING_TRANSITIONS_MAX);
  await stop();
});
