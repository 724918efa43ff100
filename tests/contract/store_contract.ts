/**
 * The contract that every implementation of the store must keep, for ids of any type.
 *
 * @module
 */
import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import {
  FencedError,
  type NodeId,
  type Store,
} from "../../src/core/store/store.ts";
import type { Status } from "../../src/client/protocol/messages.ts";
import type { UserId } from "../../src/client/protocol/user_id.ts";
import { IGNORING } from "../support/fakes.ts";
import { pause, until } from "../support/until.ts";
import { type Numbered, numbered } from "./numbered.ts";

/**
 * A new store with an application's users 1 to 5, whose ids are those of `idOf`, and the means to
 * do from outside what an application or an operator does.
 */
export interface Subject {
  readonly store: Store;
  /** Makes a node's lease end now, or that many milliseconds ago. */
  expire(nodeId: NodeId, agoMs?: number): Promise<void>;
  /** Locks a user's row of the users table until the returned function is called. */
  lock(userId: UserId): Promise<() => Promise<void>>;
  /** Locks the users table, so that nothing reads it, until the returned function is called. */
  lockTable(): Promise<() => Promise<void>>;
  /** Locks what the store remembers of a user, as a write does, until the returned function is called. */
  lockPresence(userId: UserId): Promise<() => Promise<void>>;
  /** How many statements wait for a lock. */
  countWaiting(): Promise<number>;
  /** Writes a copy of the status, as an application may. */
  setStatus(userId: UserId, status: Status): Promise<void>;
  /** The copy of the status in the users table. */
  status(userId: UserId): Promise<string>;
  /** Deletes a user's row. */
  deleteUser(userId: UserId): Promise<void>;
  /** Creates a user's row, also with an id that was deleted. */
  createUser(userId: UserId): Promise<void>;
  renameUser(userId: UserId, username: string): Promise<void>;
  claims(): Promise<readonly (readonly [UserId, NodeId])[]>;
  /** Removes the oldest rows of the feed, up to a seq. */
  prune(seq: number): Promise<void>;
  close(): Promise<void>;
}

const [A, B, C, D] = [1, 2, 3, 4].map((n) =>
  `00000000-0000-4000-8000-00000000000${n}`
) as [string, string, string, string];
const LEASE_MS = 60_000;

type Test = (title: string, run: (store: Numbered) => Promise<void>) => void;

/**
 * @param name Of the implementation. It is in every title, behind the promise's id.
 * @param create A subject of its own for each test.
 * @param idOf The id of the nth user, ascending.
 */
export function storeContract(
  name: string,
  create: () => Promise<Subject>,
  idOf: (n: number) => UserId = (n) => n,
): void {
  const test: Test = (title, run) =>
    Deno.test(title.replace(/^(\[\w+\] )?/, `$1${name}: `), async () => {
      const subject = await create();
      try {
        await run(numbered(subject, idOf));
      } finally {
        await subject.close();
      }
    });
  claimsContract(test);
  leaseContract(test);
  applicationContract(test);
  feedContract(test);
  concurrencyContract(test);
}

