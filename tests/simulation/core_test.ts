/**
 * Runs of random steps against the core on one and two nodes, compared with a simple model.
 *
 * Time is simulated: a minute of it takes a few milliseconds. A run that fails prints its seed and
 * path; `fc.assert` with both repeats it. `RUNS` and `SEED` may be set in the environment.
 */
import fc from "fast-check";
import {
  type Check,
  checkDeath,
  checkEnd,
  checkMeddling,
  checkQuiet,
  CHECKS,
  watchOffline,
} from "./checks.ts";
import { harshRuns, lossyRuns, mildRuns, type Step } from "./steps.ts";
import { World, WORLD_OPTIONS, type WorldOptions } from "./world.ts";

const RUNS = Number(Deno.env.get("RUNS") ?? 300);
const SEED = Number(Deno.env.get("SEED") ?? Date.now() % 2 ** 31);

type Kind = "mild" | "harsh" | "lossy";

/** Performs the steps, then holds the world to everything in `checks.ts`. */
async function run(
  kind: Kind,
  steps: readonly Step[],
  seed: number,
  options: WorldOptions,
): Promise<void> {
  const world = new World(options, seed);
  if (kind === "mild") watchOffline(world, "never");
  if (kind === "harsh") watchOffline(world, "without a lease");
  await world.start();
  for (const one of steps) {
    if (isChecked(kind, one)) await world.perform(one);
  }
  await checkQuiet(world);
  await checkMeddling(world);
  await checkDeath(world);
  await checkEnd(world);
}

/** Whether the check that the step belongs to is on. */
function isChecked(kind: Kind, step: Step): boolean {
  let check: Check | undefined;
  if (step.do === "break socket") check = "brokenSockets";
  const isSilent = step.do === "connections silent" ||
    step.do === "outage" && step.cut;
  if (kind === "mild" && isSilent) check = "silentConnections";
  if (kind === "mild" && step.do === "freeze" && step.ms > 6_000) {
    check = "slowRenewals";
  }
  return check === undefined || CHECKS[check];
}

const options: fc.Arbitrary<Partial<WorldOptions>> = fc.record({
  offlineGraceMs: fc.constantFrom(0, 0, 500),
  stateUsersMax: fc.constantFrom(1_000, 1_000, 3),
  sendMs: fc.constantFrom(0, 0.6),
  feedRows: fc.constantFrom(1_000, 1_000, 4),
  autoProvision: fc.constantFrom(false, false, CHECKS.provisioning),
});

const RUNS_OF = { mild: mildRuns, harsh: harshRuns, lossy: lossyRuns };

const TITLES: Readonly<Record<Kind, string>> = {
  mild:
    "[C5] report nobody offline who is connected, in runs whose faults pass",
  harsh: "[P6] agree with a model, in runs with faults of every kind",
  lossy: "[C5] agree with a model, in runs that lose transitions",
};

for (const kind of ["mild", "harsh", "lossy"] as const) {
  for (const nodeCount of [1, 2]) {
    const title = `${nodeCount} node(s) ${
      TITLES[kind]
    }: ${RUNS} random runs, seed ${SEED}`
      .replace(/^(.*?)(\[\w+\] )/, "$2$1");
    Deno.test(title, async () => {
      const property = fc.asyncProperty(
        ...[RUNS_OF[kind], fc.nat(), options] as const,
        (steps, seed, chosen) => {
          const world = { ...WORLD_OPTIONS, ...chosen, nodeCount };
          // A loss is found by the rows that differ, which are kept for a day.
          const { feedRows } = kind === "lossy" ? WORLD_OPTIONS : world;
          return run(kind, steps, seed, { ...world, feedRows });
        },
      );
      await fc.assert(property, { numRuns: RUNS, seed: SEED });
    });
  }
}
