/**
 * Runs of random steps with groups, in which every message of every client is judged by who sees whom.
 */
import fc from "fast-check";
import { testRuns } from "./run.ts";
import { GROUP_RUNS } from "./steps.ts";
import type { WorldOptions } from "./world.ts";

const RUNS_OF_EACH = 120;

const options: fc.Arbitrary<Partial<WorldOptions>> = fc.record({
  hasGroups: fc.constant(true),
  offlineGraceMs: fc.constantFrom(0, 0, 500),
  stateUsersMax: fc.constantFrom(1_000, 1_000, 3),
  sendMs: fc.constantFrom(0, 0.6),
  feedRows: fc.constantFrom(1_000, 1_000, 1_000, 4),
  ringCapacity: fc.constantFrom(10_000, 10_000, 6, 3),
  autoProvision: fc.constantFrom(false, false, true),
});

testRuns(
  "[V3] show each viewer who is in its groups, in runs whose faults pass",
  ...["mild", GROUP_RUNS.mild, options, RUNS_OF_EACH] as const,
);
testRuns(
  "[V2] show each viewer who is in its groups, in runs with faults of every kind",
  ...["harsh", GROUP_RUNS.harsh, options, RUNS_OF_EACH] as const,
);
testRuns(
  "[V1] name nobody out of sight, in runs that lose transitions",
  ...["lossy", GROUP_RUNS.lossy, options, RUNS_OF_EACH] as const,
);
