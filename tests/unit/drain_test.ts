import { deepEqual, equal } from "node:assert/strict";
import { noMetrics } from "../../src/base/metrics.ts";
import { Connections } from "../../src/core/connections/connections.ts";
import { Hub } from "../../src/core/connections/hub.ts";
import { Drain } from "../../src/drain.ts";
import { LAST_CLOSES_MS } from "../../src/limits.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { liveConnection } from "../support/fakes.ts";

/** A drain of this many connections, whose peers answer only when a test says so. */
function drainOf(count: number, drainMs: number) {
  const clock = new FakeClock();
  const connections = new Connections(new Hub(), noMetrics);
  const admission = { sockets: count };
  const sockets = Array.from({ length: count }, (_, index) => {
    const { connection, socket } = liveConnection(index + 1);
    connections.open(connection);
    return socket;
  });
  const drain = new Drain({ connections, admission, clock, drainMs });
  const closed = () => sockets.filter(({ closes }) => closes.length > 0).length;
  return { clock, admission, drain, sockets, closed };
}

Deno.test("a drain spreads the closes over its time", async () => {
  const { clock, drain, sockets, closed } = drainOf(4, 400);
  drain.begin();
  equal(drain.isDraining, true);
  void drain.run();
  const counts: number[] = [];
  for (let n = 0; n < 4; n++) {
    await clock.advance(n === 0 ? 0 : 100);
    counts.push(closed());
  }
  deepEqual(counts, [1, 2, 3, 4]);
  deepEqual(sockets[3]?.closes, ["1001 server going away"]);
});

Deno.test("a drain ends when all peers have answered, or after a limit", async () => {
  for (const answers of [true, false]) {
    const { clock, admission, drain, closed } = drainOf(3, 0);
    let isOver = false;
    void drain.run().then(() => isOver = true);
    await clock.advance(LAST_CLOSES_MS - 100);
    equal(closed(), 3);
    equal(isOver, false);
    if (answers) admission.sockets = 0;
    await clock.advance(50);
    equal(isOver, answers);
    await clock.advance(100);
    equal(isOver, true);
  }
});
