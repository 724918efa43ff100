import { STALLED_RECHECK_MS } from "../../../../src/base/limits.ts";
import { deepEqual, equal, ok } from "node:assert/strict";
import {
  SEND_BUFFER_BYTES_MAX,
  SENDS_PER_VISIT_MAX,
  SLOW_CONSUMER_MS,
} from "../../../../src/core/fanout/limits.ts";
import { createFanout } from "../../../support/fanout.ts";

Deno.test("[P2] version 1 receives the changes of every user but its own", async () => {
  const { fanout, clock, change, connectV1 } = createFanout();
  const peers = [1, 2, 2, 3].map(connectV1);
  change(2);
  await clock.advance(0);
  deepEqual(peers.map(({ socket }) => socket.sent.length), [1, 0, 0, 1]);
  equal(peers[0]?.socket.sent[0], '{"type":"user_online","userId":2}');
  await fanout.stop();
});

Deno.test("a send that fails is logged, closes its connection, and affects no other", async () => {
  const { fanout, clock, log, change, connectV1 } = createFanout();
  const [first, second, third] = [connectV1(1), connectV1(2), connectV1(3)];
  second.socket.failure = new Error("broken");
  change(9);
  await clock.advance(0);
  deepEqual([first.socket.sent.length, third.socket.sent.length], [1, 1]);
  deepEqual(second.socket.closes, ["1011 send failed"]);
  deepEqual(log.events, ["warn: cannot send to a connection"]);
  await fanout.stop();
});

Deno.test("[L1] a peer that does not read costs its buffer, delays no other, and continues where it was", async () => {
  const { fanout, clock, change, connectV1 } = createFanout();
  const [slow, quick] = [connectV1(1), connectV1(2)];
  slow.socket.reading = false;
  change(9, 10_000);
  await clock.advance(STALLED_RECHECK_MS * 3);
  equal(quick.socket.sent.length, 10_000);
  ok(
    slow.socket.bufferedAmount <
      SEND_BUFFER_BYTES_MAX + SENDS_PER_VISIT_MAX * 40,
  );
  ok(slow.socket.sent.length < 3_000);

  slow.socket.reading = true;
  slow.socket.bufferedAmount = 0;
  await clock.advance(STALLED_RECHECK_MS);
  deepEqual(slow.socket.sent, quick.socket.sent);
  await fanout.stop();
});

Deno.test("[L1] a peer that reads nothing for SLOW_CONSUMER_MS is closed with 1013", async () => {
  const { fanout, clock, change, connectV1, subscriptions } = createFanout();
  const [slow] = [connectV1(1), connectV1(2)];
  slow.socket.reading = false;
  change(9, 3_000);
  await clock.advance(SLOW_CONSUMER_MS - STALLED_RECHECK_MS);
  deepEqual(slow.socket.closes, []);
  await clock.advance(4 * STALLED_RECHECK_MS);
  deepEqual(slow.socket.closes, ["1013 slow consumer: stopped reading"]);
  equal(subscriptions.v1Connections, 1);
  await fanout.stop();
});

Deno.test("[L1] a peer that reads slowly is not closed", async () => {
  const { fanout, clock, change, connectV1 } = createFanout();
  const slow = connectV1(1);
  slow.socket.reading = false;
  change(9, 6_000);
  for (let round = 0; round < 5; round++) {
    await clock.advance(SLOW_CONSUMER_MS / 2);
    slow.socket.bufferedAmount -= 100;
  }
  deepEqual(slow.socket.closes, []);
  await fanout.stop();
});

Deno.test("[P6] a version 1 connection whose next change left the ring is closed with 1013, and receives no gap", async () => {
  const { fanout, clock, change, connectV1 } = createFanout(2_500);
  const [slow, quick] = [connectV1(1), connectV1(2)];
  slow.socket.reading = false;
  change(9, 2_500);
  await clock.advance(0);
  change(9, 2_500);
  await clock.advance(STALLED_RECHECK_MS);
  deepEqual(slow.socket.closes, ["1013 slow consumer: too far behind"]);
  equal(quick.socket.sent.length, 5_000);
  await fanout.stop();
});

Deno.test("any number of wakes in one turn cause one pass, and a later wake without changes sends nothing", async () => {
  const { fanout, clock, change, connectV1 } = createFanout();
  const { socket } = connectV1(1);
  for (let n = 0; n < 10; n++) change(9);
  equal(socket.sent.length, 0);
  await clock.advance(0);
  equal(socket.sent.length, 10);
  fanout.publish();
  await clock.advance(0);
  equal(socket.sent.length, 10);
  await fanout.stop();
});
