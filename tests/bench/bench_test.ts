/** The benchmark runs and is exact; two ratios of it, with margins that no noise crosses. */
import { deepEqual, ok } from "node:assert/strict";
import { plainLoop, rollcall } from "./contenders.ts";
import { churn } from "./workloads.ts";

Deno.test("a storm costs version 1 no more than a plain loop does, and version 2 far less", async () => {
  const stage = { environment: () => Promise.resolve({}) };
  const load = { listeners: 300, comers: 100, rounds: 2 };
  const cost = async (contender: typeof plainLoop) => {
    const { metrics, faults } = await churn(contender, stage, load);
    deepEqual(faults, [], contender.name);
    return metrics["cpuSeconds"] ?? NaN;
  };
  const loop = await cost(plainLoop);
  const first = await cost(rollcall(1, "memory"));
  const second = await cost(rollcall(2, "memory"));
  // Seen: 0.5 and 0.07.
  ok(first < 1.2 * loop, `version 1 ${first} s, the loop ${loop} s`);
  ok(second < 0.5 * loop, `version 2 ${second} s, the loop ${loop} s`);
});
