/**
 * What happens in a run of the simulation: users connect and leave, and faults come and go.
 *
 * @module
 */
import fc from "fast-check";
import type { UserId } from "../../src/protocol/user_id.ts";
import type { Faults } from "../support/faulty_store.ts";

export const USERS: readonly UserId[] = [1, 2, 3, 4, 5];
/** An id that belongs to no user. */
export const UNKNOWN_USER: UserId = 99;

/**
 * One step of a run. `node` is taken modulo the number of nodes, and `pick` modulo the number of open
 * connections.
 */
export type Step =
  | {
    readonly do: "open";
    readonly userId: UserId;
    readonly node: number;
    readonly version: 1 | 2;
    readonly watch: readonly UserId[] | undefined;
  }
  | { readonly do: "close"; readonly pick: number }
  | {
    readonly do: "resume";
    readonly pick: number;
    readonly node: number;
    readonly ms: number;
  }
  | { readonly do: "wait"; readonly ms: number }
  | { readonly do: "lock"; readonly userId: UserId }
  | { readonly do: "unlock" }
  | {
    readonly do: "faults";
    readonly faults: Partial<Faults>;
    readonly node: number;
  }
  | { readonly do: "link broken"; readonly node: number }
  | { readonly do: "down"; readonly node: number }
  | { readonly do: "healed"; readonly node: number }
  | { readonly do: "crash"; readonly node: number }
  | { readonly do: "replicate" }
  | { readonly do: "fail over" };

const userId = fc.constantFrom(...USERS, UNKNOWN_USER);
const share = fc.constantFrom(0, 0.2, 0.6);
const node = fc.nat(1);
const kind = <const Name extends Step["do"]>(name: Name) => fc.constant(name);

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: kind("open"),
      userId,
      node,
      version: fc.constantFrom(1 as const, 2 as const),
      watch: fc.option(fc.subarray([...USERS, UNKNOWN_USER]), {
        nil: undefined,
      }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: kind("resume"),
      pick: fc.nat(20),
      node,
      ms: fc.constantFrom(0, 1, 400),
    }),
  },
  { weight: 8, arbitrary: fc.record({ do: kind("close"), pick: fc.nat(20) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: kind("wait"),
      ms: fc.constantFrom(0, 1, 20, 400, 12_000),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: kind("lock"), userId }) },
  { weight: 1, arbitrary: fc.record({ do: kind("unlock") }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: kind("faults"),
      faults: fc.record({
        lostRequests: share,
        lostAnswers: share,
        lostNotifications: fc.constantFrom(0, 1),
        doubledRequests: share,
        delayMs: fc.constantFrom(0, 5, 300, 15_000),
      }),
      node,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: kind("link broken"), node }) },
  { weight: 1, arbitrary: fc.record({ do: kind("down"), node }) },
  { weight: 3, arbitrary: fc.record({ do: kind("healed"), node }) },
  { weight: 1, arbitrary: fc.record({ do: kind("crash"), node }) },
);
/** Steps that lose no committed transition. */
export const steps: fc.Arbitrary<Step[]> = fc.array(step, {
  maxLength: 60,
  size: "max",
});

/**
 * Steps in which a replica takes over that lacks transitions. No node crashes: if every node that
 * knows of a lost transition is gone, no node can find the loss.
 */
export const lossySteps: fc.Arbitrary<Step[]> = fc.array(
  fc.oneof(
    { weight: 20, arbitrary: step.filter((one) => one.do !== "crash") },
    { weight: 2, arbitrary: fc.record({ do: kind("replicate") }) },
    { weight: 1, arbitrary: fc.record({ do: kind("fail over") }) },
  ),
  { maxLength: 60, size: "max" },
);
