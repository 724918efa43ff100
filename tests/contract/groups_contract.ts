/**
 * What the store's contract says about groups, for ids of any type.
 *
 * A transition reads "seq user status before after": `(a,b)` are groups, `()` is none, and `-` is
 * left out.
 *
 * @module
 */
import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { FencedError } from "../../src/core/store/store.ts";
import type { UserId } from "../../src/client/protocol/user_id.ts";
import { IGNORING } from "../support/fakes.ts";
import { until } from "../support/until.ts";
import {
  grouped,
  type GroupsSubject,
  type GroupsTest,
  LEASE_MS,
  NODES,
} from "./grouped.ts";
import {
  boundsContract,
  faultsContract,
  orderContract,
} from "./groups_faults_contract.ts";

const [A, B, C] = NODES;
/** Ids of groups that an array in SQL could mistake for its own syntax, sorted by their characters. */
const AWKWARD = ["", "B", "NULL", 'a"{}\\,', "b", "\u{e9}"];
/** More than one `regroup` compares. */
const MANY_IDS = 25_000;

/**
 * @param name Of the implementation. It is in every title, behind the promise's id.
 * @param create A subject of its own for each test, with groups.
 * @param idOf The id of the nth user, ascending.
 */
export function groupsContract(
  name: string,
  create: () => Promise<GroupsSubject>,
  idOf: (n: number) => UserId = (n) => n,
): void {
  const test: GroupsTest = (title, run) =>
    Deno.test(title.replace(/^(\[\w+\] )/, `$1${name}: `), async () => {
      const subject = await create();
      try {
        await run(grouped(subject, idOf));
      } finally {
        await subject.close();
      }
    });
  setsContract(test);
  changesContract(test);
  namesContract(test);
  faultsContract(test);
  boundsContract(test);
  orderContract(test);
  switchContract(test);
}

/** The sets in transitions, in the feed, and in snapshots. */
function setsContract(test: GroupsTest): void {
  test("[V2] a user comes online with the groups of now, and goes offline with those until then", async (store) => {
    await store.join(A, LEASE_MS);
    await store.join(B, LEASE_MS);
    await store.setGroups(1, [...AWKWARD.toReversed(), "b", ""]);
    const arrived = await store.apply(A, [1, 2]);
    deepEqual(arrived.transitions, [
      ...[`1 1 online - (${AWKWARD})`, "2 2 online - ()"],
    ]);
    deepEqual([arrived.ungrouped, arrived.overgrouped], [[], []]);
    deepEqual((await store.apply(B, [1])).transitions, []);
    deepEqual(await store.snapshot(), [`1 (${AWKWARD})`, "2 ()"]);
    deepEqual((await store.apply(A, [], [1, 2])).transitions, [
      "3 2 offline () -",
    ]);
    deepEqual((await store.apply(B, [], [1])).transitions, [
      `4 1 offline (${AWKWARD}) -`,
    ]);
    // Nothing of the time before is in the next arrival.
    await store.setGroups(1, ["c"]);
    deepEqual((await store.apply(B, [1])).transitions, ["5 1 online - (c)"]);
    deepEqual(await store.feed(), [
      ...[`1 online - (${AWKWARD})`, "2 online - ()", "2 offline () -"],
      ...[`1 offline (${AWKWARD}) -`, "1 online - (c)"],
    ]);
    deepEqual(await store.snapshot(), ["1 (c)"]);
  });

  test("[V2] users of a node that ended go offline with their groups, in a sweep and in a join", async (store) => {
    await store.join(A, LEASE_MS);
    await store.join(B, LEASE_MS);
    for (const user of [1, 2]) await store.setGroups(user, [`g${user}`]);
    await store.apply(A, [1]);
    await store.apply(B, [2]);
    await store.expire(A);
    deepEqual(await store.sweep(B), ["3 1 offline (g1) -"]);
    await store.expire(B, LEASE_MS);
    deepEqual(await store.join(C, LEASE_MS), ["4 2 offline (g2) -"]);
    await store.apply(C, [1]);
    await store.leave(C, LEASE_MS);
    deepEqual((await store.feed()).slice(-2), [
      ...["1 online - (g1)", "1 offline (g1) -"],
    ]);
  });

  test("[V2] a deleted user goes offline with its groups", async (store) => {
    await store.join(A, LEASE_MS);
    await store.setGroups(1, ["a"]);
    await store.setGroups(2, ["b"]);
    await store.apply(A, [1, 2]);
    await store.deleteUser(1);
    await store.deleteUser(2);
    deepEqual(await store.sweep(A), [
      ...["3 1 offline (a) -", "4 2 offline (b) -"],
    ]);
    deepEqual(await store.snapshot(), []);
  });

  test("[V2] a node that joins again takes over its users with their groups", async (store) => {
    await store.join(A, LEASE_MS);
    await store.setGroups(1, ["a"]);
    await store.apply(A, [1]);
    await store.expire(A);
    deepEqual(await store.join(B, LEASE_MS, A), []);
    deepEqual((await store.apply(B, [1])).transitions, []);
    deepEqual(await store.snapshot(), ["1 (a)"]);
    deepEqual((await store.apply(B, [], [1])).transitions, [
      "2 1 offline (a) -",
    ]);
  });
}

