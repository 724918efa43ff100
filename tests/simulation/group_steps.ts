/**
 * What happens in a run with groups: memberships are given and taken, named or silently, the
 * relation cannot be read for a while, clients lie about what they know, or do not read.
 *
 * @module
 */
import fc from "fast-check";
import type { UserId } from "../../src/client/protocol/user_id.ts";
import type { MembershipChange } from "../support/sim_memberships.ts";
import type { World } from "./world.ts";

export const GROUPS: readonly string[] = ["a", "b", "c", "d", "e"];

/** Groups that a user may be in. One less than there are. */
export const GROUPS_MAX = 4;

export type GroupStep =
  | {
    readonly do: "regroup";
    readonly changes: readonly MembershipChange[];
    /** Whether the application names the users in its transaction. */
    readonly naming: "named" | "silent";
  }
  | {
    /** Takes back a change by a failover, and makes another one. */
    readonly do: "lose";
    readonly userId: UserId;
    readonly node: number;
    readonly lost: readonly string[];
    readonly kept: readonly string[];
    readonly ms: number;
  }
  | { readonly do: "name"; readonly userIds: readonly UserId[] }
  | { readonly do: "lock groups" }
  | { readonly do: "drop groups"; readonly ms: number }
  | {
    /** Connects as if it had the copy of a moment at which it may not have been connected. */
    readonly do: "forge";
    readonly userId: UserId;
    readonly node: number;
    readonly watch: readonly UserId[] | undefined;
    /** How many rows of the feed ago. */
    readonly rows: number;
  }
  | {
    /** Reads nothing for a while. */
    readonly do: "stall";
    readonly pick: number;
    readonly bytes: number;
    readonly ms: number;
  };

const oneOf = fc.constantFrom;
const node = fc.nat(1);
const pick = fc.nat(20);
const naming = oneOf("named", "silent");
const several = fc.subarray([...GROUPS], { maxLength: GROUPS_MAX });
const one = oneOf(...GROUPS).map((group) => [group]);

/** A step, and how often it is taken. */
function take(weight: number, step: fc.Arbitrary<unknown>) {
  return { weight, arbitrary: step as fc.Arbitrary<GroupStep> };
}

function regroup(changes: fc.Arbitrary<readonly MembershipChange[]>) {
  return fc.record({ do: fc.constant("regroup"), changes, naming });
}

/** The steps for these users, and ids that belong to none. */
export function groupSteps(
  users: readonly UserId[],
  strangers: readonly UserId[],
): ReturnType<typeof take>[] {
  const userId = oneOf(...users);
  const ids = fc.subarray([...users, ...strangers]);
  const change = (
    how: MembershipChange["how"],
    groups: fc.Arbitrary<string[]>,
  ): fc.Arbitrary<MembershipChange> =>
    fc.record({ userId, how: fc.constant(how), groups });
  const single = (one: fc.Arbitrary<MembershipChange>) =>
    regroup(one.map((change) => [change]));
  const all = (groups: readonly string[]) =>
    users.map((userId) => ({ userId, how: "set" as const, groups }));
  // A friendship is a group of two.
  const friendship = fc.record({
    pair: fc.subarray([...users], { minLength: 2, maxLength: 2 }),
    how: oneOf<MembershipChange["how"][]>("join", "join", "leave"),
  }).map(({ pair, how }) =>
    pair.map((userId) => ({ userId, how, groups: [`pair ${pair}`] }))
  );
  const many = fc.array(change("set", fc.oneof(one, several)), {
    ...{ minLength: 2, maxLength: 4 },
  });
  return [
    take(6, single(change("join", one))),
    take(4, single(change("leave", one))),
    take(4, single(change("set", one))),
    take(3, single(change("set", several))),
    take(1, single(change("set", fc.constant([])))),
    take(0.5, single(change("set", fc.constant([...GROUPS])))),
    take(3, regroup(friendship)),
    take(3, regroup(many)),
    take(1, regroup(one.map(all))),
    take(0.5, regroup(fc.constant(all([])))),
    take(1, fc.record({ do: fc.constant("name"), userIds: ids })),
    take(0.5, fc.record({ do: fc.constant("lock groups") })),
    take(
      0.5,
      fc.record({
        do: fc.constant("drop groups"),
        ms: oneOf(1, 300, 5_000, 40_000),
      }),
    ),
    take(1, fc.record({ do: fc.constant("unlock") })),
    take(
      2,
      fc.record({
        ...{ do: fc.constant("forge"), userId, node },
        watch: fc.option(ids, { nil: undefined }),
        rows: fc.nat(12),
      }),
    ),
    take(
      2,
      fc.record({
        ...{ do: fc.constant("stall"), pick },
        bytes: oneOf(1, 100_000),
        ms: oneOf(100, 3_000, 15_000),
      }),
    ),
  ];
}

/** A failover that loses a change of groups. Its row may have the `seq` of another change then. */
export function lossSteps(
  users: readonly UserId[],
): ReturnType<typeof take>[] {
  return [take(
    3,
    fc.record({
      ...{ do: fc.constant("lose"), userId: oneOf(...users), node },
      ...{ lost: one, kept: one, ms: oneOf(0, 20, 400) },
    }),
  )];
}

/** Performs a step in a world with groups. Other steps are passed over. */
export async function performOfGroups(
  world: World,
  step: GroupStep,
): Promise<void> {
  const { memberships, judges, database, clock } = world;
  if (memberships === undefined || judges === undefined) return;
  switch (step.do) {
    case "regroup":
      return memberships.change(step.changes, step.naming);
    case "lose": {
      const { userId, lost, kept, ms } = step;
      const node = world.at(step.node);
      world.enter(node, userId, { version: 1, watch: "*" });
      await clock.advance(20);
      await world.perform({ do: "replicate" });
      memberships.change([{ userId, how: "set", groups: lost }], "named");
      await clock.advance(ms);
      await world.perform({ do: "fail over" });
      memberships.change([{ userId, how: "set", groups: kept }], "silent");
      await clock.advance(0);
      // Its groups are read at once, before a node has found the loss.
      world.enter(node, userId, { version: 2, watch: "*" });
      return;
    }
    case "name":
      return memberships.name(step.userIds);
    case "lock groups":
      return memberships.lock();
    case "drop groups":
      return memberships.drop(step.ms);
    case "forge": {
      // The copy of a viewer who was online in a lost history only is not defined.
      if (database.epoch > 0) return;
      const { userId, rows } = step;
      const seq = judges.seqBefore(rows);
      const watch = step.watch === undefined ? "*" : new Set(step.watch);
      const users = new Set(judges.viewOf(userId, seq, watch));
      const known = { seq, users };
      world.enter(world.at(step.node), userId, { version: 2, watch, known });
      return;
    }
    case "stall": {
      const client = world.pick(step.pick)?.client;
      client?.stall(step.bytes);
      clock.after(step.ms, () => client?.stall(0));
    }
  }
}
