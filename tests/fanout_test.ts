import { deepEqual, equal, ok } from "node:assert/strict";
import { Fanout } from "../src/fanout.ts";
import { Hub } from "../src/hub.ts";
import {
  SEND_BUFFER_BYTES_MAX,
  SLOW_READER_MS,
  STALLED_RECHECK_MS,
} from "../src/limits.ts";
import { encodeStatus } from "../src/protocol.ts";
import { Ring } from "../src/roster.ts";
import { FakeClock } from "./support/fake_clock.ts";
import { liveConnection, rememberingLog } from "./support/fakes.ts";

function fanout(userIds: readonly number[], capacity = 100_000) {
  const hub = new Hub();
  const ring = new Ring(capacity);
  const clock = new FakeClock();
  const log = rememberingLog();
  const peers = userIds.map((userId) => liveConnection(userId));
  for (const { connection } of peers) {
    hub.register(connection.userId, connection);
  }
  const subject = new Fanout({
    ...{ hub, ring, clock, log },
    disconnect: (connection, close, reason) => {
      connection.close(close, reason);
      hub.unregister(connection.userId, connection);
    },
  });
  const tell = (userId: number, count = 1) => {
    for (let n = 0; n < count; n++) {
      const status = n % 2 === 0 ? "online" : "offline";
      ring.push({ userId, status, message: encodeStatus(userId, status) });
    }
    subject.wake();
  };
  return { subject, ring, clock, log, peers, hub, tell };
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
  ok(slow.socket.bufferedAmount < SEND_BUFFER_BYTES_MAX + 64 * 40);
  ok(slow.socket.sent.length < 3_000);

  slow.socket.reading = true;
  slow.socket.bufferedAmount = 0;
  await clock.advance(STALLED_RECHECK_MS);
  deepEqual(slow.socket.sent, quick.socket.sent);
  await subject.stop();
});

Deno.test("[L1] a peer that takes nothing for long is closed with 1013", async () => {
  const { clock, peers, tell, subject, hub } = fanout([1, 2]);
  if (peers[0] !== undefined) peers[0].socket.reading = false;
  tell(9, 3_000);
  await clock.advance(SLOW_READER_MS - STALLED_RECHECK_MS);
  deepEqual(peers[0]?.socket.closes, []);
  await clock.advance(2 * STALLED_RECHECK_MS);
  deepEqual(peers[0]?.socket.closes, ["1013 reads too slowly"]);
  equal(hub.has(1), false);
  await subject.stop();
});

Deno.test("[L1] a peer that reads slowly but reads is not closed", async () => {
  const { clock, peers, tell, subject } = fanout([1]);
  const slow = peers[0];
  if (slow === undefined) throw new Error("no peer");
  slow.socket.reading = false;
  tell(9, 6_000);
  for (let round = 0; round < 5; round++) {
    await clock.advance(SLOW_READER_MS / 2);
    slow.socket.bufferedAmount -= 100;
  }
  deepEqual(slow.socket.closes, []);
  await subject.stop();
});

Deno.test("[P6] a connection that fell off the ring is closed with 1013 rather than told with a gap", async () => {
  const { clock, peers, tell, subject } = fanout([1, 2], 3_000);
  if (peers[0] !== undefined) peers[0].socket.reading = false;
  tell(9, 2_500);
  await clock.advance(0);
  tell(9, 2_500);
  await clock.advance(STALLED_RECHECK_MS);
  deepEqual(peers[0]?.socket.closes, ["1013 fell too far behind"]);
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