function claimsContract(test: Test): void {
  test("the first claim of a user is a transition, further ones are not", async (store) => {
    await store.join(A, LEASE_MS);
    await store.join(B, LEASE_MS);
    const first = await store.apply(A, [2, 1], []);
    deepEqual(first.transitions, ["1 1 online", "2 2 online"]);
    deepEqual(first.usernames, ["user1", "user2"]);
    deepEqual((await store.apply(B, [1], [])).transitions, []);
    deepEqual((await store.apply(A, [1], [])).transitions, []);
    equal(await store.status(1), "online");
  });

  test("the last release of a user is a transition, earlier ones are not", async (store) => {
    await store.join(A, LEASE_MS);
    await store.join(B, LEASE_MS);
    await store.apply(A, [1], []);
    await store.apply(B, [1], []);
    deepEqual((await store.apply(A, [], [1])).transitions, []);
    equal(await store.status(1), "online");
    deepEqual((await store.apply(B, [], [1])).transitions, ["2 1 offline"]);
    equal(await store.status(1), "offline");
    deepEqual((await store.apply(B, [], [1])).transitions, []);
  });

  test("one batch claims and releases", async (store) => {
    await store.join(A, LEASE_MS);
    await store.apply(A, [1, 2], []);
    const { transitions } = await store.apply(A, [3], [1]);
    deepEqual(transitions, ["3 1 offline", "4 3 online"]);
    deepEqual(await store.claims(), [`2@${A}`, `3@${A}`]);
  });

  test("ids of no user are returned as unknown, and the rest is applied", async (store) => {
    await store.join(A, LEASE_MS);
    const applied = await store.apply(A, [99, 1, 77], []);
    deepEqual(applied.transitions, ["1 1 online"]);
    deepEqual(applied.unknown, [77, 99]);
    deepEqual(applied.deferred, []);
    deepEqual(await store.claims(), [`1@${A}`]);
  });

  test("claimedBy returns the claims of one node, with or without a transition", async (store) => {
    await store.join(A, LEASE_MS);
    await store.join(B, LEASE_MS);
    await store.apply(A, [1, 2], []);
    await store.apply(B, [2, 3], []);
    deepEqual(await store.claimedBy(A), [1, 2]);
    await store.apply(A, [], [2]);
    deepEqual(await store.claimedBy(A), [1]);
    deepEqual(await store.claimedBy(B), [2, 3]);
  });
}

