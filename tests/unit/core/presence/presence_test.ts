import { deepEqual, equal } from "node:assert/strict";
import type { Connection } from "../../../../src/core/connections/connection.ts";
import { Connections } from "../../../../src/core/connections/connections.ts";
import { Hub } from "../../../../src/core/connections/hub.ts";
import { RETRY_LAST_MS } from "../../../../src/base/limits.ts";
import { noMetrics } from "../../../../src/base/metrics.ts";
import { BATCH_USERS_MAX } from "../../../../src/core/presence/limits.ts";
import { Presence } from "../../../../src/core/presence/presence.ts";
import { DISCONNECT } from "../../../../src/client/protocol/disconnect.ts";
import type { Status } from "../../../../src/client/protocol/messages.ts";
import type { UserId } from "../../../../src/client/protocol/user_id.ts";
import type { Applied } from "../../../../src/core/store/store.ts";
import { Change } from "../../../../src/core/roster/change.ts";
import { EVERYBODY, NOBODY } from "../../../../src/core/roster/groups.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import {
  joiningConnection,
  NOTHING_APPLIED,
  rememberingLog,
} from "../../../support/fakes.ts";

function changeOf(userId: number, status: Status): Change {
  const user = { userId, username: "" };
  const [before, after] = status === "online"
    ? [NOBODY, EVERYBODY]
    : [EVERYBODY, NOBODY];
  return new Change(user, before, after, 1, 0);
}

