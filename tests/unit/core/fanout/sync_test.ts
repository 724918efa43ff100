import { STALLED_RECHECK_MS } from "../../../../src/base/limits.ts";
import { deepEqual, equal, ok } from "node:assert/strict";
import { CLIENT_MESSAGES_MAX } from "../../../../src/base/limits.ts";
import { SLOW_CONSUMER_MS } from "../../../../src/core/fanout/limits.ts";
import { createFanout, received } from "../../../support/fanout.ts";

Deno.test("[S1] the first message is a snapshot, and the next are merged diffs", async () => {
  const { fanout, clock, change, connectV2 } = createFanout();
  const peer = connectV2();
  change(1);
  await clock.advance(0);
  deepEqual(received(peer), ["1 is 1"]);
  await clock.advance(100);
  for (const userId of [2, 3, 2, 1, 4]) change(userId);
  await clock.advance(0);
  deepEqual(received(peer), ["1 is 1", "6 +3,4 -1"]);
  await clock.advance(100);
  change(5, 2);
  await clock.advance(100);
  equal(received(peer).length, 2, "a user that came and went is no change");
  change(5);
  await clock.advance(100);
  deepEqual(received(peer).slice(2), ["9 +5 -"]);
  await fanout.stop();
});

Deno.test("[S5] a lone change is sent at once, and a storm causes one diff for each interval", async () => {
  const { fanout, clock, change, connectV2 } = createFanout();
  const peer = connectV2();
  await clock.advance(1_000);
  change(1);
  await clock.advance(0);
  deepEqual(received(peer), ["0 is ", "1 +1 -"]);
  for (let ms = 1; ms <= 1_000; ms++) {
    change(2 + ms % 7);
    await clock.advance(1);
  }
  const diffs = peer.socket.sent.length - 2;
  ok(diffs >= 19 && diffs <= 20, `${diffs} diffs`);
  await fanout.stop();
});

Deno.test("[S5] connections at the same position receive the same text", async () => {
  const { fanout, clock, change, connectV2, subscriptions } = createFanout();
  const [first, ...others] = [connectV2(101), connectV2(102), connectV2(103)];
  change(1);
  await clock.advance(100);
  change(2);
  await clock.advance(100);
  for (const { socket } of others) deepEqual(socket.sent, first?.socket.sent);
  equal(subscriptions.v2Connections, 3);
  await fanout.stop();
});

Deno.test("[S3] a peer that does not read is sent nothing more, and one diff when it reads again", async () => {
  const { fanout, clock, change, connectV2 } = createFanout();
  const [slow, quick] = [connectV2(101), connectV2(102)];
  await clock.advance(100);
  slow.socket.reading = false;
  change(1);
  await clock.advance(100);
  const buffered = slow.socket.bufferedAmount;
  for (let n = 0; n < 3_000; n++) change(2 + n % 7);
  await clock.advance(5_000);
  equal(slow.socket.bufferedAmount, buffered);
  equal(slow.socket.sent.length, 2);
  equal(quick.socket.sent.length, 3);

  slow.socket.bufferedAmount = 0;
  await clock.advance(STALLED_RECHECK_MS);
  deepEqual(received(slow).slice(2), ["3001 +2,3,4,5 -"]);
  await fanout.stop();
});

Deno.test("[S3] a version 2 peer that reads nothing for SLOW_CONSUMER_MS is closed with 1013", async () => {
  const { fanout, clock, change, connectV2 } = createFanout();
  const { socket } = connectV2();
  socket.reading = false;
  change(1);
  await clock.advance(100);
  change(2);
  await clock.advance(SLOW_CONSUMER_MS - 1_000);
  deepEqual(socket.closes, []);
  await clock.advance(2_000);
  deepEqual(socket.closes, ["1013 slow consumer: stopped reading"]);
  await fanout.stop();
});

Deno.test("[S2][S3] a version 2 connection whose next change left the ring receives a snapshot", async () => {
  const { fanout, clock, change, connectV2 } = createFanout(5);
  const peer = connectV2();
  await clock.advance(100);
  peer.socket.bufferedAmount = 1;
  for (let userId = 1; userId <= 8; userId++) change(userId);
  await clock.advance(100);
  peer.socket.bufferedAmount = 0;
  await clock.advance(STALLED_RECHECK_MS);
  deepEqual(received(peer), ["0 is ", "8 is 1,2,3,4,5,6,7,8"]);
  await fanout.stop();
});

Deno.test("[S2] every version 2 connection receives a snapshot after the roster was replaced", async () => {
  const { fanout, clock, change, connectV2, replace } = createFanout();
  const [first, second] = [connectV2(101), connectV2(102)];
  change(1, 3);
  await clock.advance(100);
  equal(fanout.watch(first.connection, new Set([1])), "watching");
  await clock.advance(100);
  const users = [{ id: 7, username: "user7" }];
  replace({ seq: 2, users });
  await clock.advance(100);
  deepEqual(received(first), ["3 is 1", "3 is 1", "2 is "]);
  deepEqual(received(second), ["3 is 1", "2 is 7"]);
  await fanout.stop();
});

