/**
 * What the store's contract says about groups that cannot be read, that are too many, and that
 * change while they are read.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { type GroupsTest, LEASE_MS, NODES } from "./grouped.ts";

const [A, B] = NODES;

/** What cannot be read. */
export function faultsContract(test: GroupsTest): void {
  test("[V5] while the groups cannot be read, nobody comes online, and users who are online keep their groups", async (store) => {
    await store.join(A, LEASE_MS);
    await store.join(B, LEASE_MS);
    await store.setGroups(1, ["a"]);
    await store.setGroups(2, ["b"]);
    await store.apply(A, [1, 2, 4, 5]);
    await store.apply(A, [], [2]);
    await store.setGroups(1, ["c"], "named");
    await store.setGroups(5, ["c"]);
    const unlock = await store.lockGroups();
    const applied = await store.apply(B, [1, 2, 3], [4]);
    deepEqual(applied, {
      ...{ transitions: [], ungrouped: [2, 3], overgrouped: [] },
    });
    deepEqual((await store.apply(A, [2], [4])).transitions, [
      "6 4 offline () -",
    ]);
    deepEqual((await store.regroup(A)).transitions, []);
    deepEqual(await store.sweep(A), []);
    deepEqual(await store.claims(), [`1@${A}`, `1@${B}`, `5@${A}`]);
    deepEqual(await store.snapshot(), ["1 (a)", "5 ()"]);
    await unlock();
    // What was named meanwhile is not forgotten.
    deepEqual((await store.regroup(A)).transitions, ["7 1 online (a) (c)"]);
    deepEqual(await store.sweep(A), ["8 5 online () (c)"]);
    const again = await store.apply(B, [2, 3]);
    deepEqual(again, {
      transitions: ["9 2 online - (b)", "10 3 online - ()"],
      ...{ ungrouped: [], overgrouped: [] },
    });
  });

  test("[V5] users go offline with the groups that they had, also while the groups cannot be read", async (store) => {
    await store.join(A, LEASE_MS);
    await store.join(B, LEASE_MS);
    for (const user of [1, 2, 3]) await store.setGroups(user, ["a"]);
    await store.apply(A, [1, 2]);
    await store.apply(B, [3]);
    const unlock = await store.lockGroups();
    await store.deleteUser(1);
    deepEqual(await store.sweep(B), ["4 1 offline (a) -"]);
    await store.expire(A);
    deepEqual(await store.sweep(B), ["5 2 offline (a) -"]);
    await store.leave(B, LEASE_MS);
    deepEqual((await store.feed()).slice(5), ["3 offline (a) -"]);
    await unlock();
  });
}

/** Too many groups, and ids that are too long. */
export function boundsContract(test: GroupsTest): void {
  const many = (count: number) =>
    Array.from({ length: count }, (_, index) => `g${100 + index}`);

  test("[V1] a user in too many groups, or in one with an id that is too long, is not claimed", async (store) => {
    await store.join(A, LEASE_MS);
    await store.setGroups(1, many(101));
    await store.setGroups(2, [...many(100), "g100"]);
    await store.setGroups(3, ["a", "b".repeat(129)]);
    await store.setGroups(4, ["\u{1f600}".repeat(128)]);
    const applied = await store.apply(A, [1, 2, 3, 4]);
    deepEqual(applied, {
      transitions: [
        `1 2 online - (${many(100)})`,
        `2 4 online - (${"\u{1f600}".repeat(128)})`,
      ],
      ...{ ungrouped: [], overgrouped: [1, 3] },
    });
    deepEqual(await store.claims(), [`2@${A}`, `4@${A}`]);
    await store.setGroups(1, ["a"]);
    deepEqual((await store.apply(A, [1])).transitions, ["3 1 online - (a)"]);
  });

  test("[V1] the claim of a user who arrives again in too many groups is released, with a transition if it was the last", async (store) => {
    await store.join(A, LEASE_MS);
    await store.join(B, LEASE_MS);
    await store.setGroups(1, ["a"]);
    await store.apply(A, [1, 2]);
    await store.apply(B, [1]);
    await store.setGroups(1, many(101));
    deepEqual(await store.apply(A, [1, 3]), {
      transitions: ["3 3 online - ()"],
      ...{ ungrouped: [], overgrouped: [1] },
    });
    deepEqual(await store.claims(), [`1@${B}`, `2@${A}`, `3@${A}`]);
    deepEqual(await store.apply(B, [1]), {
      transitions: ["4 1 offline (a) -"],
      ...{ ungrouped: [], overgrouped: [1] },
    });
  });

  test("[V1] users who are online and in too many groups now go offline, when they are named and in a sweep", async (store) => {
    await store.join(A, LEASE_MS);
    await store.join(B, LEASE_MS);
    for (const user of [1, 2]) await store.setGroups(user, ["a"]);
    await store.apply(A, [1, 2, 3]);
    await store.apply(B, [1, 2]);
    await store.setGroups(1, many(101), "named");
    await store.setGroups(2, many(101));
    deepEqual((await store.regroup(B)).transitions, ["4 1 offline (a) -"]);
    deepEqual(await store.sweep(B), ["5 2 offline (a) -"]);
    deepEqual(await store.claims(), [`3@${A}`]);
    deepEqual(await store.sweep(B), []);
  });
}