function leaseContract(test: Test): void {
  test("a node without a lease is fenced and writes nothing", async (store) => {
    await rejects(store.apply(A, [1], []), FencedError);
    await rejects(store.heartbeat(A, LEASE_MS), FencedError);
    await store.join(A, LEASE_MS);
    await store.expire(A);
    await rejects(store.apply(A, [1], []), FencedError);
    await rejects(store.heartbeat(A, LEASE_MS), FencedError);
    deepEqual(await store.claims(), []);
  });

  test("[C2] a sweep sets the users of an ended node offline, and no others", async (store) => {
    await store.join(A, LEASE_MS);
    await store.join(B, LEASE_MS);
    await store.apply(A, [1, 2], []);
    await store.apply(B, [2, 3], []);
    await store.expire(A);
    deepEqual(await store.sweep(B), ["4 1 offline"]);
    deepEqual(await store.sweep(B), []);
    deepEqual(await store.claims(), [`2@${B}`, `3@${B}`]);
  });

  test("[C2] a sweep passes over a user whom another transaction writes, and a later one finds that user", async (store) => {
    await store.join(A, LEASE_MS);
    await store.join(B, LEASE_MS);
    await store.apply(A, [1, 2, 3], []);
    await store.expire(A);
    const unlock = await store.lockPresence(2);
    deepEqual(await store.sweep(B), ["4 1 offline", "5 3 offline"]);
    deepEqual((await store.apply(B, [1, 3], [])).transitions.length, 2);
    deepEqual(await store.claims(), [`1@${B}`, `2@${A}`, `3@${B}`]);
    await unlock();
    deepEqual(await store.sweep(B), ["8 2 offline"]);
    await rejects(store.heartbeat(A, LEASE_MS), FencedError);
  });

  test("[L1] a sweep soon after another one only releases the claims of ended nodes", async (store) => {
    await store.join(A, LEASE_MS);
    await store.join(B, LEASE_MS);
    await store.apply(A, [1], []);
    await store.apply(B, [2], []);
    deepEqual(await store.sweep(A, LEASE_MS), []);
    await store.setStatus(1, "offline");
    await store.expire(B);
    deepEqual(await store.sweep(A, LEASE_MS), ["3 2 offline"]);
    equal(await store.status(1), "offline");
    deepEqual(await store.sweep(A), []);
    equal(await store.status(1), "online");
  });

  test("[C5] a sweep that comes after the end of the node's own lease is fenced, and releases nothing", async (store) => {
    await store.join(A, LEASE_MS);
    await store.join(B, LEASE_MS);
    await store.apply(A, [1], []);
    await store.apply(B, [2], []);
    await store.expire(A);
    await store.expire(B);
    await rejects(store.sweep(B), FencedError);
    deepEqual(await store.claims(), [`1@${A}`, `2@${B}`]);
  });

  test("[C3] joining sets users of ended nodes offline, and no others", async (store) => {
    await store.join(A, LEASE_MS);
    await store.join(B, LEASE_MS);
    await store.apply(A, [1], []);
    await store.apply(B, [2], []);
    await store.expire(A, LEASE_MS);
    deepEqual(await store.join(C, LEASE_MS), ["3 1 offline"]);
    equal(await store.status(1), "offline");
    equal(await store.status(2), "online");
  });

  test("[C5] a new node does not sweep nodes whose lease ended less than a lease ago", async (store) => {
    await store.join(A, LEASE_MS);
    await store.join(B, LEASE_MS);
    await store.apply(A, [1], []);
    await store.apply(B, [2], []);
    await store.leave(B, LEASE_MS);
    await store.expire(A);
    await store.expire(B);
    // A node that left will not come back.
    deepEqual(await store.join(C, LEASE_MS), ["3 2 offline"]);
    equal(await store.status(1), "online");
    deepEqual(await store.sweep(C), ["4 1 offline"]);
  });

  test("[C4] a node that joins again takes over the claims of its predecessor", async (store) => {
    await store.join(A, LEASE_MS);
    await store.apply(A, [1, 2], []);
    await store.expire(A);
    deepEqual(await store.join(B, LEASE_MS, A), []);
    deepEqual(await store.claims(), [`1@${B}`, `2@${B}`]);
    await rejects(store.apply(A, [3], []), FencedError);
  });

  test("[C5] a node that joins again does not sweep other nodes", async (store) => {
    await store.join(A, LEASE_MS);
    await store.join(B, LEASE_MS);
    await store.apply(A, [1], []);
    await store.apply(B, [2], []);
    await store.expire(A);
    await store.expire(B);
    deepEqual(await store.join(C, LEASE_MS, A), []);
    deepEqual(await store.join(D, LEASE_MS, B), []);
    deepEqual(await store.sweep(D), []);
    deepEqual(await store.claims(), [`1@${C}`, `2@${D}`]);
  });

  test("a node id cannot join twice", async (store) => {
    await store.join(A, LEASE_MS);
    await rejects(store.join(A, LEASE_MS));
  });

  test("the last node to leave sets its users offline at once", async (store) => {
    await store.join(A, LEASE_MS);
    await store.apply(A, [1], []);
    await store.leave(A, LEASE_MS);
    equal(await store.status(1), "offline");
    deepEqual(await store.claims(), []);
  });

  test("[C7] the claims of a node that leaves count until the end of the handover, if another node runs", async (store) => {
    await store.join(A, LEASE_MS);
    await store.join(B, LEASE_MS);
    await store.apply(A, [1, 2], []);
    await store.leave(A, LEASE_MS);
    deepEqual(await store.sweep(B), []);
    deepEqual((await store.apply(B, [1], [])).transitions, []);
    await store.expire(A);
    deepEqual(await store.sweep(B), ["3 2 offline"]);
  });

  test("[P8] a revocation ends the handover of its user, and of no other user", async (store) => {
    await store.join(A, LEASE_MS);
    await store.join(B, LEASE_MS);
    await store.apply(A, [1, 2, 3], []);
    await store.apply(B, [3], []);
    await store.leave(A, LEASE_MS);
    for (const user of [1, 3, 4]) await store.revoke(user, undefined);
    deepEqual(await store.claims(), [`2@${A}`, `3@${B}`]);
    equal(await store.status(1), "offline");
    deepEqual((await store.readFeed(3, 10)).transitions, ["4 1 offline"]);
  });

  test("[C7] the last node to leave releases the claims of a node that stopped renewing its lease, and only of that", async (store) => {
    // Two of its heartbeats have passed before the other node leaves.
    await store.join(A, LEASE_MS, undefined, 1);
    await store.join(B, LEASE_MS);
    await store.apply(A, [1], []);
    await store.apply(B, [2], []);
    await pause(5);
    await store.leave(B, LEASE_MS);
    deepEqual(await store.claims(), []);
    await store.join(C, LEASE_MS);
    await store.join(D, LEASE_MS);
    await store.apply(C, [1], []);
    await store.leave(D, LEASE_MS);
    deepEqual(await store.claims(), [`1@${C}`]);
  });

  test("the last of several nodes to leave also sets the users of the others offline", async (store) => {
    await store.join(A, LEASE_MS);
    await store.join(B, LEASE_MS);
    await store.apply(A, [1], []);
    await store.leave(A, LEASE_MS);
    equal(await store.status(1), "online");
    await store.leave(B, LEASE_MS);
    equal(await store.status(1), "offline");
    deepEqual(await store.claims(), []);
  });
}

