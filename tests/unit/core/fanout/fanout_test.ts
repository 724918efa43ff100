import { deepEqual, equal, ok } from "node:assert/strict";
import { Subscriptions } from "../../../../src/core/fanout/subscriptions.ts";
import { Fanout } from "../../../../src/core/fanout/fanout.ts";
import { CLIENT_MESSAGES_MAX } from "../../../../src/base/limits.ts";
import {
  SEND_BUFFER_BYTES_MAX,
  SENDS_PER_LOOK_MAX,
  SLOW_CONSUMER_BYTES_PER_SECOND_MIN,
  SLOW_CONSUMER_MS,
  STALLED_RECHECK_MS,
} from "../../../../src/core/fanout/limits.ts";
import { noMetrics } from "../../../../src/base/metrics.ts";
import { Roster } from "../../../../src/core/roster/roster.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import { liveConnection, rememberingLog } from "../../../support/fakes.ts";

function fanout(
  userIds: readonly number[],
  capacity = 100_000,
  version: 1 | 2 = 1,
) {
  const subscriptions = new Subscriptions();
  const roster = new Roster(capacity);
  const clock = new FakeClock();
  const log = rememberingLog();
  const peers = userIds.map((userId) => liveConnection(userId, { version }));
  for (const { connection } of peers) subscriptions.add(connection);
  const subject = new Fanout({
    ...{ subscriptions, roster, clock, log, metrics: noMetrics },
    ...{ intervalMs: 50, stateUsersMax: 10 },
    connections: {
      disconnect: (connection, why) => {
        connection.close(why);
        subscriptions.remove(connection);
      },
    },
  });
  let seq = 0;
  const tell = (userId: number, count = 1) => {
    const username = `user${userId}`;
    for (let n = 0; n < count; n++) {
      const status = roster.nameOf(userId) === undefined ? "online" : "offline";
      subject.advanced(
        roster.advance({ seq: ++seq, userId, username, status }),
      );
    }
  };
  return { subject, clock, log, peers, subscriptions, tell, roster };
}

Deno.test("[P2] everybody hears a change but the user itself", async () => {
  const { clock, peers, tell, subject } = fanout([1, 2, 2, 3]);
  tell(2);
  await clock.advance(0);
  deepEqual(peers.map(({ socket }) => socket.sent.length), [1, 0, 0, 1]);
  equal(peers[0]?.socket.sent[0], '{"type":"user_online","userId":2}');
  await subject.stop();
});

Deno.test("a send that fails is logged, ends that connection, and harms nobody else", async () => {
  const { clock, peers, tell, log, subject } = fanout([1, 2, 3]);
  const [first, second, third] = peers;
  if (second !== undefined) second.socket.failure = new Error("broken");
  tell(9);
  await clock.advance(0);
  deepEqual([first?.socket.sent.length, third?.socket.sent.length], [1, 1]);
  deepEqual(second?.socket.closes, ["1011 send failed"]);
  deepEqual(log.events, ["warn: cannot send to a connection"]);
  await subject.stop();
});

Deno.test("[L1] a peer that does not read costs its buffer, delays nobody, and goes on where it was", async () => {
  const { clock, peers, tell, subject } = fanout([1, 2]);
  const [slow, quick] = peers;
  if (slow === undefined || quick === undefined) throw new Error("no peers");
  slow.socket.reading = false;
  tell(9, 10_000);
  await clock.advance(STALLED_RECHECK_MS * 3);
  equal(quick.socket.sent.length, 10_000);
  ok(
    slow.socket.bufferedAmount <
      SEND_BUFFER_BYTES_MAX + SENDS_PER_LOOK_MAX * 40,
  );
  ok(slow.socket.sent.length < 3_000);

  slow.socket.reading = true;
  slow.socket.bufferedAmount = 0;
  await clock.advance(STALLED_RECHECK_MS);
  deepEqual(slow.socket.sent, quick.socket.sent);
  await subject.stop();
});

Deno.test("[L1] a peer that takes nothing for long is closed with 1013", async () => {
  const { clock, peers, tell, subject, subscriptions } = fanout([1, 2]);
  if (peers[0] !== undefined) peers[0].socket.reading = false;
  tell(9, 3_000);
  await clock.advance(SLOW_CONSUMER_MS - STALLED_RECHECK_MS);
  deepEqual(peers[0]?.socket.closes, []);
  await clock.advance(4 * STALLED_RECHECK_MS);
  deepEqual(peers[0]?.socket.closes, ["1013 slow consumer: stopped reading"]);
  equal(subscriptions.v1Connections.size, 1);
  await subject.stop();
});