Deno.test("[S2] a client that resumes receives users by their current names", async () => {
  const { fanout, clock, change, connectV2, roster } = createFanout();
  change(2);
  roster.rename([{ id: 2, username: "rob" }]);
  const { socket } = connectV2(1, { since: 0 });
  await clock.advance(0);
  deepEqual(socket.sent, [
    '{"type":"presence_diff","seq":1,"online":[{"id":2,"username":"rob"}],"offline":[]}',
  ]);
  await fanout.stop();
});

Deno.test("[S2] a client that resumes after no change receives an empty diff", async () => {
  const { fanout, clock, change, connectV2 } = createFanout();
  change(1, 4);
  const peer = connectV2(101, { since: 4 });
  await clock.advance(100);
  deepEqual(received(peer), ["4 + -"]);
  await fanout.stop();
});

Deno.test("[S1] a bounded number of control messages waits for the first snapshot", async () => {
  const { fanout, clock, connectV2 } = createFanout();
  const peer = connectV2();
  const { connection } = peer;
  fanout.keepAlive(connection, 0);
  for (let n = 0; n < 2 * CLIENT_MESSAGES_MAX; n++) {
    fanout.sendControl(connection, `{"type":"error","code":"e${n}"}`);
  }
  deepEqual(received(peer), []);
  await clock.advance(100);
  equal(received(peer).length, 1 + CLIENT_MESSAGES_MAX);
  deepEqual(received(peer).slice(0, 2), ["0 is ", "error e0"]);
  fanout.sendControl(connection, '{"type":"error","code":"later"}');
  equal(received(peer).at(-1), "error later");
  await fanout.stop();
});

Deno.test("[S2] a keepalive is sent after a silence, and not while a change waits", async () => {
  const { fanout, clock, change, connectV2 } = createFanout();
  const [everyone, watcher] = [
    connectV2(101),
    connectV2(102, { watch: new Set([1]) }),
  ];
  const keepAlive = () => {
    for (const { connection } of [everyone, watcher]) {
      fanout.keepAlive(connection, 1_000);
    }
  };
  await clock.advance(999);
  keepAlive();
  deepEqual(received(everyone), ["0 is "]);
  await clock.advance(1);
  keepAlive();
  keepAlive();
  for (const peer of [everyone, watcher]) {
    deepEqual(received(peer), ["0 is ", "keepalive 0"]);
    peer.socket.bufferedAmount = 1;
  }
  change(1);
  await clock.advance(2_000);
  keepAlive();
  for (const peer of [everyone, watcher]) equal(received(peer).length, 2);
  await fanout.stop();
});

Deno.test("[S1][S2] a change during a pass is sent in the next, also to a client that resumed meanwhile", async () => {
  const { fanout, clock, change, connectV2 } = createFanout();
  const first = connectV2(101);
  await clock.advance(100);
  let resumed = first;
  first.socket.onSend = () => {
    first.socket.onSend = () => {};
    change(2);
    resumed = connectV2(102, { since: 2 });
  };
  change(1);
  await clock.advance(100);
  deepEqual(received(first), ["0 is ", "1 +1 -", "2 +2 -"]);
  deepEqual(received(resumed), ["2 + -"]);
  await fanout.stop();
});

Deno.test("[L1] above the limit counts replace names, and below it a snapshot follows", async () => {
  const { fanout, clock, change, connectV2 } = createFanout();
  const peer = connectV2();
  for (let userId = 1; userId <= 11; userId++) change(userId);
  await clock.advance(100);
  deepEqual(received(peer), ["error too_many_online", "presence_count 11"]);
  change(12);
  await clock.advance(500);
  equal(received(peer).length, 2, "a count waits for its interval");
  await clock.advance(1_000);
  deepEqual(received(peer).slice(2), ["presence_count 12"]);
  for (const userId of [1, 2]) change(userId);
  await clock.advance(2_000);
  deepEqual(received(peer).slice(3), ["presence_count 10"]);
  change(3);
  await clock.advance(2_000);
  deepEqual(received(peer).slice(4), ["15 is 4,5,6,7,8,9,10,11,12"]);
  equal(peer.socket.closes.length, 0);
  await fanout.stop();
});

Deno.test("[L1] a client that receives counts receives another one after the roster was replaced", async () => {
  const { fanout, clock, change, connectV2, roster, replace } = createFanout();
  const peer = connectV2();
  for (let userId = 1; userId <= 11; userId++) change(userId);
  await clock.advance(100);
  replace({ seq: 5, users: roster.everybody.users() });
  await clock.advance(2_000);
  deepEqual(received(peer).slice(1), [
    "presence_count 11",
    "presence_count 11",
  ]);
  const last = JSON.parse(peer.socket.sent.at(-1) ?? "");
  equal(last.seq, 5);
  await fanout.stop();
});
