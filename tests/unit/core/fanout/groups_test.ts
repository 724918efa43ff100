import { deepEqual, equal, ok } from "node:assert/strict";
import {
  QUEUED_MESSAGES_MAX,
  SEND_BUFFER_BYTES_MAX,
} from "../../../../src/core/fanout/limits.ts";
import { STALLED_RECHECK_MS } from "../../../../src/base/limits.ts";
import { joiningConnection } from "../../../support/fakes.ts";
import { createFanout, type Peer, received } from "../../../support/fanout.ts";

function createGrouped(
  ringCapacity = 100_000,
  stateUsersMax = 10,
  groupsMax?: number,
) {
  return createFanout(ringCapacity, stateUsersMax, true, groupsMax);
}

/** The version 1 messages that a socket received, in short. */
function receivedV1({ socket }: Peer): string[] {
  return socket.sent.map((text) => {
    const { type, userId } = JSON.parse(text);
    return `${type === "user_online" ? "+" : "-"}${userId}`;
  });
}

Deno.test("[V1] a viewer receives users of its own groups, in any number of groups, and no others", async () => {
  const { put, clock, connectV1, connectV2, fanout } = createGrouped();
  put(1, ["a", "b"]);
  put(2, ["b", "c"]);
  put(3, ["c"]);
  const [v1, v2] = [connectV1(1), connectV2(1)];
  await clock.advance(100);
  put(4, ["a", "b"]);
  put(5, ["d"]);
  put(6, ["b", "c", "d"]);
  await clock.advance(100);
  for (const userId of [2, 3, 4, 5, 6]) put(userId);
  await clock.advance(100);
  deepEqual(receivedV1(v1), ["+4", "+6", "-2", "-4", "-6"]);
  deepEqual(received(v2), ["3 is 1,2", "6 +4,6 -", "11 + -2,4,6"]);
  await fanout.stop();
});

Deno.test("[V1] a user in no group receives itself alone", async () => {
  const { put, clock, connectV1, connectV2, fanout } = createGrouped();
  put(1, []);
  put(2, []);
  const [v1, v2] = [connectV1(1), connectV2(1)];
  await clock.advance(100);
  put(3, ["a"]);
  put(2);
  put(1);
  await clock.advance(100);
  deepEqual(receivedV1(v1), []);
  deepEqual(received(v2), ["2 is 1", "5 + -1"]);
  await fanout.stop();
});

Deno.test("[V2] a user who comes into other groups comes into sight or goes out of it, and for the others nothing happens", async () => {
  const { put, clock, connectV1, connectV2, fanout } = createGrouped();
  put(1, ["a"]);
  put(2, ["b"]);
  put(3, ["a", "b"]);
  const peers = [1, 2, 3].map((userId) => connectV1(userId));
  const both = connectV2(3);
  await clock.advance(100);
  put(9, ["a"]);
  put(9, ["b"]);
  put(9, ["a", "b"]);
  put(9, []);
  await clock.advance(100);
  deepEqual(peers.map(receivedV1), [
    ["+9", "-9", "+9", "-9"],
    ["+9", "-9"],
    ["+9", "-9"],
  ]);
  deepEqual(received(both), ["3 is 1,2,3"], "came and went in one pass");
  await fanout.stop();
});

Deno.test("[V2] when the user of a connection comes into other groups, version 1 receives the differences and version 2 a state", async () => {
  const { put, clock, connectV1, connectV2, fanout } = createGrouped();
  put(1, ["a", "c"]);
  put(2, ["a"]);
  put(3, ["b"]);
  put(4, ["c"]);
  const v1 = connectV1(1);
  const v2 = connectV2(1);
  const watcher = connectV2(1, { watch: new Set([2, 3]) });
  await clock.advance(100);
  put(5, ["a"]);
  put(1, ["b", "c"]);
  put(6, ["b"]);
  put(2);
  await clock.advance(100);
  deepEqual(receivedV1(v1), ["+5", "-2", "-5", "+3", "+6"]);
  deepEqual(received(v2), ["4 is 1,2,4", "8 is 1,3,4,6"]);
  deepEqual(received(watcher), ["4 is 2", "8 is 3"]);
  await fanout.stop();
});