Deno.test("[L1] a peer that reads slowly but reads is not closed", async () => {
  const { clock, peers, tell, subject } = fanout([1]);
  const slow = peers[0];
  if (slow === undefined) throw new Error("no peer");
  slow.socket.reading = false;
  tell(9, 6_000);
  for (let round = 0; round < 5; round++) {
    await clock.advance(SLOW_CONSUMER_MS / 2);
    slow.socket.bufferedAmount -= 100;
  }
  deepEqual(slow.socket.closes, []);
  await subject.stop();
});

Deno.test("[S3] a large state, of which nothing counts as taken before all of it is, has its time", async () => {
  const { clock, subject, subscriptions, roster } = fanout([]);
  const username = "x".repeat(100);
  const ids = Array.from({ length: 10_000 }, (_, index) => index + 1);
  roster.replace({ seq: 1, users: ids.map((id) => ({ id, username })) });
  const { connection, socket } = liveConnection(1, { version: 2 });
  socket.reading = false;
  subscriptions.add(connection);
  subject.watch(connection, new Set(ids));
  await clock.advance(0);
  const large = socket.bufferedAmount - SEND_BUFFER_BYTES_MAX;
  ok(large > 1_000_000);
  const change = { seq: 2, userId: 1, username, status: "offline" } as const;
  subject.advanced(roster.advance(change));
  await clock.advance(
    SLOW_CONSUMER_MS + large / SLOW_CONSUMER_BYTES_PER_SECOND_MIN * 1_000 -
      1_000,
  );
  deepEqual(socket.closes, []);
  await clock.advance(2_000);
  deepEqual(socket.closes, ["1013 slow consumer: stopped reading"]);
  equal(socket.sent.length, 1);
  await subject.stop();
});

Deno.test("[P6] a connection that fell off the ring is closed with 1013 rather than told with a gap", async () => {
  const { clock, peers, tell, subject } = fanout([1, 2], 2_500);
  if (peers[0] !== undefined) peers[0].socket.reading = false;
  tell(9, 2_500);
  await clock.advance(0);
  tell(9, 2_500);
  await clock.advance(STALLED_RECHECK_MS);
  deepEqual(peers[0]?.socket.closes, ["1013 slow consumer: too far behind"]);
  equal(peers[1]?.socket.sent.length, 5_000);
  await subject.stop();
});

Deno.test("any number of wakes in one turn cause one pass, and a later one finds nothing to do", async () => {
  const { clock, peers, tell, subject } = fanout([1]);
  for (let n = 0; n < 10; n++) tell(9);
  equal(peers[0]?.socket.sent.length, 0);
  await clock.advance(0);
  equal(peers[0]?.socket.sent.length, 10);
  subject.wake();
  await clock.advance(0);
  equal(peers[0]?.socket.sent.length, 10);
  await subject.stop();
});

/** Version 2 peers, and what each of them was sent, without names. */
function followers(count: number, capacity?: number) {
  const ids = Array.from({ length: count }, (_, index) => 101 + index);
  const deps = fanout(ids, capacity, 2);
  const [first, ...others] = deps.peers;
  if (first === undefined) throw new Error("no peers");
  const heard = ({ socket } = first) =>
    socket.sent.map((text) => {
      const { type, seq, users, online, offline, code } = JSON.parse(text);
      const ids = (list: { id: number }[]) => list.map(({ id }) => id);
      if (type === "presence_state") return `${seq} is ${ids(users)}`;
      if (type === "presence_diff") return `${seq} +${ids(online)} -${offline}`;
      return `${type} ${code ?? online ?? seq}`;
    });
  return { ...deps, first, others, heard };
}

Deno.test("[S1] the first message is a state, then come merged differences", async () => {
  const { subject, clock, tell, heard } = followers(1);
  tell(1);
  await clock.advance(0);
  deepEqual(heard(), ["1 is 1"]);
  await clock.advance(100);
  for (const userId of [2, 3, 2, 1, 4]) tell(userId);
  await clock.advance(0);
  deepEqual(heard(), ["1 is 1", "6 +3,4 -1"]);
  await clock.advance(100);
  tell(5, 2);
  await clock.advance(100);
  equal(heard().length, 2, "who came and went is no news");
  tell(5);
  await clock.advance(100);
  deepEqual(heard().slice(2), ["9 +5 -"]);
  await subject.stop();
});

Deno.test("[S5] a lone transition waits for nothing, and a storm brings one difference per interval", async () => {
  const { subject, clock, tell, first, heard } = followers(1);
  subject.wake();
  await clock.advance(1_000);
  tell(1);
  await clock.advance(0);
  deepEqual(heard(), ["0 is ", "1 +1 -"]);
  for (let ms = 1; ms <= 1_000; ms++) {
    tell(2 + ms % 7);
    await clock.advance(1);
  }
  const differences = first.socket.sent.length - 2;
  ok(differences >= 19 && differences <= 20, `${differences} differences`);
  await subject.stop();
});