/** What an application does with its users. */
function applicationContract(test: Test): void {
  test("[P4] a user whose row is deleted while online goes offline once, and is unknown from then on", async (store) => {
    await store.join(A, LEASE_MS);
    await store.join(B, LEASE_MS);
    await store.apply(A, [1, 2], []);
    await store.apply(B, [1], []);
    await store.deleteUser(1);
    deepEqual((await store.apply(A, [], [1])).transitions, []);
    deepEqual(await store.sweep(A), ["3 1 offline"]);
    deepEqual(await store.sweep(B), []);
    deepEqual(await store.claims(), [`2@${A}`]);
    deepEqual((await store.apply(A, [1], [])).unknown, [1]);
    deepEqual((await store.apply(B, [], [1])).transitions, []);
  });

  test("[P4] a user whose row is deleted goes offline when the last claim is released, before any sweep", async (store) => {
    await store.join(A, LEASE_MS);
    await store.apply(A, [1, 2], []);
    await store.deleteUser(1);
    await store.deleteUser(2);
    deepEqual((await store.apply(A, [], [1])).transitions, ["3 1 offline"]);
    // The claim of a user who arrives again and is not there any more is released too.
    const again = await store.apply(A, [2], []);
    deepEqual(again.transitions, ["4 2 offline"]);
    deepEqual(again.unknown, [2]);
    deepEqual(await store.sweep(A), []);
    deepEqual(await store.claims(), []);
  });

  test("[P4] a deleted user goes offline once, although all nodes sweep at the same time", async (store) => {
    for (const node of [A, B, C]) await store.join(node, LEASE_MS);
    await store.apply(A, [1], []);
    await store.apply(B, [1], []);
    await store.deleteUser(1);
    const swept = await Promise.all([A, B, C].map((node) => store.sweep(node)));
    // Each may find another one at it, and leave the user to a later sweep.
    swept.push(await store.sweep(A));
    deepEqual(swept.flat(), ["2 1 offline"]);
    deepEqual(await store.claims(), []);
  });

  test("[P4] a deleted user whom another transaction writes delays no other, and goes offline later", async (store) => {
    await store.join(A, LEASE_MS);
    await store.apply(A, [1, 2], []);
    await store.deleteUser(1);
    await store.deleteUser(2);
    const unlock = await store.lockPresence(1);
    deepEqual(await store.sweep(A), ["3 2 offline"]);
    await unlock();
    deepEqual(await store.sweep(A), ["4 1 offline"]);
  });

  test("[U1] copies are written although another transaction writes one of their users", async (store) => {
    await store.join(A, LEASE_MS);
    const unlockRow = await store.lock(1);
    const unlockOther = await store.lock(2);
    await store.apply(A, [1, 2], []);
    await unlockRow();
    await unlockOther();
    const unlock = await store.lockPresence(1);
    deepEqual(await store.sweep(A), []);
    deepEqual([await store.status(1), await store.status(2)], [
      ...["online", "online"],
    ]);
    await unlock();
    deepEqual(await store.sweep(A), []);
  });

  test("[U1] a user who is deleted and created again between two sweeps stays online, and nobody is notified", async (store) => {
    await store.join(A, LEASE_MS);
    await store.apply(A, [1], []);
    await store.deleteUser(1);
    await store.createUser(1);
    equal(await store.status(1), "offline");
    deepEqual((await store.apply(A, [1], [])).transitions, []);
    deepEqual(await store.sweep(A), []);
    equal(await store.status(1), "online");
    deepEqual((await store.apply(A, [], [1])).transitions, ["2 1 offline"]);
  });

  test("[U1] a locked row delays nobody, and the sweep copies the status once the row is free", async (store) => {
    await store.join(A, LEASE_MS);
    await store.apply(A, [2], []);
    const unlock1 = await store.lock(1);
    const unlock2 = await store.lock(2);
    const applied = await store.apply(A, [1, 3], [2]);
    deepEqual(applied.transitions, ["2 1 online", "3 2 offline", "4 3 online"]);
    deepEqual([applied.unknown, applied.deferred], [[], []]);
    deepEqual(await store.claims(), [`1@${A}`, `3@${A}`]);
    deepEqual(await store.sweep(A), []);
    equal(await store.status(1), "offline");
    equal(await store.status(2), "online");
    equal(await store.status(3), "online");
    await unlock1();
    await unlock2();
    deepEqual(await store.sweep(A), []);
    equal(await store.status(1), "online");
    equal(await store.status(2), "offline");
  });

  test("[U1] a copy that the application overwrites is corrected by the sweep, and nobody is notified", async (store) => {
    await store.join(A, LEASE_MS);
    await store.apply(A, [1], []);
    await store.setStatus(1, "offline");
    // Of a user who was never online.
    await store.setStatus(5, "online");
    deepEqual((await store.apply(A, [1], [])).transitions, []);
    deepEqual(await store.sweep(A), []);
    equal(await store.status(1), "online");
    equal(await store.status(5), "offline");
    deepEqual((await store.apply(A, [5], [1])).transitions, [
      "2 1 offline",
      "3 5 online",
    ]);
  });

  test("[U1] while the users table cannot be read, users who were seen before come and go, and others are deferred", async (store) => {
    await store.join(A, LEASE_MS);
    await store.apply(A, [1, 2], []);
    await store.apply(A, [], [2]);
    const unlock = await store.lockTable();
    const applied = await store.apply(A, [2, 3, 99], [1]);
    deepEqual(applied.transitions, ["4 1 offline", "5 2 online"]);
    deepEqual(applied.deferred, [3, 99]);
    deepEqual(applied.unknown, []);
    deepEqual(await store.sweep(A), []);
    deepEqual(await store.claims(), [`2@${A}`]);
    await unlock();
    deepEqual(await store.sweep(A), []);
    equal(await store.status(1), "offline");
    equal(await store.status(2), "online");
    const again = await store.apply(A, [3, 99], []);
    deepEqual(again.transitions, ["6 3 online"]);
    deepEqual([again.unknown, again.deferred], [[99], []]);
  });

  test("a new name of an online user is notified, also if the user arrives on another node before the sweep", async (store) => {
    await store.join(A, LEASE_MS);
    await store.join(B, LEASE_MS);
    await store.apply(A, [1], []);
    let renamed = 0;
    const subscription = await store.subscribe({
      ...IGNORING,
      onRenamed: () => renamed += 1,
    });
    await store.renameUser(1, "lovelace");
    await store.apply(B, [1], []);
    await store.sweep(A);
    await until("the new name is notified", () => renamed === 1);
    deepEqual((await store.snapshot()).users, [[1, "lovelace"]]);
    await subscription.close();
  });

  test("a user who was renamed while offline comes online by the new name", async (store) => {
    await store.join(A, LEASE_MS);
    await store.apply(A, [1], []);
    await store.apply(A, [], [1]);
    await store.renameUser(1, "lovelace");
    deepEqual((await store.apply(A, [1], [])).usernames, ["lovelace"]);
  });
}

