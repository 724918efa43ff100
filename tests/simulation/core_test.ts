/** Runs of random steps against the core on one and two nodes, compared with a simple model. */
import fc from "fast-check";
import { CHECKS } from "./checks.ts";
import { testRuns } from "./run.ts";
import { RUNS } from "./steps.ts";
import type { WorldOptions } from "./world.ts";

const RUNS_OF_EACH = 300;

const options: fc.Arbitrary<Partial<WorldOptions>> = fc.record({
  offlineGraceMs: fc.constantFrom(0, 0, 500),
  stateUsersMax: fc.constantFrom(1_000, 1_000, 3),
  sendMs: fc.constantFrom(0, 0.6),
  feedRows: fc.constantFrom(1_000, 1_000, 4),
  autoProvision: fc.constantFrom(false, false, CHECKS.provisioning),
});

testRuns(
  "[C5] report nobody offline who is connected, in runs whose faults pass",
  ...["mild", RUNS.mild, options, RUNS_OF_EACH] as const,
);
testRuns(
  "[P6] agree with a model, in runs with faults of every kind",
  ...["harsh", RUNS.harsh, options, RUNS_OF_EACH] as const,
);
testRuns(
  "[C5] agree with a model, in runs that lose transitions",
  ...["lossy", RUNS.lossy, options, RUNS_OF_EACH] as const,
);
