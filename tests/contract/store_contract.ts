/**
 * The contract that every implementation of the store must keep.
 *
 * @module
 */
import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import {
  FencedError,
  type Store,
  type Transition,
} from "../../src/core/store/store.ts";
import { until } from "../support/until.ts";

/** A new store with users 1 to 5, and the means to read and change what it holds from outside. */
export interface Subject {
  readonly store: Store;
  /** Makes a node's lease end now, or that many milliseconds ago. */
  expire(nodeId: string, agoMs?: number): Promise<void>;
  /** Locks a user's row until the returned function is called. */
  lock(userId: number): Promise<() => Promise<void>>;
  /** Writes a status without the store. */
  setStatus(userId: number, status: string): Promise<void>;
  status(userId: number): Promise<string>;
  /** Deletes a user's row. */
  deleteUser(userId: number): Promise<void>;
  /** Creates a user's row, also with an id that was deleted. */
  createUser(userId: number): Promise<void>;
  renameUser(userId: number, username: string): Promise<void>;
  /** The claims as "user@node", in ascending order. */
  claims(): Promise<string[]>;
  /** Removes the oldest rows of the feed, up to a seq. */
  prune(seq: number): Promise<void>;
  close(): Promise<void>;
}

const [A, B, C, D] = [1, 2, 3, 4].map((n) =>
  `00000000-0000-4000-8000-00000000000${n}`
) as [string, string, string, string];
const LEASE_MS = 60_000;