function feedContract(test: Test): void {
  test("[S2] skipTo leaves a hole in the feed, never moves it back, and notifies", async (store) => {
    await store.join(A, LEASE_MS);
    await store.apply(A, [1], []);
    const heads: number[] = [];
    const subscription = await store.subscribe({
      ...IGNORING,
      onHead: (seq) => heads.push(seq),
    });
    await store.skipTo(100);
    const { seq } = await store.snapshot();
    ok(seq >= 100);
    await store.skipTo(seq);
    await store.skipTo(50);
    await until("the notification arrives", () => heads.includes(seq));
    const { transitions } = await store.apply(A, [2], []);
    deepEqual(transitions, [`${seq + 1} 2 online`]);
    equal((await store.snapshot()).seq, seq + 1);
    deepEqual(await store.readFeed(1, 10), { head: seq + 1, transitions });
    await subscription.close();
  });

  test("the feed is read in order, up to a limit, and with its head", async (store) => {
    await store.join(A, LEASE_MS);
    await store.apply(A, [1, 2, 3], []);
    await store.apply(A, [], [2]);
    const { head, transitions } = await store.readFeed(1, 2);
    equal(head, 4);
    deepEqual(transitions, ["2 2 online", "3 3 online"]);
    deepEqual(await store.readFeed(4, 2), { head: 4, transitions: [] });
  });

  test("pruned transitions are missing from the feed, and its head stays", async (store) => {
    await store.join(A, LEASE_MS);
    await store.apply(A, [1, 2, 3], []);
    await store.prune(2);
    deepEqual((await store.readFeed(0, 10)).transitions, ["3 3 online"]);
    await store.prune(3);
    deepEqual(await store.readFeed(0, 10), { head: 3, transitions: [] });
  });

  test("a snapshot has the users who are online as of its seq", async (store) => {
    deepEqual(await store.snapshot(), { seq: 0, users: [] });
    await store.join(A, LEASE_MS);
    await store.apply(A, [1, 2], []);
    await store.apply(A, [], [1]);
    deepEqual(await store.snapshot(), { seq: 3, users: [[2, "user2"]] });
  });

  test("a subscription notifies of transitions, renamed users and revocations, and reads the head", async (store) => {
    await store.join(A, LEASE_MS);
    let head = 0;
    let renamed = 0;
    let revoked = 0;
    const subscription = await store.subscribe({
      ...IGNORING,
      onHead: (seq) => head = seq,
      onRenamed: () => renamed += 1,
      onRevoked: () => revoked += 1,
    });
    equal(await subscription.head(), 0);
    await store.apply(A, [1, 2, 3], []);
    await store.apply(A, [], [3]);
    await until("the new head arrives", () => head === 4);
    equal(await subscription.head(), 4);
    // Of a user who is offline: notifies of nothing.
    await store.renameUser(3, "nobody");
    deepEqual(await store.sweep(A), []);
    await store.renameUser(1, "renamed");
    deepEqual(await store.sweep(A), []);
    await until("the new name arrives", () => renamed === 1);
    await store.revoke(1, undefined);
    await until("the revocation arrives", () => revoked === 1);
    equal(renamed, 1);
    const { users } = await store.snapshot();
    deepEqual(users, [[1, "renamed"], [2, "user2"]]);
    await subscription.close();
    await subscription.ended;
  });

  test("revocations are read in the order in which they were made", async (store) => {
    await store.join(A, LEASE_MS);
    deepEqual(await store.readRevocations(0, 10), []);
    await store.revoke(7, undefined);
    await store.revoke(undefined, "t");
    const revocations = await store.readRevocations(0, 10);
    deepEqual(revocations.map(({ user, tokenId }) => [user, tokenId]), [
      [7, undefined],
      [undefined, "t"],
    ]);
    const [first = 0, second = 0] = revocations.map(({ id }) => id);
    ok(first < second);
    deepEqual(await store.readRevocations(0, 1), revocations.slice(0, 1));
    deepEqual(await store.readRevocations(first, 10), revocations.slice(1));
    await store.sweep(A);
    deepEqual(await store.readRevocations(0, 10), revocations);
  });
}

