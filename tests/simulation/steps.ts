/**
 * What happens in a run of the simulation: users come and go, faults come and go, and the
 * application does what it wants with its table.
 *
 * @module
 */
import fc from "fast-check";
import type { Status } from "../../src/client/protocol/messages.ts";
import type { UserId } from "../../src/client/protocol/user_id.ts";
import type { EngineFaults } from "../support/memory_engine.ts";
import type { Faults } from "../support/memory_pool.ts";
import type { Trigger } from "../support/memory_users.ts";
import { type GroupStep, groupSteps, lossSteps } from "./group_steps.ts";

export const USERS: readonly UserId[] = [1, 2, 3, 4, 5];
/** An id that belongs to no user. */
export const UNKNOWN_USER: UserId = 99;

/** `node` is taken modulo the number of nodes, and `pick` modulo the number of open connections. */
export type UserStep =
  | {
    readonly do: "open";
    readonly userId: UserId;
    readonly node: number;
    readonly version: 1 | 2;
    readonly watch: readonly UserId[] | undefined;
    /** How long its token is valid. */
    readonly tokenMs: number;
  }
  | { readonly do: "close"; readonly pick: number }
  | {
    readonly do: "resume";
    readonly pick: number;
    readonly node: number;
    readonly ms: number;
  }
  | {
    readonly do: "watch";
    readonly pick: number;
    readonly watch: readonly UserId[] | undefined;
  }
  | {
    readonly do: "refresh";
    readonly pick: number;
    /** How long the verification of each token takes at most. */
    readonly verifyMs: readonly number[];
  }
  | { readonly do: "break socket"; readonly pick: number }
  | { readonly do: "wait"; readonly ms: number };

/** Faults of one node, or between it and the database. */
export type NodeStep =
  | {
    readonly do: "faults";
    readonly faults: Partial<Faults>;
    readonly node: number;
  }
  | { readonly do: "link broken"; readonly node: number }
  | { readonly do: "link silent"; readonly node: number }
  | {
    readonly do: "connections silent";
    readonly node: number;
    readonly count: number;
  }
  | { readonly do: "down"; readonly node: number }
  | { readonly do: "healed"; readonly node: number }
  | { readonly do: "crash"; readonly node: number }
  | {
    readonly do: "leave";
    readonly node: number;
    readonly handoverMs: number;
    /** Until its place is taken by a new process. */
    readonly ms: number;
  };

/** Faults of the database. */
export type DatabaseStep =
  | { readonly do: "freeze"; readonly ms: number }
  | { readonly do: "outage"; readonly ms: number; readonly cut: boolean }
  | { readonly do: "restart" }
  | { readonly do: "set clock"; readonly byMs: number }
  | { readonly do: "engine"; readonly faults: EngineFaults }
  | { readonly do: "replicate" }
  | { readonly do: "fail over" };

/** What the application does with the users table. */
export type ApplicationStep =
  | {
    readonly do: "set status";
    readonly userId: UserId;
    readonly status: Status | "away";
  }
  | { readonly do: "save"; readonly userId: UserId; readonly ms: number }
  | { readonly do: "rename"; readonly userId: UserId }
  | { readonly do: "delete"; readonly userId: UserId }
  | { readonly do: "create"; readonly userId: UserId }
  | { readonly do: "lock"; readonly userId: UserId }
  | { readonly do: "lock table" }
  | { readonly do: "unlock" }
  | { readonly do: "refill"; readonly ms: number }
  | { readonly do: "recreate"; readonly ms: number }
  | {
    readonly do: "trigger";
    readonly userId: UserId;
    readonly trigger: Trigger;
  };

export type Step =
  | UserStep
  | NodeStep
  | DatabaseStep
  | ApplicationStep
  | GroupStep;

const known = fc.constantFrom(...USERS);
const userId = fc.constantFrom(...USERS, UNKNOWN_USER);
const node = fc.nat(1);
const pick = fc.nat(20);
const share = fc.constantFrom(0, 0.2, 0.6);
const watch = fc.option(fc.subarray([...USERS, UNKNOWN_USER]), {
  nil: undefined,
});
const oneOf = fc.constantFrom;

/** A step, and how often it is taken. */
function take<const Name extends Step["do"], Fields>(
  weight: number,
  name: Name,
  fields: { [Key in keyof Fields]: fc.Arbitrary<Fields[Key]> },
) {
  const arbitrary = fc.record({ do: fc.constant(name), ...fields });
  return {
    name,
    weight,
    arbitrary: arbitrary as unknown as fc.Arbitrary<Step>,
  };
}

type Weighted = ReturnType<typeof take>;

const USER_STEPS = [
  take(10, "open", {
    ...{ userId, node, watch },
    version: oneOf(1, 2),
    tokenMs: oneOf(Infinity, Infinity, Infinity, 8_000),
  }),
  take(5, "resume", { pick, node, ms: oneOf(0, 1, 400) }),
  take(9, "close", { pick }),
  take(2, "watch", { pick, watch }),
  take(1, "refresh", { pick, verifyMs: oneOf([0], [200], [200, 0]) }),
  take(1, "break socket", { pick }),
  take(9, "wait", { ms: oneOf(0, 1, 20, 400, 1_700, 3_000, 12_000) }),
];

