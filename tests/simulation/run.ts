/**
 * One run of the simulation, and the tests that make many of them.
 *
 * Time is simulated: a minute of it takes a few milliseconds. A run that fails prints its seed and
 * path; `fc.assert` with both repeats it. `RUNS` and `SEED` may be set in the environment.
 *
 * @module
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
import {
  checkFenced,
  checkFresh,
  checkMemberships,
  watchUnreadable,
} from "./group_checks.ts";
import type { Kind, Step } from "./steps.ts";
import { World, WORLD_OPTIONS, type WorldOptions } from "./world.ts";

const SEED = Number(Deno.env.get("SEED") ?? Date.now() % 2 ** 31);

/** Performs the steps, then holds the world to everything in `checks.ts` and `group_checks.ts`. */
export async function run(
  kind: Kind,
  steps: readonly Step[],
  seed: number,
  options: WorldOptions,
): Promise<void> {
  const world = new World(options, seed);
  if (kind === "mild") watchOffline(world, "never");
  if (kind === "harsh") watchOffline(world, "without a lease");
  watchUnreadable(world);
  await world.start();
  for (const one of steps) {
    if (isChecked(kind, one)) await world.perform(one);
    if (kind === "mild") checkFresh(world);
  }
  await checkQuiet(world);
  await checkMemberships(world);
  if (kind !== "mild") await checkFenced(world);
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

/** What differs between the worlds of the runs. */
type Options = fc.Arbitrary<Partial<WorldOptions>>;

/** Many runs of a kind are one test, on one node and on two. */
export function testRuns(
  title: string,
  kind: Kind,
  steps: fc.Arbitrary<Step[]>,
  options: Options,
  runs: number,
): void {
  const numRuns = Number(Deno.env.get("RUNS") ?? runs);
  for (const nodeCount of [1, 2]) {
    const name = title.replace(/^(\[\w+\] )/, `$1${nodeCount} node(s) `);
    Deno.test(`${name}: ${numRuns} random runs, seed ${SEED}`, async () => {
      const property = fc.asyncProperty(
        ...[steps, fc.nat(), options] as const,
        (steps, seed, chosen) => {
          const world = { ...WORLD_OPTIONS, ...chosen, nodeCount };
          // A loss is found by the rows that differ: the feed keeps them for a day, and the ring for
          // longer than a node needs to compare them.
          const { feedRows, ringCapacity } = kind === "lossy"
            ? WORLD_OPTIONS
            : world;
          return run(kind, steps, seed, { ...world, feedRows, ringCapacity });
        },
      );
      await fc.assert(property, { numRuns, seed: SEED });
    });
  }
}
