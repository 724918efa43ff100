import { deepEqual, equal } from "node:assert/strict";
import { Connections } from "../../../../src/core/connections/connections.ts";
import { Hub } from "../../../../src/core/connections/hub.ts";
import { noMetrics } from "../../../../src/base/metrics.ts";
import { Presence } from "../../../../src/core/presence/presence.ts";
import type { Status } from "../../../../src/protocol/messages.ts";
import type { Applied } from "../../../../src/core/store/store.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import { joiningConnection, rememberingLog } from "../../../support/fakes.ts";

/** A presence whose writes wait until they are answered. */
function presence(offlineGraceMs = 0, catchUp = () => Promise.resolve()) {
  const clock = new FakeClock();
  const online = new Set<number>();
  const writes: {
    readonly arriving: readonly number[];
    readonly leaving: readonly number[];
    answer(applied?: Partial<Applied>): Promise<void>;
  }[] = [];
  const connections = new Connections(new Hub(), noMetrics);
  const subject = new Presence({
    ...{ connections, clock, offlineGraceMs },
    log: rememberingLog(),
    metrics: noMetrics,
    store: {
      apply: (_nodeId, arriving, leaving) => {
        const { promise, resolve } = Promise.withResolvers<Applied>();
        const answer = async (applied: Partial<Applied> = {}) => {
          resolve({ transitions: [], unknown: [], busy: [], ...applied });
          await clock.advance(0);
        };
        writes.push({ arriving, leaving, answer });
        return promise;
      },
      claimedBy: () => Promise.resolve([]),
    },
    roster: online,
    feed: {
      ingest: () => {},
      catchUp: () => catchUp().then(() => "read" as const),
    },
    lease: { nodeId: "a", rejoin: () => Promise.resolve() },
    onLive: () => {},
  }, () => 1);
  connections.observe(subject);
  const isNow = (userId: number, status: Status) =>
    subject.onFeedChanges([{
      userId,
      status,
      username: "",
      message: "",
      seq: 1,
    }]);
  const isOffline = (userId: number) => isNow(userId, "offline");
  return { connections, subject, clock, writes, online, isNow, isOffline };
}

Deno.test("[P1] who was told to be offline while a write was under way is written again", async () => {
  const { connections, subject, clock, writes, isOffline } = presence();
  const { connection, socket } = joiningConnection(7);
  connections.open(connection);
  await clock.advance(0);
  // The write committed, the row was deleted, and the news of that is faster than the answer.
  isOffline(7);
  await writes[0]?.answer();
  equal(connection.state, "joining");
  deepEqual(writes[1]?.arriving, [7]);
  await writes[1]?.answer({ unknown: [7] });
  deepEqual(socket.closes, ["1008 unknown user"]);
  equal(writes.length, 2);
  await subject.stop();
});

Deno.test("[P1] who was told to be offline during the grace is written again on return", async () => {
  const { connections, subject, clock, writes, isOffline } = presence(10_000);
  const first = joiningConnection(7);
  connections.open(first.connection);
  await clock.advance(0);
  await writes[0]?.answer();
  equal(first.connection.state, "live");
  connections.closed(first.connection);
  isOffline(7);
  const second = joiningConnection(7);
  connections.open(second.connection);
  equal(second.connection.state, "joining");
  await clock.advance(0);
  deepEqual(writes[1]?.arriving, [7]);
  await writes[1]?.answer();
  equal(second.connection.state, "live");
  await subject.stop();
});

Deno.test("[L1] rows that stay busy are asked for less and less often", async () => {
  const { connections, subject, clock, writes } = presence();
  connections.open(joiningConnection(7).connection);
  await clock.advance(0);
  let answered = 0;
  for (let round = 0; round < 60 * 10; round++) {
    // Those who come and go meanwhile are no reason to ask sooner.
    connections.open(joiningConnection(100 + round).connection);
    await clock.advance(0);
    while (writes.length > answered) {
      await writes[answered]?.answer({ busy: [7] });
      answered += 1;
    }
    await clock.advance(100);
  }
  const asked = writes.filter(({ arriving }) => arriving.includes(7)).length;
  equal(asked > 25 && asked < 50, true, `${asked}`);
  await subject.stop();
});

Deno.test("[S1] who is claimed is told nothing before the roster has got as far", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { connections, subject, clock, writes, online } = presence(
    0,
    () => promise,
  );
  const [first, second] = [joiningConnection(7), joiningConnection(7)];
  const other = joiningConnection(8);
  connections.open(first.connection);
  connections.open(other.connection);
  await clock.advance(0);
  online.add(8);
  await writes[0]?.answer();
  equal(other.connection.state, "live");
  connections.open(second.connection);
  const states = () => [first.connection.state, second.connection.state];
  deepEqual(states(), ["joining", "joining"]);
  resolve();
  await clock.advance(0);
  deepEqual(states(), ["live", "live"]);
  await subject.stop();
});

Deno.test("[S1] who is claimed is live as soon as the roster tells of it, however much is read after that", async () => {
  const { connections, subject, clock, writes, isNow } = presence(
    0,
    () => new Promise(() => {}),
  );
  const { connection } = joiningConnection(7);
  connections.open(connection);
  await clock.advance(0);
  await writes[0]?.answer();
  isNow(8, "online");
  equal(connection.state, "joining");
  isNow(7, "online");
  equal(connection.state, "live");
  await subject.stop();
});
