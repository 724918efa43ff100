import { deepEqual, equal, ok } from "node:assert/strict";
import {
  RESUME_CHANGES_PER_ID_MAX,
  SEND_BUFFER_BYTES_MAX,
  SLOW_CONSUMER_BYTES_PER_SECOND_MIN,
  SLOW_CONSUMER_MS,
  WATCH_BURST_BYTES,
  WATCH_BYTES_PER_SECOND_MAX,
} from "../../../../src/core/fanout/limits.ts";
import { TIMING } from "../../../../src/client/timing.ts";
import {
  createFanout,
  publishChange,
  received,
} from "../../../support/fanout.ts";

Deno.test("[S4] a watcher receives the changes of its users only, and is not visited for others", async () => {
  const { fanout, clock, change, connectV2, subscriptions } = createFanout();
  const [watcher, other] = [connectV2(101), connectV2(102)];
  const { connection } = watcher;
  fanout.watch(connection, new Set([2, 3]));
  change(2);
  await clock.advance(100);
  for (const userId of [4, 5, 2, 3, 6]) change(userId);
  await clock.advance(100);
  deepEqual(received(watcher), ["1 is 2", "6 +3 -2"]);
  change(7);
  equal(
    [...subscriptions.pendingV2.take()].length,
    1,
    "only the other",
  );
  change(3, 2);
  await clock.advance(100);
  equal(received(watcher).length, 2, "a user that went and came is no change");
  equal(received(other).length, 3);

  fanout.watch(connection, new Set());
  await clock.advance(100);
  change(2);
  await clock.advance(100);
  fanout.watch(connection, "*");
  await clock.advance(100);
  deepEqual(received(watcher).slice(2), ["9 is ", "10 is 2,3,4,5,6,7"]);
  await fanout.stop();
});

Deno.test("[S4] the answer to a watch repeats its ref, and one snapshot answers several", async () => {
  const { fanout, clock, change, connectV2 } = createFanout();
  const { connection, socket } = connectV2();
  change(1);
  await clock.advance(100);
  const before = socket.sent.length;
  fanout.watch(connection, new Set([1]), 5);
  fanout.watch(connection, new Set([2]), 6);
  await clock.advance(100);
  fanout.watch(connection, "*");
  await clock.advance(100);
  deepEqual(socket.sent.slice(before), [
    '{"type":"watching","ref":6}',
    '{"type":"presence_state","seq":1,"users":[]}',
    '{"type":"presence_state","seq":1,"users":[{"id":1,"username":"user1"}]}',
  ]);
  await fanout.stop();
});

Deno.test("[S2][S4] a watcher that resumes receives what changed among its users", async () => {
  const { fanout, clock, change, connectV2 } = createFanout();
  for (const userId of [1, 2, 3, 1]) change(userId);
  // Its copy is as of seq 2: users 1 and 2 are online.
  const watch = new Set([1, 2, 9]);
  const peer = connectV2(101, { since: 2, watch });
  change(9);
  await clock.advance(100);
  deepEqual(received(peer), ["5 +9 -1"]);
  await fanout.stop();
});

Deno.test("[S2][S4] a watcher that resumes after no change among its users receives an empty diff", async () => {
  const { fanout, clock, change, connectV2 } = createFanout();
  for (const userId of [1, 2, 3]) change(userId);
  const peer = connectV2(101, { since: 1, watch: new Set([1]) });
  await clock.advance(100);
  deepEqual(received(peer), ["3 + -"]);
  await fanout.stop();
});

Deno.test("[L1][S4] a watcher that resumes far behind receives a snapshot of its users, and no walk over all changes", async () => {
  const { fanout, clock, change, connectV2, roster } = createFanout();
  change(1);
  change(2, 2 * RESUME_CHANGES_PER_ID_MAX);
  const { ring } = roster;
  const at = ring.at.bind(ring);
  let steps = 0;
  ring.at = (position) => {
    steps += 1;
    return at(position);
  };
  const behind = (watch: Set<number>) => connectV2(101, { since: 1, watch });
  const far = behind(new Set([1]));
  ok(steps < 10, `${steps} changes were read`);
  const near = behind(new Set([1, 3]));
  await clock.advance(100);
  deepEqual(received(far), ["51 is 1"]);
  deepEqual(received(near), ["51 + -"]);
  await fanout.stop();
});

Deno.test("[S3] a peer has more time for a large snapshot, whose bytes count as unsent until the last has left", async () => {
  const { fanout, clock, connectV2, roster } = createFanout();
  const username = "x".repeat(100);
  const ids = Array.from({ length: 10_000 }, (_, index) => index + 1);
  roster.replace({ seq: 1, users: ids.map((id) => ({ id, username })) });
  const { socket } = connectV2(1, { watch: new Set(ids) });
  socket.reading = false;
  await clock.advance(0);
  const large = socket.bufferedAmount - SEND_BUFFER_BYTES_MAX;
  ok(large > 1_000_000);
  const change = { seq: 2, userId: 1, username, status: "offline" } as const;
  publishChange(fanout, roster.advance(change));
  await clock.advance(
    SLOW_CONSUMER_MS + large / SLOW_CONSUMER_BYTES_PER_SECOND_MIN * 1_000 -
      1_000,
  );
  deepEqual(socket.closes, []);
  await clock.advance(2_000);
  deepEqual(socket.closes, ["1013 slow consumer: stopped reading"]);
  equal(socket.sent.length, 1);
  await fanout.stop();
});

