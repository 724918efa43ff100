/**
 * What a storm costs, counted and not timed: writes to the store, texts that are made, and sends.
 * A change that makes any of it grow with the number of clients shows here.
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
import { MemoryDatabase, MemoryStore } from "../../support/memory_store.ts";

const USERS = 2_500;

/** A node without a network, whose store counts what it is asked. */
async function countingNode() {
  const clock = new FakeClock();
  const ids = Array.from({ length: 2 * USERS }, (_, index) => index + 1);
  const store = new MemoryStore(new MemoryDatabase(ids, () => clock.now()));
  const asked = { apply: 0, readFeed: 0, snapshot: 0 };
  for (const name of ["apply", "readFeed", "snapshot"] as const) {
    const original = store[name].bind(store) as (...args: never[]) => never;
    store[name] = ((...args: never[]) => {
      asked[name] += 1;
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
  asked.apply = asked.readFeed = asked.snapshot = 0;
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
  return { clock, core, asked, connect, stop };
}

Deno.test("[S5] a storm costs version 2 a few texts and two sends each, and the store a few writes", async () => {
  const { clock, asked, connect, stop } = await countingNode();
  const clients = Array.from({ length: USERS }, (_, n) => connect(n + 1, 2));
  await clock.advance(1_000);
  equal(asked.apply, Math.ceil(USERS / BATCH_USERS_MAX));
  // A notification may be faster than the answer to the write that it tells of.
  ok(asked.readFeed <= asked.apply, `${asked.readFeed} reads`);
  equal(asked.snapshot, 0);
  const texts = new Set(clients.flatMap(({ socket }) => socket.sent));
  const sends = clients.reduce(
    (sum, { socket }) => sum + socket.sent.length,
    0,
  );
  ok(texts.size <= 6, `${texts.size} texts`);
  ok(sends <= 2.5 * USERS, `${sends} sends`);
  await stop();
});

Deno.test("[P6] a storm costs version 1 one text for each transition, and one send to each other", async () => {
  const { clock, asked, connect, stop, core } = await countingNode();
  const listeners = Array.from({ length: 50 }, (_, n) => connect(n + 1, 1));
  await clock.advance(1_000);
  const before = listeners.map(({ socket }) => socket.sent.length);
  const writes = asked.apply;
  for (let n = 0; n < USERS; n++) connect(USERS + n + 1, 2);
  await clock.advance(1_000);
  equal(asked.apply - writes, Math.ceil(USERS / BATCH_USERS_MAX));
  for (const [n, { socket }] of listeners.entries()) {
    equal(socket.sent.length - (before[n] ?? 0), USERS);
  }
  const { ring } = core.roster;
  const first = listeners[0]?.socket.sent.slice(-USERS) ?? [];
  // The very text of the ring, not one made for each: a send converts it and nothing else does.
  for (let n = 0; n < USERS; n += 250) {
    equal(first[n], ring.at(ring.head - USERS + n).message);
  }
  ok(ring.head - ring.tail <= RING_TRANSITIONS_MAX);
  await stop();
});

Deno.test("a list that did not change is made once, whoever asks", async () => {
  const { clock, connect, stop, core } = await countingNode();
  for (let n = 0; n < 100; n++) connect(n + 1, 2);
  await clock.advance(1_000);
  const made = core.roster.usersJson();
  for (let n = 0; n < 1_000; n++) ok(Object.is(core.roster.usersJson(), made));
  await stop();
});
