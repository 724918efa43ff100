/** The ratios of the budgets, from rows as the benchmark makes them. */
import { deepEqual } from "node:assert/strict";
import { budgets, measureBudgets } from "./budgets.ts";
import { GO, rollcall } from "./contenders.ts";
import { FULL, WORKLOADS } from "./plan.ts";
import type { Row } from "./report.ts";

const V1 = rollcall(1, "postgres").name;

function row(contender: string, round: number, cpuSeconds: number): Row {
  return {
    workload: WORKLOADS.storm(1_000),
    ...{ contender, round, metrics: { cpuSeconds }, faults: [] },
    ...{ loadCpuSeconds: 0, wallSeconds: 0 },
  };
}

Deno.test("a ratio is taken within a round, and the median of the rounds is compared with the budget", () => {
  // In the second round the machine was busy.
  const rows = [
    ...[row(V1, 1, 2), row(GO, 1, 2)],
    ...[row(V1, 2, 12), row(GO, 2, 10)],
    ...[row(V1, 3, 3), row(GO, 3, 2)],
  ];
  const measured = measureBudgets(budgets(FULL), rows)
    .map(({ contender, against, values, median, isMet }) => ({
      ...{ contender, against, values, median, isMet },
    }))
    .filter(({ contender, against }) => contender === V1 && against === GO);
  deepEqual(measured, [{
    ...{ contender: V1, against: GO },
    ...{ values: [1, 1.2, 1.5], median: 1.2, isMet: true },
  }]);
});

Deno.test("a budget whose server did not run is not measured, and one whose workload did not run is left out", () => {
  const measured = measureBudgets(budgets(FULL), [row(V1, 1, 2)]);
  deepEqual(
    new Set(measured.map(({ isMet }) => isMet)),
    new Set([undefined]),
  );
  deepEqual(
    new Set(measured.map(({ workload }) => workload)),
    new Set([WORKLOADS.storm(1_000)]),
  );
});
