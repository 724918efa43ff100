import { deepEqual } from "node:assert/strict";
import { createFanout, received } from "../../../support/fanout.ts";

Deno.test("[S1] a client that resumes during a pass gets no seq before its own", async () => {
  const { fanout, clock, roster, change, connectV2 } = createFanout();
  change(1);
  const slow = connectV2(101);
  connectV2(102);
  // The pass yields after the first connection.
  slow.socket.onSend = () => clock.spend(1);
  for (let turn = 0; turn < 10; turn++) await Promise.resolve();
  deepEqual(received(slow), ["1 is 1"]);
  // A transition that repeats a status is no change in the ring.
  roster.advance({ seq: 2, userId: 1, username: "user1", status: "online" });
  const late = connectV2(103, { since: 2 });
  await clock.advance(1_000);
  deepEqual(received(late), ["2 + -"]);
  await fanout.stop();
});