function concurrencyContract(test: Test): void {
  test("[C1] two nodes that write the same users at the same time leave status, claims and feed in agreement", async (store) => {
    await store.join(A, LEASE_MS);
    await store.join(B, LEASE_MS);
    const bounce = async (node: string) => {
      for (let round = 0; round < 30; round++) {
        await store.apply(node, [1, 2, 3], []);
        await store.apply(node, [], [3, 2, 1]);
      }
    };
    await Promise.all([bounce(A), bounce(B)]);
    deepEqual(await store.claims(), []);
    // The other node may have held the row while the last copy was written.
    await store.sweep(A);
    for (const user of [1, 2, 3]) equal(await store.status(user), "offline");
    const { transitions } = await store.readFeed(0, 10_000);
    ok(transitions.length >= 6);
    const rows = transitions.map((row) => row.split(" "));
    for (const user of ["1", "2", "3"]) {
      const statuses = rows.filter(([, id]) => id === user)
        .map(([, , status]) => status);
      deepEqual(
        statuses,
        statuses.map((_, index) => index % 2 === 0 ? "online" : "offline"),
      );
    }
    deepEqual(
      rows.map(([seq]) => Number(seq)),
      rows.map((_, index) => index + 1),
    );
  });

  for (const [arrives, leaves] of [[1, 2], [2, 1]] as const) {
    test(`[C1] batches in which user ${leaves} leaves one node for another, and user ${arrives} arrives on both, do not wait for each other`, async (store) => {
      await store.join(A, LEASE_MS);
      await store.join(B, LEASE_MS);
      await store.apply(A, [2, leaves], []);
      if (leaves === 1) await store.apply(A, [], [2]);
      await store.apply(B, [3], []);
      const { head } = await store.readFeed(0, 1);
      const unlock = await store.lockPresence(2);
      const moving = store.apply(A, [arrives], [leaves]);
      await store.waiting(1, moving);
      const arriving = store.apply(B, [1, 2], []);
      await store.waiting(2, arriving);
      await unlock();
      await Promise.all([moving, arriving]);
      deepEqual(await store.claims(), [
        ...[`${arrives}@${A}`, `1@${B}`, `2@${B}`, `3@${B}`].sort(),
      ]);
      const { transitions } = await store.readFeed(head, 10);
      equal(transitions.length, 3);
    });
  }

  test("[P6] two nodes that write different users at the same time share one order", async (store) => {
    await store.join(A, LEASE_MS);
    await store.join(B, LEASE_MS);
    const bounce = async (node: string, user: number) => {
      for (let round = 0; round < 30; round++) {
        await store.apply(node, [user], []);
        await store.apply(node, [], [user]);
      }
    };
    await Promise.all([bounce(A, 1), bounce(B, 2)]);
    const { head, transitions } = await store.readFeed(0, 10_000);
    equal(head, 120);
    deepEqual(
      transitions.map((row) => Number(row.split(" ")[0])),
      transitions.map((_, index) => index + 1),
    );
    equal(transitions.length, 120);
  });
}