Deno.test("[S5] one text is made for all who are at the same place", async () => {
  const { subject, clock, tell, first, others, subscriptions } = followers(3);
  tell(1);
  await clock.advance(100);
  tell(2);
  await clock.advance(100);
  for (const { socket } of others) deepEqual(socket.sent, first.socket.sent);
  equal(subscriptions.followers.size, 3);
  await subject.stop();
});

Deno.test("[S3] a peer that does not read is told nothing more, then one difference", async () => {
  const { subject, clock, tell, first, others, heard } = followers(2);
  subject.wake();
  await clock.advance(100);
  first.socket.reading = false;
  tell(1);
  await clock.advance(100);
  const buffered = first.socket.bufferedAmount;
  for (let n = 0; n < 3_000; n++) tell(2 + n % 7);
  await clock.advance(5_000);
  equal(first.socket.bufferedAmount, buffered);
  equal(first.socket.sent.length, 2);
  equal(others[0]?.socket.sent.length, 3);

  first.socket.bufferedAmount = 0;
  await clock.advance(STALLED_RECHECK_MS);
  deepEqual(heard().slice(2), ["3001 +2,3,4,5 -"]);
  await subject.stop();
});

Deno.test("[S3] a version 2 peer that takes nothing for long is closed with 1013", async () => {
  const { subject, clock, tell, first } = followers(1);
  first.socket.reading = false;
  tell(1);
  await clock.advance(100);
  tell(2);
  await clock.advance(SLOW_CONSUMER_MS - 1_000);
  deepEqual(first.socket.closes, []);
  await clock.advance(2_000);
  deepEqual(first.socket.closes, ["1013 slow consumer: stopped reading"]);
  await subject.stop();
});

Deno.test("[S2][S3] who fell off the ring gets a new state", async () => {
  const { subject, clock, tell, first, heard } = followers(1, 5);
  subject.wake();
  await clock.advance(100);
  first.socket.bufferedAmount = 1;
  for (let userId = 1; userId <= 8; userId++) tell(userId);
  await clock.advance(100);
  first.socket.bufferedAmount = 0;
  await clock.advance(STALLED_RECHECK_MS);
  deepEqual(heard(), ["0 is ", "8 is 1,2,3,4,5,6,7,8"]);
  await subject.stop();
});

Deno.test("[S2] after the roster was replaced everybody gets a new state", async () => {
  const { subject, clock, tell, first, others, heard, roster } = followers(2);
  tell(1, 3);
  await clock.advance(100);
  equal(subject.watch(first.connection, new Set([1])), "watching");
  await clock.advance(100);
  const users = [{ id: 7, username: "user7" }];
  subject.advanced(roster.replace({ seq: 2, users }));
  await clock.advance(100);
  deepEqual(heard(), ["3 is 1", "3 is 1", "2 is "]);
  deepEqual(heard(others[0]), ["3 is 1", "2 is 7"]);
  await subject.stop();
});

Deno.test("[S4] what answers a watch is told by its number, and one state answers several", async () => {
  const { subject, clock, tell, first } = followers(1);
  tell(1);
  await clock.advance(100);
  const before = first.socket.sent.length;
  subject.watch(first.connection, new Set([1]), { ref: 5 });
  subject.watch(first.connection, new Set([2]), { ref: 6 });
  await clock.advance(100);
  subject.watch(first.connection, "*");
  await clock.advance(100);
  deepEqual(first.socket.sent.slice(before), [
    '{"type":"watching","ref":6}',
    '{"type":"presence_state","seq":1,"users":[]}',
    '{"type":"presence_state","seq":1,"users":[{"id":1,"username":"user1"}]}',
  ]);
  await subject.stop();
});

Deno.test("[S2] who resumes is told of users by the names that they have now", async () => {
  const { subject, clock, tell, roster, subscriptions } = fanout([]);
  tell(2);
  roster.rename([{ id: 2, username: "rob" }]);
  const { connection, socket } = liveConnection(1, { version: 2 });
  connection.cursor = 0;
  subscriptions.add(connection);
  subject.wake();
  await clock.advance(0);
  deepEqual(socket.sent, [
    '{"type":"presence_diff","seq":1,"online":[{"id":2,"username":"rob"}],"offline":[]}',
  ]);
  await subject.stop();
});