const APPLICATION_STEPS = [
  take(1, "set status", {
    userId: known,
    status: oneOf("online", "offline", "away"),
  }),
  take(1, "save", { userId: known, ms: oneOf(1, 500, 4_000) }),
  take(2, "rename", { userId: known }),
  take(2, "delete", { userId: known }),
  take(3, "create", { userId: known }),
  take(1, "lock", { userId: known }),
  take(0.5, "lock table", {}),
  take(1, "unlock", {}),
  take(0.5, "refill", { ms: oneOf(1, 3_000) }),
  take(0.5, "recreate", { ms: oneOf(1, 3_000) }),
  take(1, "trigger", {
    userId: known,
    trigger: oneOf("refuses", "keeps", "is slow", "waits"),
  }),
];

/** Faults that pass by themselves, and after which no user who stays connected is reported offline. */
const MILD_STEPS = [
  take(2, "faults", {
    node,
    faults: fc.record({
      lostNotifications: oneOf(0, 1),
      delayMs: oneOf(0, 5, 300),
    }),
  }),
  take(1, "link broken", { node }),
  take(1, "link silent", { node }),
  take(1, "connections silent", { node, count: oneOf(1, 2) }),
  take(2, "crash", { node }),
  take(2, "leave", {
    node,
    handoverMs: oneOf(0, 5_000),
    ms: oneOf(0, 1, 300, 20_000),
  }),
  take(2, "freeze", { ms: oneOf(100, 3_000, 8_000, 9_500, 12_000) }),
  take(1, "outage", { ms: oneOf(3_000, 8_000, 15_000), cut: fc.boolean() }),
  take(1, "restart", {}),
  take(1, "set clock", { byMs: oneOf(-2_000, 2_000, -20_000) }),
  take(2, "engine", {
    faults: fc.record({
      pauses: oneOf(0, 0.1, 0.5),
      pauseMs: oneOf(1, 50),
      failedCommits: fc.constant(0),
    }),
  }),
];

const HARSH_STEPS = [
  take(3, "faults", {
    node,
    faults: fc.record({
      lostRequests: share,
      lostAnswers: share,
      lostNotifications: oneOf(0, 1),
      doubledRequests: share,
      delayMs: oneOf(0, 5, 300, 9_000, 15_000),
    }),
  }),
  take(1, "faults", { node, faults: fc.constant({ cut: true }) }),
  take(1, "link broken", { node }),
  take(1, "link silent", { node }),
  take(1, "connections silent", { node, count: oneOf(1, 3, 6) }),
  take(1, "down", { node }),
  take(4, "healed", { node }),
  take(1, "crash", { node }),
  take(1, "leave", {
    node,
    handoverMs: oneOf(0, 5_000),
    ms: oneOf(0, 1, 300, 20_000),
  }),
  take(1, "freeze", { ms: oneOf(100, 8_000, 12_000, 25_000) }),
  take(0.5, "restart", {}),
  take(0.5, "set clock", { byMs: oneOf(-20_000, -2_000, 2_000, 20_000) }),
  take(2, "engine", {
    faults: fc.record({
      pauses: oneOf(0, 0.1, 0.5),
      pauseMs: oneOf(1, 50, 2_000),
      failedCommits: oneOf(0, 0, 0.2),
    }),
  }),
];

const LOSSES = [take(2, "replicate", {}), take(1, "fail over", {})];

/** Kinds of faults in one run. With few of them, each meets itself and the others more often. */
const KINDS_MAX = 5;

type Share = Pick<Weighted, "weight"> & { arbitrary: fc.Arbitrary<Step> };

/** Runs in which users come and go, with some of these faults. */
function runsOf(
  faults: readonly Weighted[],
  always: readonly Weighted[],
  groups: readonly Share[],
): fc.Arbitrary<Step[]> {
  const options = { minLength: 1, maxLength: KINDS_MAX };
  const share = groups.length > 0 ? 0.3 : 0;
  return fc.subarray([...faults], options).chain((chosen) => {
    const steps = [
      ...weighted(0.6 - share / 2, USER_STEPS),
      ...weighted(share, groups),
      ...weighted(0.4 - share / 2, [...chosen, ...always]),
    ];
    return fc.array(fc.oneof(...steps), { maxLength: 60, size: "max" });
  });
}

/** The steps, taken as often as their share of all says. */
function weighted(share: number, steps: readonly Share[]) {
  const sum = steps.reduce((sum, { weight }) => sum + weight, 0);
  return steps.map(({ weight, arbitrary }) => ({
    arbitrary,
    weight: Math.ceil(1_000 * share * weight / sum),
  }));
}

/**
 * - `mild`: faults that cost no user who stays connected.
 * - `harsh`: faults of every kind that lose no committed transition.
 * - `lossy`: a replica takes over that lacks transitions. No node ends: if every node that knows of
 *   a lost transition is gone, no node can find the loss.
 */
export type Kind = "mild" | "harsh" | "lossy";

function allRuns(
  groups: readonly Share[],
  losses: readonly Share[],
): Readonly<Record<Kind, fc.Arbitrary<Step[]>>> {
  const mild = [...APPLICATION_STEPS, ...MILD_STEPS];
  const harsh = [...APPLICATION_STEPS, ...HARSH_STEPS];
  const lossy = harsh.filter(({ name }) =>
    name !== "crash" && name !== "leave"
  );
  return {
    mild: runsOf(mild, [], groups),
    harsh: runsOf(harsh, [], groups),
    lossy: runsOf(lossy, LOSSES, [...groups, ...losses]),
  };
}

/** Runs without groups. */
export const RUNS = allRuns([], []);

/** Runs in which memberships come and go too. */
export const GROUP_RUNS = allRuns(
  groupSteps(USERS, [UNKNOWN_USER]),
  lossSteps(USERS),
);