Deno.test("[L1] a watch on a connection that was closed changes nothing", async () => {
  const { fanout, clock, connectV2, subscriptions } = createFanout();
  const { connection } = connectV2();
  fanout.ended(connection);
  equal(fanout.watch(connection, new Set([1, 2])), "closed");
  deepEqual([subscriptions.v2Connections, subscriptions.watchedIds], [0, 0]);
  await clock.advance(100);
  await fanout.stop();
});

Deno.test("[L1] the snapshots that a user gets by watch have a budget of bytes, and past it the newest watch is answered later", async () => {
  const { fanout, clock, change, connectV2 } = createFanout();
  for (let userId = 1; userId <= 5_000; userId++) change(userId);
  const all = new Set(Array.from({ length: 5_000 }, (_, at) => at + 1));
  const [peer, tab, other] = [connectV2(101), connectV2(101), connectV2(102)];
  await clock.advance(100);
  const bytes = () => peer.socket.sent.join("").length;
  const free = bytes();
  let refs = 0;
  const flood = async (seconds: number) => {
    for (let n = 0; n < 10 * seconds; n++) {
      fanout.watch(peer.connection, all, ++refs);
      await clock.advance(100);
    }
  };
  await flood(60);
  const perState = bytes() / peer.socket.sent.length * 2;
  const allowed = WATCH_BURST_BYTES + 60 * WATCH_BYTES_PER_SECOND_MAX;
  ok(bytes() - free < allowed + 2 * perState, `${bytes()} bytes`);
  ok(bytes() - free > allowed - 2 * perState, `${bytes()} bytes`);

  // All connections of the user share the budget. Others do not wait.
  fanout.watch(tab.connection, all, 1);
  fanout.watch(other.connection, all, 1);
  const late = connectV2(101, { watch: all });
  await clock.advance(100);
  deepEqual(
    [tab, other, late].map(({ socket }) => socket.sent.length),
    [2, 4, 0],
  );
  // What a client did not get in time is not lost.
  await clock.advance(10_000);
  deepEqual([tab, late].map(({ socket }) => socket.sent.length), [4, 1]);
  const refOf = (text = "{}") => JSON.parse(text).ref;
  equal(refOf(peer.socket.sent.at(-2)), refs);
  change(1);
  await clock.advance(100);
  equal(received(peer).at(-1), "5001 + -1");
  await fanout.stop();
});

Deno.test("[L1] a snapshot that the server causes costs nothing of the budget of a user's watches", async () => {
  const { fanout, clock, connectV2, roster } = createFanout();
  const username = "x".repeat(250);
  const ids = Array.from({ length: 10_000 }, (_, index) => index + 1);
  const users = ids.map((id) => ({ id, username }));
  roster.replace({ seq: 1, users });
  const watch = new Set(ids);
  const tabs = [1, 2, 3, 4, 5].map(() => connectV2(101, { watch }));
  await clock.advance(100);
  for (const seq of [2, 3]) {
    roster.replace({ seq, users });
    fanout.publish();
    await clock.advance(1_000);
  }
  for (const { socket } of tabs) equal(socket.sent.length, 3);
  const caused = tabs.flatMap(({ socket }) => socket.sent.slice(1)).join("");
  ok(caused.length > WATCH_BURST_BYTES + 2 * WATCH_BYTES_PER_SECOND_MAX);
  await fanout.stop();
});

Deno.test("[L1] a state that is larger than the budget of a user's watches delays the next answer by less than a client waits", async () => {
  const { fanout, clock, connectV2, roster } = createFanout(10, Infinity);
  const username = "x".repeat(120);
  const ids = Array.from({ length: 200_000 }, (_, index) => index + 1);
  const users = ids.map((id) => ({ id, username }));
  roster.replace({ seq: 1, users });
  const peer = connectV2(101, { watch: new Set([1]) });
  await clock.advance(100);
  for (const state of [1, 2]) {
    fanout.watch(peer.connection, "*");
    await clock.advance(100);
    ok((peer.socket.sent[state]?.length ?? 0) > 3 * WATCH_BURST_BYTES);
  }
  fanout.watch(peer.connection, new Set([2]));
  await clock.advance(1_000);
  equal(peer.socket.sent.length, 3);
  await clock.advance(TIMING.quietMs + TIMING.checkMs);
  deepEqual(received(peer).slice(3), ["1 is 2"]);
  await fanout.stop();
});