Deno.test("[V2] a connection whose user is reported offline sees what it saw, until its user is online again", async () => {
  const { put, clock, connectV1, fanout } = createGrouped();
  put(1, ["a"]);
  put(2, ["a"]);
  const v1 = connectV1(1);
  await clock.advance(100);
  put(1);
  put(3, ["a"]);
  put(1, ["b"]);
  await clock.advance(100);
  deepEqual(receivedV1(v1), ["+3", "-2", "-3"]);
  await fanout.stop();
});

Deno.test("[V2] a client resumes if its user had the same groups all the time, also while it was offline", async () => {
  const { put, clock, connectV2, fanout } = createGrouped();
  put(1, ["a"]);
  put(2, ["a"]);
  put(1);
  put(3, ["b"]);
  put(4, ["a"]);
  put(1, ["a"]);
  const same = connectV2(1, { since: 2 });
  await clock.advance(100);
  put(1, ["b"]);
  put(1, ["a"]);
  const other = connectV2(1, { since: 2 });
  await clock.advance(100);
  deepEqual(received(same).slice(0, 1), ["6 +4 -"]);
  deepEqual(received(other), ["8 is 1,2,4"]);
  await fanout.stop();
});

Deno.test("[V1] a watch of a user out of sight is answered as that of a user who does not exist", async () => {
  const { put, clock, connectV2, fanout } = createGrouped();
  put(1, ["a"]);
  put(2, ["b"]);
  const hidden = connectV2(1, { watch: new Set([2]) });
  const absent = connectV2(1, { watch: new Set([99]) });
  await clock.advance(100);
  put(2);
  put(2, ["b"]);
  await clock.advance(100);
  deepEqual(received(hidden), received(absent));
  put(2, ["a", "b"]);
  await clock.advance(100);
  deepEqual(received(hidden).slice(1), ["5 +2 -"]);
  await fanout.stop();
});

Deno.test("[V4] the connections of a quiet group are not visited, and need no snapshot when it is busy again", async () => {
  const { put, clock, connectV1, connectV2, fanout, roster } = createGrouped(
    10,
  );
  put(1, ["a"]);
  put(2, ["b"]);
  const [v1, v2] = [connectV1(1), connectV2(1)];
  await clock.advance(100);
  let reads = 0;
  for (const { socket } of [v1, v2]) {
    Object.defineProperty(socket, "bufferedAmount", {
      get: () => {
        reads += 1;
        return 0;
      },
    });
  }
  for (let n = 0; n < 100; n++) put(100 + n, ["b"]);
  await clock.advance(STALLED_RECHECK_MS * 10);
  equal(reads, 0, "visits");
  equal(roster.ring.tail > 50, true);
  put(3, ["a"]);
  await clock.advance(100);
  deepEqual(receivedV1(v1), ["+3"]);
  deepEqual(received(v2).slice(1), ["103 +3 -"]);
  await fanout.stop();
});

Deno.test("[V1] the number of users that replaces a state is that of the users in sight", async () => {
  const { put, clock, connectV2, fanout } = createGrouped(1_000, 3);
  put(1, ["a", "b"]);
  for (let n = 2; n < 9; n++) put(n, [n % 2 === 0 ? "a" : "c"]);
  const peer = connectV2(1);
  await clock.advance(100);
  put(20, ["c"]);
  put(21, ["b"]);
  await clock.advance(5_000);
  deepEqual(received(peer), [
    ...["error too_many_online", "presence_count 5"],
    "presence_count 6",
  ]);
  await fanout.stop();
});

Deno.test("[V2] a version 1 connection whose user comes into other groups while it is joining receives the differences", async () => {
  const { put, clock, fanout, roster, hub } = createGrouped();
  put(1, ["a"]);
  put(2, ["b"]);
  put(3, ["a"]);
  const peer = joiningConnection(1);
  hub.register(peer.connection);
  fanout.subscribeV1(peer.connection, roster.ring.head);
  put(1, ["b"]);
  await clock.advance(100);
  deepEqual(receivedV1(peer), []);
  peer.connection.confirm();
  fanout.place(peer.connection);
  await clock.advance(100);
  deepEqual(receivedV1(peer), ["-3", "+2"]);
  await fanout.stop();
});