/** Changes of groups while users are online, without a word of the application. */
function changesContract(test: GroupsTest): void {
  test("[V2] a user who arrives again in other groups gets one transition with both sets", async (store) => {
    await store.join(A, LEASE_MS);
    await store.join(B, LEASE_MS);
    await store.setGroups(1, ["a", "b"]);
    await store.apply(A, [1, 2]);
    await store.setGroups(1, ["c", "b"]);
    deepEqual((await store.apply(B, [1, 2, 3])).transitions, [
      ...["3 1 online (a,b) (b,c)", "4 3 online - ()"],
    ]);
    deepEqual((await store.apply(A, [1, 2])).transitions, []);
    await store.setGroups(1, []);
    // One batch in which users arrive, leave, and are in other groups.
    await store.setGroups(4, ["d"]);
    deepEqual((await store.apply(A, [1, 4], [2, 3])).transitions, [
      ...["5 1 online (b,c) ()", "6 4 online - (d)"],
    ]);
    deepEqual(await store.snapshot(), ["1 ()", "2 ()", "3 ()", "4 (d)"]);
    deepEqual((await store.feed()).slice(2), [
      ...["1 online (a,b) (b,c)", "3 online - ()"],
      ...["1 online (b,c) ()", "4 online - (d)"],
    ]);
  });

  test("[V3] a sweep finds changes that the application did not name, once", async (store) => {
    await store.join(A, LEASE_MS);
    await store.join(B, LEASE_MS);
    await store.setGroups(1, ["a"]);
    await store.apply(A, [1, 2, 3]);
    await store.setGroups(1, ["b"]);
    await store.setGroups(3, ["b"]);
    await store.setGroups(4, ["b"]);
    deepEqual((await store.regroup(A)).transitions, []);
    deepEqual(await store.sweep(B), [
      ...["4 1 online (a) (b)", "5 3 online () (b)"],
    ]);
    await store.setGroups(1, []);
    deepEqual(await store.sweep(A), ["6 1 online (b) ()"]);
    deepEqual(await store.sweep(A), []);
    deepEqual(await store.snapshot(), ["1 ()", "2 ()", "3 (b)"]);
  });

  test("[V1] of users who change groups at the same time, one who leaves a group is out of it before another one is in", async (store) => {
    await store.join(A, LEASE_MS);
    await store.setGroups(1, ["a", "x"]);
    await store.setGroups(2, ["b"]);
    await store.setGroups(3, ["c"]);
    await store.apply(A, [1, 2, 3, 4]);
    // 1 and 2 swap, 3 comes to where 1 was, and 4 comes into a group that nobody leaves.
    await store.setGroups(1, ["b", "x"]);
    await store.setGroups(2, ["a"]);
    await store.setGroups(3, ["a", "c"]);
    await store.setGroups(4, ["d"]);
    deepEqual(await store.sweep(A), [
      ...["5 1 online (a,x) (x)", "6 2 online (b) ()"],
      ...["7 1 online (x) (b,x)", "8 2 online () (a)"],
      ...["9 3 online (c) (a,c)", "10 4 online () (d)"],
    ]);
    // 2 replaces 3, and has the lower id.
    await store.setGroups(2, ["a", "c"]);
    await store.setGroups(3, ["a"]);
    deepEqual(await store.sweep(A), [
      ...["11 3 online (a,c) (a)", "12 2 online (a) (a,c)"],
    ]);
  });

  test("[V3] a sweep passes over a user whom another transaction writes, and a later one finds that user", async (store) => {
    await store.join(A, LEASE_MS);
    await store.apply(A, [1, 2]);
    for (const user of [1, 2]) await store.setGroups(user, ["a"]);
    const unlock = await store.lockPresence(1);
    deepEqual(await store.sweep(A), ["3 2 online () (a)"]);
    await unlock();
    deepEqual(await store.sweep(A), ["4 1 online () (a)"]);
  });

  test("[V2] the same groups in another order, or for a user who is offline, are no transition", async (store) => {
    await store.join(A, LEASE_MS);
    await store.setGroups(1, ["a", "b"]);
    await store.apply(A, [1, 2]);
    await store.apply(A, [], [2]);
    await store.setGroups(1, ["b", "a", "b"], "named");
    await store.setGroups(2, ["a"], "named");
    await store.setGroups(3, ["a"], "named");
    deepEqual((await store.regroup(A)).transitions, []);
    deepEqual((await store.apply(A, [1])).transitions, []);
    deepEqual(await store.sweep(A), []);
    equal((await store.feed()).length, 3);
    deepEqual(await store.claims(), [`1@${A}`]);
  });
}

