/** The benchmark runs and finds no fault. Two of its ratios hold, with margins wider than the noise. */
import { deepEqual, ok } from "node:assert/strict";
import { plainLoop, rollcall } from "./contenders.ts";
import { churn } from "./workloads.ts";

Deno.test("a churn costs version 1 at most 1.2 times the CPU of a plain loop, and version 2 at most 0.5 times", async () => {
  const stage = { environment: () => Promise.resolve({}) };
  const load = { receivers: 300, visitors: 100, rounds: 2 };
  const cost = async (contender: typeof plainLoop) => {
    const { metrics, faults } = await churn(contender, stage, load);
    deepEqual(faults, [], contender.name);
    return metrics["cpuSeconds"] ?? NaN;
  };
  const loop = await cost(plainLoop);
  const first = await cost(rollcall(1, "memory"));
  const second = await cost(rollcall(2, "memory"));
  // The ratios were 0.5 and 0.07 when this was written.
  ok(first < 1.2 * loop, `version 1 ${first} s, the loop ${loop} s`);
  ok(second < 0.5 * loop, `version 2 ${second} s, the loop ${loop} s`);
});