Deno.test("[S4] who watches hears only of these, and others are not visited for them", async () => {
  const { subject, clock, tell, first, others, heard, subscriptions } =
    followers(2);
  subject.watch(first.connection, new Set([2, 3]));
  tell(2);
  await clock.advance(100);
  for (const userId of [4, 5, 2, 3, 6]) tell(userId);
  await clock.advance(100);
  deepEqual(heard(), ["1 is 2", "6 +3 -2"]);
  tell(7);
  equal(subscriptions.pending.size, 0);
  tell(3, 2);
  await clock.advance(100);
  equal(heard().length, 2, "who went and came is no news");
  equal(heard(others[0]).length, 3);

  subject.watch(first.connection, new Set());
  await clock.advance(100);
  tell(2);
  await clock.advance(100);
  subject.watch(first.connection, "*");
  await clock.advance(100);
  deepEqual(heard().slice(2), ["9 is ", "10 is 2,3,4,5,6,7"]);
  await subject.stop();
});

Deno.test("[S2][S4] who resumes watching is told what changed among them since", async () => {
  const { subject, clock, tell, first, heard } = followers(1);
  for (const userId of [1, 2, 3, 1]) tell(userId);
  // It knew 1 and 2 as of seq 2.
  subject.watch(first.connection, new Set([1, 2, 9]), { since: 2 });
  tell(9);
  await clock.advance(100);
  deepEqual(heard(), ["5 +9 -1"]);
  await subject.stop();
});

Deno.test("[S2] who resumes where nothing happened is told so", async () => {
  const { subject, clock, tell, first, heard } = followers(1);
  tell(1, 4);
  first.connection.cursor = 4;
  await clock.advance(100);
  deepEqual(heard(), ["4 + -"]);
  await subject.stop();
});

Deno.test("[S1] what is said of early messages waits for the state, and only so much of it", async () => {
  const { subject, clock, first, heard } = followers(1);
  subject.keepAlive(first.connection);
  for (let n = 0; n < 2 * CLIENT_MESSAGES_MAX; n++) {
    subject.sendControl(first.connection, `{"type":"error","code":"e${n}"}`);
  }
  deepEqual(heard(), []);
  subject.wake();
  await clock.advance(100);
  equal(heard().length, 1 + CLIENT_MESSAGES_MAX);
  deepEqual(heard().slice(0, 2), ["0 is ", "error e0"]);
  subject.sendControl(first.connection, '{"type":"error","code":"later"}');
  equal(heard().at(-1), "error later");
  await subject.stop();
});

Deno.test("[S1][S2] what happens during a pass is told by the next, also to who resumed meanwhile", async () => {
  const { subject, clock, tell, first, others, heard } = followers(2);
  subject.wake();
  await clock.advance(100);
  const resumed = others[0];
  first.socket.onSend = () => {
    first.socket.onSend = () => {};
    tell(2);
    // As if it had just connected with the newest seq.
    if (resumed?.connection.sync === undefined) throw new Error("no peer");
    resumed.connection.cursor = 2;
    resumed.connection.sync.hasSnapshot = false;
  };
  tell(1);
  await clock.advance(100);
  deepEqual(heard(), ["0 is ", "1 +1 -", "2 +2 -"]);
  deepEqual(heard(resumed), ["0 is ", "2 + -"]);
  await subject.stop();
});

Deno.test("[L1] past the bound counts come instead of names, and names again when there are fewer", async () => {
  const { subject, clock, tell, heard, first } = followers(1);
  for (let userId = 1; userId <= 11; userId++) tell(userId);
  await clock.advance(100);
  deepEqual(heard(), ["error too_many_online", "presence_count 11"]);
  tell(12);
  await clock.advance(500);
  equal(heard().length, 2, "a count waits for its second");
  await clock.advance(1_000);
  deepEqual(heard().slice(2), ["presence_count 12"]);
  for (const userId of [1, 2]) tell(userId);
  await clock.advance(2_000);
  deepEqual(heard().slice(3), ["presence_count 10"]);
  tell(3);
  await clock.advance(2_000);
  deepEqual(heard().slice(4), ["15 is 4,5,6,7,8,9,10,11,12"]);
  equal(first.socket.closes.length, 0);
  await subject.stop();
});

Deno.test("[L1] a node watches only so many ids", () => {
  const subscriptions = new Subscriptions(5);
  const [one, two] = [101, 102].map((userId) =>
    liveConnection(userId, { version: 2 }).connection
  );
  if (one === undefined || two === undefined) throw new Error("no peers");
  subscriptions.add(one);
  subscriptions.add(two);
  equal(subscriptions.watch(one, new Set([1, 2, 3])), "watching");
  equal(subscriptions.watch(two, new Set([1, 2, 3])), "full");
  deepEqual([...subscriptions.followers], [two]);
  equal(subscriptions.watch(one, new Set([4])), "watching");
  equal(subscriptions.watch(two, new Set([1, 2, 3])), "watching");
  subscriptions.remove(one);
  subscriptions.remove(two);
  equal(subscriptions.watch(one, new Set([1, 2, 3, 4, 5])), "watching");
});