/** Changes that the application names. */
function namesContract(test: GroupsTest): void {
  test("[V3] users that the application names are compared after its commit, and after no rollback", async (store) => {
    await store.join(A, LEASE_MS);
    await store.join(B, LEASE_MS);
    await store.setGroups(1, ["a"]);
    await store.apply(A, [1]);
    let named = 0;
    const subscription = await store.subscribe({
      ...IGNORING,
      onGroupsChanged: () => named += 1,
    });
    const rollBack = await store.beginGroups(1, ["b"]);
    deepEqual((await store.regroup(A)).transitions, []);
    await rollBack("rollback");
    const commit = await store.beginGroups(1, ["c"]);
    deepEqual((await store.regroup(A)).transitions, []);
    equal(named, 0);
    await commit("commit");
    await until("the change is notified", () => named === 1);
    deepEqual((await store.regroup(B)).transitions, ["2 1 online (a) (c)"]);
    deepEqual((await store.regroup(A)).transitions, []);
    deepEqual(await store.feed(), ["1 online - (a)", "1 online (a) (c)"]);
    deepEqual(await store.snapshot(), ["1 (c)"]);
    await subscription.close();
  });

  test("[V3] a change that the application names twice is one transition, although all nodes compare at the same time", async (store) => {
    for (const node of [A, B, C]) await store.join(node, LEASE_MS);
    await store.apply(A, [1, 2]);
    await store.setGroups(1, ["a"], "named");
    await store.setGroups(2, ["a"], "named");
    await store.nameUsers([2, 1, 1]);
    await Promise.all([A, B, C].map((node) => store.regroup(node)));
    await store.regroup(A);
    deepEqual((await store.feed()).slice(2).sort(), [
      ...["1 online () (a)", "2 online () (a)"],
    ]);
  });

  test("[V3] of many users who are named at once a bounded number is compared at a time, and none is lost", async (store) => {
    await store.join(A, LEASE_MS);
    await store.apply(A, [1, 2, 3]);
    for (const user of [1, 2, 3]) await store.setGroups(user, ["a"]);
    const ids = Array.from({ length: MANY_IDS }, (_, index) => 1_000 + index);
    await store.nameUsers([1, ...ids, 2]);
    await store.nameUsers([3]);
    const first = await store.regroupOnce(A);
    deepEqual(first.transitions, ["4 1 online () (a)"]);
    equal(first.isMore, true);
    const { transitions, rounds } = await store.regroup(A);
    deepEqual(transitions, ["5 2 online () (a)", "6 3 online () (a)"]);
    ok(rounds < MANY_IDS / 100);
    deepEqual(await store.claims(), [1, 2, 3].map((user) => `${user}@${A}`));
  });

  test("[V3] a sweep compares the users who are named, where the notification was lost", async (store) => {
    await store.join(A, LEASE_MS);
    await store.apply(A, [1]);
    await store.setGroups(1, ["a"], "named");
    deepEqual(await store.sweep(A), ["2 1 online () (a)"]);
    // The user is not compared again: that would wait.
    const unlock = await store.lockPresence(1);
    deepEqual(await store.regroupOnce(A), { transitions: [], isMore: false });
    await unlock();
  });

  test("[V3] a node without a lease compares nothing, and leaves it to others", async (store) => {
    await store.join(A, LEASE_MS);
    await store.join(B, LEASE_MS);
    await store.apply(B, [1]);
    await store.setGroups(1, ["a"], "named");
    await store.expire(A);
    await rejects(store.regroup(A), FencedError);
    deepEqual((await store.regroup(B)).transitions, ["2 1 online () (a)"]);
  });
}

