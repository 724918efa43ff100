import { deepEqual, equal } from "node:assert/strict";
import { STALLED_RECHECK_MS } from "../../../src/base/limits.ts";
import { Pump, type Visited } from "../../../src/base/pump.ts";
import { FakeClock } from "../../support/fake_clock.ts";

/** A pump over names, each with its visits to come. Without more of these a visit is idle. */
function createPump(
  visits: Record<string, Visited[]>,
  pauseMs = 0,
  visitMs = () => 0,
) {
  const clock = new FakeClock();
  const visited: string[] = [];
  const passes = { ended: 0, deliveredMs: [] as number[] };
  let names = new Set<string>();
  const pending = {
    add: (name: string) => void names.add(name),
    take: () => {
      const taken = names;
      names = new Set();
      return taken;
    },
  };
  const pump = new Pump<string>({
    ...{ clock, pauseMs },
    pending,
    visit: (name) => {
      visited.push(`${clock.now()} ${name}`);
      clock.spend(visitMs());
      return visits[name]?.shift() ?? "idle";
    },
    delivered: (ms) => {
      passes.ended += 1;
      passes.deliveredMs.push(ms);
    },
  });
  const wake = (changedAt?: number) => {
    for (const name of Object.keys(visits)) pending.add(name);
    pump.wake(changedAt);
  };
  return { pump, wake, clock, visited, passes };
}

Deno.test("any number of wakes in one turn cause one pass", async () => {
  const { pump, wake, clock, visited, passes } = createPump({ a: [], b: [] });
  for (let n = 0; n < 10; n++) wake(0);
  deepEqual(visited, []);
  await clock.advance(1_000);
  deepEqual(visited, ["0 a", "0 b"]);
  equal(passes.ended, 1);
  await pump.stop();
});

Deno.test("a subscriber that has to continue is visited again after the others, before the pass counts as ended", async () => {
  const { pump, wake, clock, visited, passes } = createPump({
    a: ["continue", "continue"],
    b: [],
  });
  wake(0);
  await clock.advance(0);
  deepEqual(visited, ["0 a", "0 b", "0 a", "0 a"]);
  equal(passes.ended, 1);
  await pump.stop();
});

Deno.test("a subscriber that is deferred is visited again after a pause, and holds up no pass", async () => {
  const { pump, wake, clock, visited } = createPump({
    a: ["retry later", "retry later"],
  });
  wake();
  await clock.advance(10);
  wake();
  await clock.advance(10 * STALLED_RECHECK_MS);
  deepEqual(visited, ["0 a", "10 a", `${STALLED_RECHECK_MS} a`]);
  await pump.stop();
});

Deno.test("the first wake after a pause starts a pass at once, and a wake during it waits for its end", async () => {
  const { pump, wake, clock, visited } = createPump({ a: [] }, 50);
  wake();
  await clock.advance(10);
  wake();
  await clock.advance(100);
  wake();
  await clock.advance(0);
  deepEqual(visited, ["0 a", "50 a", "110 a"]);
  await pump.stop();
});

Deno.test("a pass that takes long is followed by a pause as long as itself, up to five times the least", async () => {
  const passMs = [0, 30, 80, 1_000];
  const pauses: number[] = [];
  for (const visitMs of passMs) {
    const { pump, wake, clock, visited } = createPump(
      { a: [] },
      50,
      () => visitMs,
    );
    wake();
    await clock.advance(0);
    wake();
    await clock.advance(5_000);
    pauses.push(parseInt(visited[1] ?? "") - visitMs);
    await pump.stop();
  }
  deepEqual(pauses, [50, 50, 80, 250]);
});

Deno.test("the time of a delivery is that from the oldest change to the end of the pass, once for each change", async () => {
  const { pump, wake, clock, passes } = createPump({ a: ["continue"] }, 50);
  await clock.advance(10);
  wake(4);
  wake(7);
  await clock.advance(20);
  // The second pass, which continues the first, ended at 10.
  deepEqual(passes.deliveredMs, [6]);
  wake(25);
  await clock.advance(100);
  wake();
  await clock.advance(100);
  deepEqual(passes.deliveredMs, [6, 35]);
  await pump.stop();
});

Deno.test("a pump that was stopped visits nothing", async () => {
  const { pump, wake, clock, visited } = createPump({ a: ["retry later"] });
  wake();
  await clock.advance(0);
  await pump.stop();
  wake();
  await clock.advance(1_000);
  deepEqual(visited, ["0 a"]);
});