export function storeContract(
  name: string,
  create: () => Promise<Subject>,
): void {
  const test = (title: string, run: (subject: Subject) => Promise<void>) =>
    // The promise's id stays in front of the name of the implementation.
    Deno.test(title.replace(/^(\[\w+\] )?/, `$1${name}: `), async () => {
      const subject = await create();
      try {
        await run(subject);
      } finally {
        await subject.close();
      }
    });

  test("the first claim of a user is a transition, further ones are not", async ({ store, status }) => {
    await store.join(A, LEASE_MS);
    await store.join(B, LEASE_MS);
    const first = await store.apply(A, [2, 1], []);
    deepEqual(brief(first.transitions), ["1 1 online", "2 2 online"]);
    deepEqual(first.transitions[0]?.username, "user1");
    deepEqual((await store.apply(B, [1], [])).transitions, []);
    deepEqual((await store.apply(A, [1], [])).transitions, []);
    equal(await status(1), "online");
  });

  test("the last release of a user is a transition, earlier ones are not", async ({ store, status }) => {
    await store.join(A, LEASE_MS);
    await store.join(B, LEASE_MS);
    await store.apply(A, [1], []);
    await store.apply(B, [1], []);
    deepEqual((await store.apply(A, [], [1])).transitions, []);
    equal(await status(1), "online");
    deepEqual(brief((await store.apply(B, [], [1])).transitions), [
      "2 1 offline",
    ]);
    equal(await status(1), "offline");
    deepEqual((await store.apply(B, [], [1])).transitions, []);
  });

  test("one batch claims and releases", async ({ store, claims }) => {
    await store.join(A, LEASE_MS);
    await store.apply(A, [1, 2], []);
    const { transitions } = await store.apply(A, [3], [1]);
    deepEqual(brief(transitions), ["3 1 offline", "4 3 online"]);
    deepEqual(await claims(), [`2@${A}`, `3@${A}`]);
  });

  test("ids of no user are returned as unknown, and the rest is applied", async ({ store, claims }) => {
    await store.join(A, LEASE_MS);
    const { transitions, unknown, busy } = await store.apply(
      A,
      [99, 1, 77],
      [],
    );
    deepEqual(brief(transitions), ["1 1 online"]);
    deepEqual([...unknown].sort(), [77, 99]);
    deepEqual(busy, []);
    deepEqual(await claims(), [`1@${A}`]);
  });

  test("locked users are returned as busy and unchanged, and the rest is applied", async (subject) => {
    const { store } = subject;
    await store.join(A, LEASE_MS);
    await store.apply(A, [2], []);
    const unlock1 = await subject.lock(1);
    const unlock2 = await subject.lock(2);
    const { transitions, unknown, busy } = await store.apply(A, [1, 3], [2]);
    deepEqual(brief(transitions), ["2 3 online"]);
    deepEqual([...busy].sort(), [1, 2]);
    deepEqual(unknown, []);
    deepEqual(await subject.claims(), [`2@${A}`, `3@${A}`]);
    await unlock1();
    await unlock2();
    deepEqual(brief((await store.apply(A, [1], [2])).transitions), [
      "3 1 online",
      "4 2 offline",
    ]);
  });

  test("a node without a lease is fenced and writes nothing", async (subject) => {
    const { store } = subject;
    await rejects(store.apply(A, [1], []), FencedError);
    await rejects(store.heartbeat(A, LEASE_MS), FencedError);
    await store.join(A, LEASE_MS);
    await subject.expire(A);
    await rejects(store.apply(A, [1], []), FencedError);
    await rejects(store.heartbeat(A, LEASE_MS), FencedError);
    deepEqual(await subject.claims(), []);
  });

  test("claimedBy returns the claims of one node, with or without a transition", async ({ store }) => {
    await store.join(A, LEASE_MS);
    await store.join(B, LEASE_MS);
    await store.apply(A, [1, 2], []);
    await store.apply(B, [2, 3], []);
    deepEqual([...await store.claimedBy(A)].sort(), [1, 2]);
    await store.apply(A, [], [2]);
    deepEqual(await store.claimedBy(A), [1]);
    deepEqual([...await store.claimedBy(B)].sort(), [2, 3]);
  });

  test("[S2] skipTo leaves a hole in the feed, never moves it back, and notifies", async ({ store }) => {
    await store.join(A, LEASE_MS);
    await store.apply(A, [1], []);
    const heads: number[] = [];
    const subscription = await store.subscribe(
      (seq) => heads.push(seq),
      () => {},
      () => {},
    );
    await store.skipTo(100);
    const { seq } = await store.snapshot();
    ok(seq >= 100);
    await store.skipTo(seq);
    await store.skipTo(50);
    await until("the notification arrives", () => heads.includes(seq));
    const applied = await store.apply(A, [2], []);
    deepEqual(brief(applied.transitions), [`${seq + 1} 2 online`]);
    equal((await store.snapshot()).seq, seq + 1);
    const read = await store.readFeed(1, 10);
    deepEqual(read, { head: seq + 1, transitions: applied.transitions });
    await subscription.close();
  });

  test("[C2] a sweep sets the users of an ended node offline, and no others", async (subject) => {
    const { store } = subject;
    await store.join(A, LEASE_MS);
    await store.join(B, LEASE_MS);
    await store.apply(A, [1, 2], []);
    await store.apply(B, [2, 3], []);
    await subject.expire(A);
    deepEqual(brief(await store.sweep()), ["4 1 offline"]);
    deepEqual(await store.sweep(), []);
    deepEqual(await subject.claims(), [`2@${B}`, `3@${B}`]);
  });

  test("[C3] joining sets users of ended nodes and users without a claim offline, and no others", async (subject) => {
    const { store } = subject;
    await store.join(A, LEASE_MS);
    await store.join(B, LEASE_MS);
    await store.apply(A, [1], []);
    await store.apply(B, [2], []);
    await subject.expire(A, LEASE_MS);
    await subject.setStatus(5, "online");
    const transitions = await store.join(C, LEASE_MS);
    deepEqual(
      transitions.map(({ userId, status }) => `${userId} ${status}`).sort(),
      [
        "1 offline",
        "5 offline",
      ],
    );
    equal(await subject.status(2), "online");
  });

  test("[C5] a new node does not sweep nodes whose lease ended less than a lease ago", async (subject) => {
    const { store } = subject;
    await store.join(A, LEASE_MS);
    await store.join(B, LEASE_MS);
    await store.apply(A, [1], []);
    await store.apply(B, [2], []);
    await store.leave(B, LEASE_MS);
    await subject.expire(A);
    await subject.expire(B);
    // A node that left will not come back.
    deepEqual(brief(await store.join(C, LEASE_MS)), ["3 2 offline"]);
    equal(await subject.status(1), "online");
    deepEqual(brief(await store.sweep()), ["4 1 offline"]);
  });

  test("[C4] a node that joins again takes over the claims of its predecessor", async (subject) => {
    const { store } = subject;
    await store.join(A, LEASE_MS);
    await store.apply(A, [1, 2], []);
    await subject.expire(A);
    deepEqual(await store.join(B, LEASE_MS, A), []);
    deepEqual(await subject.claims(), [`1@${B}`, `2@${B}`]);
    await rejects(store.apply(A, [3], []), FencedError);
  });

  test("[C5] a node that joins again does not sweep other nodes", async (subject) => {
    const { store } = subject;
    await store.join(A, LEASE_MS);
    await store.join(B, LEASE_MS);
    await store.apply(A, [1], []);
    await store.apply(B, [2], []);
    await subject.expire(A);
    await subject.expire(B);
    deepEqual(await store.join(C, LEASE_MS, A), []);
    deepEqual(await store.join(D, LEASE_MS, B), []);
    deepEqual(await store.sweep(), []);
    deepEqual(await subject.claims(), [`1@${C}`, `2@${D}`]);
  });

  test("a node id cannot join twice", async ({ store }) => {
    await store.join(A, LEASE_MS);
    await rejects(store.join(A, LEASE_MS));
  });

  test("the last node to leave sets its users offline at once", async ({ store, status, claims }) => {
    await store.join(A, LEASE_MS);
    await store.apply(A, [1], []);
    await store.leave(A, LEASE_MS);
    equal(await status(1), "offline");
    deepEqual(await claims(), []);
  });

  test("[C7] the claims of a node that leaves count until the end of the handover, if another node runs", async (subject) => {
    const { store } = subject;
    await store.join(A, LEASE_MS);
    await store.join(B, LEASE_MS);
    await store.apply(A, [1, 2], []);
    await store.leave(A, LEASE_MS);
    deepEqual(await store.sweep(), []);
    deepEqual((await store.apply(B, [1], [])).transitions, []);
    await subject.expire(A);
    deepEqual(brief(await store.sweep()), ["3 2 offline"]);
  });

  test("[P4] a user whose row is deleted while online goes offline once, and is unknown from then on", async (subject) => {
    const { store } = subject;
    await store.join(A, LEASE_MS);
    await store.join(B, LEASE_MS);
    await store.apply(A, [1, 2], []);
    await store.apply(B, [1], []);
    await subject.deleteUser(1);
    deepEqual((await store.apply(A, [], [1])).busy, [1]);
    deepEqual(brief(await store.sweep()), ["3 1 offline"]);
    deepEqual(await store.sweep(), []);
    deepEqual(await subject.claims(), [`2@${A}`]);
    deepEqual((await store.apply(A, [1], [])).unknown, [1]);
    deepEqual((await store.apply(B, [], [1])).transitions, []);
  });

  test("[P6] a user who is deleted and created again while online goes offline before coming online", async (subject) => {
    const { store } = subject;
    await store.join(A, LEASE_MS);
    await store.apply(A, [1], []);
    await subject.deleteUser(1);
    await subject.createUser(1);
    deepEqual((await store.apply(A, [1], [])).busy, [1]);
    deepEqual(brief(await store.sweep()), ["2 1 offline"]);
    deepEqual(brief((await store.apply(A, [1], [])).transitions), [
      "3 1 online",
    ]);
  });

  test("the last of several nodes to leave also sets the users of the others offline", async (subject) => {
    const { store } = subject;
    await store.join(A, LEASE_MS);
    await store.join(B, LEASE_MS);
    await store.apply(A, [1], []);
    await store.leave(A, LEASE_MS);
    equal(await subject.status(1), "online");
    await store.leave(B, LEASE_MS);
    equal(await subject.status(1), "offline");
    deepEqual(await subject.claims(), []);
  });

  test("the feed is read in order, up to a limit, and with its head", async ({ store }) => {
    await store.join(A, LEASE_MS);
    await store.apply(A, [1, 2, 3], []);
    await store.apply(A, [], [2]);
    const { head, transitions } = await store.readFeed(1, 2);
    equal(head, 4);
    deepEqual(brief(transitions), ["2 2 online", "3 3 online"]);
    deepEqual(await store.readFeed(4, 2), { head: 4, transitions: [] });
  });

  test("pruned transitions are missing from the feed, and its head stays", async (subject) => {
    const { store } = subject;
    await store.join(A, LEASE_MS);
    await store.apply(A, [1, 2, 3], []);
    await subject.prune(2);
    deepEqual(brief((await store.readFeed(0, 10)).transitions), ["3 3 online"]);
    await subject.prune(3);
    deepEqual(await store.readFeed(0, 10), { head: 3, transitions: [] });
  });

  test("a snapshot has the users who are online as of its seq", async ({ store }) => {
    deepEqual(await store.snapshot(), { seq: 0, users: [] });
    await store.join(A, LEASE_MS);
    await store.apply(A, [1, 2], []);
    await store.apply(A, [], [1]);
    deepEqual(await store.snapshot(), {
      seq: 3,
      users: [{ id: 2, username: "user2" }],
    });
  });

  test("a subscription notifies of transitions, renamed users and revocations, and reads the head", async (subject) => {
    const { store } = subject;
    await store.join(A, LEASE_MS);
    let head = 0;
    let renamed = 0;
    let revoked = 0;
    const subscription = await store.subscribe(
      (seq) => head = seq,
      () => renamed += 1,
      () => revoked += 1,
    );
    equal(await subscription.head(), 0);
    await store.apply(A, [1, 2], []);
    await until("the new head arrives", () => head === 2);
    equal(await subscription.head(), 2);
    await subject.renameUser(1, "renamed");
    await until("the new name arrives", () => renamed === 1);
    await store.revoke({ userId: 1, tokenId: undefined });
    await until("the revocation arrives", () => revoked === 1);
    const { users } = await store.snapshot();
    equal(users.find(({ id }) => id === 1)?.username, "renamed");
    await subscription.close();
    await subscription.ended;
  });

  test("revocations are read in the order in which they were made", async ({ store }) => {
    deepEqual(await store.readRevocations(0, 10), []);
    await store.revoke({ userId: 7, tokenId: undefined });
    await store.revoke({ userId: undefined, tokenId: "t" });
    const revocations = await store.readRevocations(0, 10);
    deepEqual(revocations.map(({ userId, tokenId }) => [userId, tokenId]), [
      [7, undefined],
      [undefined, "t"],
    ]);
    const [first = 0, second = 0] = revocations.map(({ id }) => id);
    ok(first < second);
    deepEqual(await store.readRevocations(0, 1), revocations.slice(0, 1));
    deepEqual(await store.readRevocations(first, 10), revocations.slice(1));
    await store.sweep();
    deepEqual(await store.readRevocations(0, 10), revocations);
  });

  test("[C1] two nodes that write the same users at the same time leave status, claims and feed in agreement", async (subject) => {
    const { store } = subject;
    await store.join(A, LEASE_MS);
    await store.join(B, LEASE_MS);
    const bounce = async (node: string) => {
      for (let round = 0; round < 30; round++) {
        await apply(store, node, [1, 2, 3], []);
        await apply(store, node, [], [3, 2, 1]);
      }
    };
    await Promise.all([bounce(A), bounce(B)]);
    for (const userId of [1, 2, 3]) {
      equal(await subject.status(userId), "offline");
    }
    deepEqual(await subject.claims(), []);
    const { transitions } = await store.readFeed(0, 10_000);
    ok(transitions.length >= 6);
    for (const userId of [1, 2, 3]) {
      const statuses = transitions.filter((one) => one.userId === userId).map((
        { status },
      ) => status);
      deepEqual(
        statuses,
        statuses.map((_, index) => index % 2 === 0 ? "online" : "offline"),
      );
    }
    deepEqual(
      transitions.map(({ seq }) => seq),
      transitions.map((_, index) => index + 1),
    );
  });
}

/** Retries for users whose rows the other node has locked. */
async function apply(
  store: Store,
  node: string,
  arriving: number[],
  leaving: number[],
) {
  while (arriving.length + leaving.length > 0) {
    const busy = new Set((await store.apply(node, arriving, leaving)).busy);
    arriving = arriving.filter((userId) => busy.has(userId));
    leaving = leaving.filter((userId) => busy.has(userId));
  }
}

function brief(transitions: readonly Transition[]): string[] {
  return transitions.map(({ seq, userId, status }) =>
    `${seq} ${userId} ${status}`
  );
}