/** What is read before another change is never written after it. */
export function orderContract(test: GroupsTest): void {
  test("[V3] a batch that waits for another write reads the groups after it", async (store) => {
    await store.join(A, LEASE_MS);
    await store.join(B, LEASE_MS);
    await store.setGroups(1, ["a"]);
    await store.apply(A, [1, 2]);
    const unlock = await store.lockPresence(1);
    const applying = store.apply(B, [1, 2, 3]);
    await store.waiting(1, applying);
    await store.setGroups(1, ["b"]);
    await unlock();
    deepEqual((await applying).transitions, [
      ...["3 1 online (a) (b)", "4 3 online - ()"],
    ]);
  });

  test("[V3] a comparison that waits for another write reads the groups after it", async (store) => {
    await store.join(A, LEASE_MS);
    await store.apply(A, [1]);
    const unlock = await store.lockPresence(1);
    await store.setGroups(1, ["a"], "named");
    const regrouping = store.regroup(A);
    await store.waiting(1, regrouping);
    await store.setGroups(1, ["b"]);
    await unlock();
    deepEqual((await regrouping).transitions, ["2 1 online () (b)"]);
  });

  for (const history of ["was seen before", "was never seen"]) {
    test(`[V3] a change that is named while a user who ${history} comes online is not lost`, async (store) => {
      await store.join(A, LEASE_MS);
      await store.join(B, LEASE_MS);
      if (history === "was seen before") {
        await store.apply(A, [1]);
        await store.apply(A, [], [1]);
      }
      await store.setGroups(1, ["a"]);
      // The groups are read, and the batch is not committed.
      const unlock = await store.lockFeed();
      const applying = store.apply(A, [1]);
      await store.waiting(1, applying);
      await store.setGroups(1, ["b"], "named");
      const regrouping = store.regroup(B);
      await store.waiting(2, regrouping);
      await unlock();
      await Promise.all([applying, regrouping]);
      deepEqual((await store.feed()).slice(-2), [
        ...["1 online - (a)", "1 online (a) (b)"],
      ]);
      deepEqual(await store.snapshot(), ["1 (b)"]);
    });
  }

  test("[V2] changes and arrivals at the same time leave a chain of sets for each user", async (store) => {
    await store.join(A, LEASE_MS);
    await store.join(B, LEASE_MS);
    const bounce = async (node: string) => {
      for (let round = 0; round < 15; round++) {
        await store.apply(node, [1, 2]);
        await store.regroup(node);
        await store.apply(node, [], [2, 1]);
      }
    };
    const change = async () => {
      for (let round = 0; round < 15; round++) {
        await store.setGroups(1, [`g${round}`], "named");
        await store.setGroups(2, [`g${round}`]);
      }
    };
    await Promise.all([bounce(A), bounce(B), change()]);
    deepEqual(await store.snapshot(), []);
    const rows = (await store.feed()).map((row) => row.split(" "));
    for (const user of ["1", "2"]) {
      let groups: string | undefined = "-";
      for (const [id, status, before, after] of rows) {
        if (id !== user) continue;
        equal(before, groups);
        equal(status === "offline", after === "-");
        ok(before !== after);
        groups = after;
      }
      equal(groups, "-");
    }
  });
}