Deno.test("[V1] while the roster is replaced no two users meet who share no group before or after", async () => {
  const { put, replace, clock, connectV1, connectV2, fanout } = createGrouped();
  put(1, ["old"]);
  put(2, ["other"]);
  put(3, ["old", "kept"]);
  put(4, ["kept"]);
  const [v1, other, third] = [connectV1(1), connectV1(2), connectV1(3)];
  const v2 = connectV2(1);
  await clock.advance(100);
  const users = [
    { id: 1, username: "user1", groups: ["other"] },
    { id: 2, username: "user2", groups: ["old"] },
    { id: 3, username: "user3", groups: ["kept"] },
    { id: 4, username: "user4", groups: ["kept", "old"] },
  ];
  replace({ seq: 9, users });
  await clock.advance(100);
  deepEqual(receivedV1(v1), ["-3"]);
  deepEqual(receivedV1(other), ["+4"]);
  deepEqual(receivedV1(third), ["-1"]);
  deepEqual(received(v2), ["4 is 1,3", "9 is 1"]);
  await fanout.stop();
});

Deno.test("[V2] a version 1 connection that lost changes is closed, also if its user came into other groups since", async () => {
  const { put, clock, connectV1, fanout } = createGrouped(6);
  put(1, ["a"]);
  put(2, ["b"]);
  const peer = connectV1(1);
  await clock.advance(100);
  peer.socket.bufferedAmount = SEND_BUFFER_BYTES_MAX;
  for (let n = 10; n < 20; n++) put(n, ["a"]);
  await clock.advance(50);
  put(1, ["b"]);
  peer.socket.bufferedAmount = 0;
  await clock.advance(1_000);
  deepEqual(peer.socket.closes, ["1013 slow consumer: too far behind"]);
  await fanout.stop();
});

Deno.test("[V5] a user who came online without groups shows nobody anything, and is not shown", async () => {
  const { put, change, clock, connectV1, connectV2, fanout, roster } =
    createGrouped();
  change(1);
  change(2);
  put(3, ["a"]);
  const peers = [connectV1(1), connectV2(1), connectV1(3)];
  await clock.advance(100);
  change(2);
  await clock.advance(100);
  deepEqual(peers.map(({ socket }) => socket.sent), [[], [], []]);
  put(1, ["a"]);
  await clock.advance(100);
  deepEqual(peers.slice(0, 1).map(receivedV1), [[]]);
  deepEqual(received(peers[1] as Peer), [`${roster.seq} is 1,3`]);
  await fanout.stop();
});

Deno.test("[L1] a node that knows too many groups takes no newcomers, and goes on with its connections", async () => {
  const { put, clock, connectV1, connectV2, fanout } = createGrouped(
    100,
    10,
    4,
  );
  put(1, ["a", "b"]);
  const [first, second] = [connectV1(1), connectV2(1)];
  put(2, ["b", "c", "d"]);
  const newcomers = [connectV1(1), connectV2(2)];
  put(1, ["a", "c"]);
  await clock.advance(100);
  deepEqual(newcomers.map(({ socket }) => socket.closes), [
    ["1013 too many groups on this node"],
    ["1013 too many groups on this node"],
  ]);
  deepEqual(receivedV1(first), ["+2"]);
  deepEqual(received(second), ["3 is 1,2"]);
  await fanout.stop();
});

Deno.test("[L1] a version 1 peer that does not read costs a bounded number of messages, however often its user changes groups", async () => {
  const { put, clock, connectV1, fanout } = createGrouped();
  for (let n = 0; n < 1_000; n++) put(100 + n, [n % 2 === 0 ? "a" : "b"]);
  put(1, ["a"]);
  const peer = connectV1(1);
  peer.socket.bufferedAmount = SEND_BUFFER_BYTES_MAX;
  let changes = 0;
  for (; peer.socket.closes.length === 0 && changes < 2_000; changes++) {
    put(1, [changes % 2 === 0 ? "b" : "a"]);
    if (changes % 10 === 0) await clock.advance(10);
  }
  deepEqual(peer.socket.closes, ["1013 slow consumer: too far behind"]);
  ok(changes * 1_000 < QUEUED_MESSAGES_MAX + 20_000, `${changes} changes`);
  await fanout.stop();
});