/** An operator configures groups, or takes the configuration away. */
function switchContract(test: GroupsTest): void {
  test("[V1] where groups are configured later, a sweep takes them over for users who are online, and the others come online with them", async (store) => {
    await store.switchGroups("off");
    await store.join(A, LEASE_MS);
    await store.setGroups(1, ["a"], "named");
    await store.nameUsers([1, 2]);
    deepEqual((await store.apply(A, [1, 2, 3])).transitions, [
      ...["1 1 online - -", "2 2 online - -", "3 3 online - -"],
    ]);
    deepEqual((await store.apply(A, [], [3])).transitions, [
      "4 3 offline - -",
    ]);
    deepEqual((await store.regroup(A)).transitions, []);
    deepEqual(await store.sweep(A), []);
    await store.switchGroups("on");
    deepEqual(await store.snapshot(), ["1 -", "2 -"]);
    // Of a time without groups, nobody is named.
    const unlock = await store.lockPresence(1);
    deepEqual(await store.regroupOnce(A), { transitions: [], isMore: false });
    await unlock();
    deepEqual((await store.apply(A, [3, 2])).transitions, [
      ...["5 2 online - ()", "6 3 online - ()"],
    ]);
    deepEqual(await store.sweep(A), ["7 1 online - (a)"]);
    deepEqual(await store.snapshot(), ["1 (a)", "2 ()", "3 ()"]);
  });

  test("[V2] where groups are not configured any more, a sweep takes them from users who are online, and the others come online without", async (store) => {
    await store.join(A, LEASE_MS);
    for (const user of [1, 2]) await store.setGroups(user, ["a"]);
    await store.apply(A, [1, 2, 3]);
    await store.apply(A, [], [2]);
    await store.switchGroups("off");
    deepEqual((await store.apply(A, [2])).transitions, ["5 2 online - -"]);
    deepEqual(await store.sweep(A), [
      ...["6 1 online (a) -", "7 3 online () -"],
    ]);
    deepEqual(await store.sweep(A), []);
    deepEqual(await store.snapshot(), ["1 -", "2 -", "3 -"]);
  });
}