/** A presence whose writes wait until the test answers them. */
function createPresence(
  offlineGraceMs = 0,
  catchUp = () => Promise.resolve(),
  groups?: { perUserMax: number },
) {
  const clock = new FakeClock();
  const online = new Set<UserId>();
  const writes: {
    readonly arriving: readonly UserId[];
    readonly leaving: readonly UserId[];
    answer(applied?: Partial<Applied>): Promise<void>;
    /** The write fails, and the pause after it is over. */
    fail(): Promise<void>;
  }[] = [];
  const connections = new Connections(new Hub(), noMetrics);
  const presence = new Presence({
    ...{ connections, clock, offlineGraceMs, groups },
    log: rememberingLog(),
    store: {
      apply: (_nodeId, arriving, leaving) => {
        const { promise, resolve, reject } = Promise.withResolvers<Applied>();
        const answer = async (applied: Partial<Applied> = {}) => {
          resolve({ ...NOTHING_APPLIED, ...applied });
          await clock.advance(0);
        };
        const fail = async () => {
          reject(new Error("away"));
          await clock.advance(RETRY_LAST_MS);
        };
        writes.push({ arriving, leaving, answer, fail });
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
  connections.observe(presence);
  const reportChange = (userId: number, status: Status) =>
    presence.onChange(changeOf(userId, status));
  const reportOffline = (userId: number) => reportChange(userId, "offline");
  return {
    connections,
    presence,
    clock,
    writes,
    online,
    reportChange,
    reportOffline,
  };
}

Deno.test("[P1] a user that the feed reports offline during a write is written again", async () => {
  const { connections, presence, clock, writes, reportOffline } =
    createPresence();
  const { connection, socket } = joiningConnection(7);
  connections.open(connection);
  await clock.advance(0);
  // The write was committed, then the row was deleted. The feed reports it before the write resolves.
  reportOffline(7);
  await writes[0]?.answer();
  equal(connection.state, "joining");
  deepEqual(writes[1]?.arriving, [7]);
  await writes[1]?.answer({ unknown: [7] });
  deepEqual(socket.closes, ["1008 unknown user"]);
  equal(writes.length, 2);
  await presence.stop();
});

Deno.test("[P8] who leaves for good, lost the token, or is disconnected for good is offline at once", async () => {
  const { connections, presence, clock, writes } = createPresence(10_000);
  const names = [1, 2, 3, 4, 5, 6];
  const live = names.map((userId) => joiningConnection(userId).connection);
  for (const connection of live) connections.open(connection);
  await clock.advance(0);
  await writes[0]?.answer();
  const [left, expired, ordered, cut, draining, gone] = live as [
    ...[Connection, Connection, Connection],
    ...[Connection, Connection, Connection],
  ];
  connections.closed(left, true);
  connections.disconnect(expired, DISCONNECT.tokenExpired);
  connections.disconnect(ordered, DISCONNECT.disconnectedByAdministrator);
  connections.closed(cut);
  connections.disconnect(draining, DISCONNECT.serverGoingAway);
  connections.closed(gone);
  await clock.advance(0);
  deepEqual(writes[1]?.leaving, [1, 2, 3]);
  await writes[1]?.answer();
  presence.endGrace((userId) => userId === 6);
  await clock.advance(0);
  deepEqual(writes[2]?.leaving, [6]);
  await writes[2]?.answer();
  await clock.advance(10_000);
  deepEqual(writes[3]?.leaving, [4, 5]);
  await writes[3]?.answer();
  await presence.stop();
});

Deno.test("[P8] a user who leaves for good by one of several connections stays online, with a grace after the last", async () => {
  const { connections, presence, clock, writes } = createPresence(10_000);
  const [one, two] = [joiningConnection(7), joiningConnection(7)];
  connections.open(one.connection);
  connections.open(two.connection);
  await clock.advance(0);
  await writes[0]?.answer();
  connections.closed(one.connection, true);
  connections.closed(two.connection);
  await clock.advance(9_999);
  equal(writes.length, 1);
  await clock.advance(1);
  deepEqual(writes[1]?.leaving, [7]);
  await writes[1]?.answer();
  await presence.stop();
});

Deno.test("[P1] a user that the feed reports offline during the grace is written again on return", async () => {
  const { connections, presence, clock, writes, reportOffline } =
    createPresence(10_000);
  const first = joiningConnection(7);
  connections.open(first.connection);
  await clock.advance(0);
  await writes[0]?.answer();
  equal(first.connection.state, "live");
  connections.closed(first.connection);
  reportOffline(7);
  const second = joiningConnection(7);
  connections.open(second.connection);
  equal(second.connection.state, "joining");
  await clock.advance(0);
  deepEqual(writes[1]?.arriving, [7]);
  await writes[1]?.answer();
  equal(second.connection.state, "live");
  await presence.stop();
});

Deno.test("[L1] a user who stays deferred is written again with growing pauses", async () => {
  const { connections, presence, clock, writes } = createPresence();
  connections.open(joiningConnection(7).connection);
  await clock.advance(0);
  let answered = 0;
  for (let round = 0; round < 60 * 10; round++) {
    // Other users that arrive meanwhile must not cause an earlier retry.
    connections.open(joiningConnection(100 + round).connection);
    await clock.advance(0);
    while (writes.length > answered) {
      await writes[answered]?.answer({ deferred: [7] });
      answered += 1;
    }
    await clock.advance(100);
  }
  const asked = writes.filter(({ arriving }) => arriving.includes(7)).length;
  equal(asked > 25 && asked < 50, true, `${asked}`);
  await presence.stop();
});

Deno.test("[S1] a connection of a claimed user stays joining until the roster has the user online", async () => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const { connections, presence, clock, writes, online } = createPresence(
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
  await presence.stop();
});

Deno.test("[S1] a connection of a claimed user becomes live as soon as the roster has the user online, before the read of the feed ends", async () => {
  const { connections, presence, clock, writes, reportChange } = createPresence(
    0,
    () => new Promise(() => {}),
  );
  const { connection } = joiningConnection(7);
  connections.open(connection);
  await clock.advance(0);
  await writes[0]?.answer();
  reportChange(8, "online");
  equal(connection.state, "joining");
  reportChange(7, "online");
  equal(connection.state, "live");
  await presence.stop();
});

Deno.test("[L1] a write that fails is halved down to one user, and writes that succeed grow again", async () => {
  const { connections, presence, clock, writes } = createPresence();
  for (let userId = 1; userId <= BATCH_USERS_MAX; userId++) {
    connections.open(joiningConnection(userId).connection);
  }
  await clock.advance(0);
  const sizes = () => writes.map(({ arriving }) => arriving.length);
  for (let failures = 0; failures < 12; failures++) {
    await writes.at(-1)?.fail();
  }
  deepEqual(sizes(), [1_000, 500, 250, 125, 63, 32, 16, 8, 4, 2, 1, 1, 1]);
  writes.splice(0, 12);
  while (writes.length < 10) await writes.at(-1)?.answer();
  deepEqual(sizes(), [1, 2, 4, 8, 16, 32, 64, 128, 256, 489]);
  await writes.at(-1)?.answer();
  equal(new Set(writes.flatMap(({ arriving }) => arriving)).size, 1_000);
  equal(writes.length, 10);
  await presence.stop();
});

Deno.test("[V3] with groups a connection becomes live by a write that began after it opened, however many open meanwhile", async () => {
  const { connections, presence, clock, writes, online } = createPresence(
    ...[0, undefined, { perUserMax: 100 }] as const,
  );
  online.add(7);
  const open = () => {
    const { connection } = joiningConnection(7);
    connections.open(connection);
    return connection;
  };
  const tabs = [open()];
  await clock.advance(0);
  for (let n = 0; n < 5; n++) {
    tabs.push(open());
    await writes[n]?.answer();
    deepEqual(writes[n + 1]?.arriving, [7]);
    deepEqual(tabs.map(({ state }) => state), [
      ...Array(n + 1).fill("live"),
      "joining",
    ]);
  }
  await writes[5]?.answer();
  equal(tabs.at(-1)?.state, "live");
  presence.reread(7);
  await clock.advance(0);
  deepEqual(writes[6]?.arriving, [7]);
  await writes[6]?.answer();
  equal(writes.length, 7);
  await presence.stop();
});

Deno.test("[V5] with groups that cannot be read a newcomer is closed with 1013, and a user who is in stays", async () => {
  const { connections, presence, clock, writes, online } = createPresence(
    ...[0, undefined, { perUserMax: 100 }] as const,
  );
  const first = joiningConnection(7);
  connections.open(first.connection);
  await clock.advance(0);
  online.add(7);
  await writes[0]?.answer();
  const others = [joiningConnection(7), joiningConnection(8)];
  for (const { connection } of others) connections.open(connection);
  await clock.advance(0);
  deepEqual(writes[1]?.arriving, [7, 8]);
  await writes[1]?.answer({ ungrouped: [8] });
  deepEqual(
    [first, ...others].map(({ connection }) => connection.state),
    ["live", "live", "closing"],
  );
  deepEqual(others[1]?.socket.closes, [
    "1013 groups cannot be read now, try again",
  ]);
  await clock.advance(0);
  deepEqual(writes[2]?.leaving, [8]);
  await writes[2]?.answer();
  await presence.stop();
});
