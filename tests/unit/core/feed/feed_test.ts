import { deepEqual, equal, ok } from "node:assert/strict";
import { Feed } from "../../../../src/core/feed/feed.ts";
import { LISTENER_ANSWER_MS } from "../../../../src/base/limits.ts";
import {
  LOST_SEQS_MARGIN,
  USERNAME_REFRESH_MS,
} from "../../../../src/core/feed/limits.ts";
import { Roster } from "../../../../src/core/roster/roster.ts";
import type {
  Snapshot,
  Subscription,
} from "../../../../src/core/store/store.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import { rememberingLog } from "../../../support/fakes.ts";
import { MemoryDatabase, MemoryStore } from "../../../support/memory_store.ts";

const HEARTBEAT_MS = 3_000;

interface Link {
  deaf: boolean;
  mute: boolean;
  /** The next subscription waits for it. */
  slow: Promise<void> | undefined;
  slowRead: PromiseWithResolvers<void> | undefined;
  hasSnapshots: boolean;
  oldSnapshot: Snapshot | undefined;
  subscription: Subscription | undefined;
}

/** Ends the link. The next one is made when the returned function is called. */
async function sever(link: Link): Promise<() => void> {
  const { promise, resolve } = Promise.withResolvers<void>();
  link.slow = promise;
  await link.subscription?.close();
  return resolve;
}

/** A feed over a database that others write to, with a count of reads. */
async function follow() {
  const clock = new FakeClock();
  const database = new MemoryDatabase([1, 2, 3, 4, 5], () => clock.now());
  const store = new MemoryStore(database);
  const roster = new Roster();
  const log = rememberingLog();
  const counts = {
    ...{ reads: 0, snapshots: 0, advances: 0, subscriptions: 0, moves: 0 },
  };
  const link: Link = {
    deaf: false,
    mute: false,
    slow: undefined,
    slowRead: undefined,
    hasSnapshots: true,
    oldSnapshot: undefined,
    subscription: undefined,
  };
  const claims = {
    held: [] as number[] | undefined,
    told: [] as (readonly number[])[],
  };
  await store.join("other", 1_000_000);
  const feed = new Feed({
    ...{ roster, clock, log, heartbeatMs: HEARTBEAT_MS },
    store: {
      readFeed: async (after, limit) => {
        counts.reads += 1;
        const read = await store.readFeed(after, limit);
        await link.slowRead?.promise;
        return read;
      },
      snapshot: () => {
        counts.snapshots += 1;
        return link.hasSnapshots
          ? Promise.resolve(link.oldSnapshot ?? store.snapshot())
          : Promise.reject(new Error("no snapshot"));
      },
      skipTo: (seq) => {
        counts.moves += 1;
        return store.skipTo(seq);
      },
      subscribe: async (onHead, onRenamed, onRevoked) => {
        counts.subscriptions += 1;
        await link.slow;
        const subscription = await store.subscribe(
          (seq) => {
            if (!link.deaf) onHead(seq);
          },
          onRenamed,
          onRevoked,
        );
        link.subscription = {
          ...subscription,
          head: () =>
            link.mute ? new Promise<number>(() => {}) : subscription.head(),
        };
        return link.subscription;
      },
    },
    onAdvance: () => counts.advances += 1,
    onRevoked: () => {},
    recheckClaims: () => {
      if (claims.held === undefined) return Promise.reject(new Error("away"));
      claims.told.push(claims.held);
      return Promise.resolve();
    },
  }, () => 0.5);
  await feed.start();
  const online = () => roster.users().map(({ id }) => id);
  const write = (arriving: number[], leaving: number[] = []) =>
    store.apply("other", arriving, leaving);
  return {
    ...{ clock, database, feed, roster, log, counts, claims, link },
    ...{ online, write },
  };
}

Deno.test("[P6] growth that is told is read at once", async () => {
  const { clock, feed, online, write } = await follow();
  await write([1, 2]);
  await clock.advance(0);
  deepEqual(online(), [1, 2]);
  await feed.stop();
});

Deno.test("own commits are applied without a read when they are next", async () => {
  const { clock, feed, online, write, link, counts } = await follow();
  link.deaf = true;
  const { transitions } = await write([3]);
  feed.ingest(transitions);
  deepEqual(online(), [3]);
  feed.ingest(transitions);
  await clock.advance(0);
  equal(counts.reads, 0);
  await feed.stop();
});

Deno.test("[P6] own commits after a gap wait for what is missing", async () => {
  const { clock, feed, online, write, link, roster, counts } = await follow();
  link.deaf = true;
  await write([1]);
  const { transitions } = await write([2]);
  feed.ingest(transitions);
  deepEqual(online(), []);
  await clock.advance(0);
  deepEqual(online(), [1, 2]);
  equal(roster.seq, 2);
  equal(counts.reads, 1);
  await feed.stop();
});

Deno.test("[C6] a notification that was lost is noticed by the heartbeat", async () => {
  const { clock, feed, online, write, link } = await follow();
  await clock.advance(10);
  link.deaf = true;
  await write([1]);
  await clock.advance(HEARTBEAT_MS);
  deepEqual(online(), [1]);
  await feed.stop();
});

Deno.test("[C6] a link that went silent is given up, and what was missed is read", async () => {
  const { clock, feed, online, write, link, counts } = await follow();
  await clock.advance(10);
  link.deaf = true;
  link.mute = true;
  await write([1]);
  await clock.advance(HEARTBEAT_MS + LISTENER_ANSWER_MS - 100);
  equal(feed.listening, true);
  link.mute = false;
  await clock.advance(200);
  equal(counts.subscriptions, 2);
  equal(feed.listening, true);
  deepEqual(online(), [1]);
  await feed.stop();
});

Deno.test("a link that ended is replaced, listening first and then reading", async () => {
  const { clock, feed, online, write, link, counts, log } = await follow();
  await link.subscription?.close();
  await write([1]);
  await clock.advance(0);
  equal(feed.listening, false);
  await clock.advance(100);
  equal(feed.listening, true);
  deepEqual(online(), [1]);
  equal(counts.subscriptions, 2);
  deepEqual(log.events, ["warn: lost the listening connection, trying again"]);
  await feed.stop();
});

Deno.test("[P6] a log that does not reach back any more leads to a snapshot, and the difference is told", async () => {
  const { clock, feed, online, write, database, link, roster, counts } =
    await follow();
  await write([1, 2]);
  await clock.advance(10);
  link.deaf = true;
  await write([3], [1]);
  await write([4], [2]);
  database.feed = database.feed.filter(({ seq }) => seq > 5);
  const before = roster.ring.head;
  await clock.advance(HEARTBEAT_MS);
  deepEqual(online(), [3, 4]);
  equal(counts.snapshots, 2);
  equal(roster.seq, database.seq);
  equal(roster.ring.head - before, 4);
  await feed.stop();
});

Deno.test("[C5] a database that lost transitions and went on as far is noticed when the link is made anew", async () => {
  const { clock, feed, online, write, database, link, roster } = await follow();
  await write([1, 2]);
  await write([3]);
  await clock.advance(10);
  deepEqual(online(), [1, 2, 3]);
  loseLast(database, link);
  const { transitions } = await write([4]);
  feed.ingest(transitions);
  deepEqual(online(), [1, 2, 3]);
  await clock.advance(HEARTBEAT_MS);
  await link.subscription?.close();
  await clock.advance(1_000);
  deepEqual(online(), [1, 2, 4]);
  const seq = 3 + LOST_SEQS_MARGIN;
  deepEqual([roster.seq, roster.epoch], [seq, 1]);
  // A link that is lost once more finds nothing wrong.
  await write([5]);
  await clock.advance(HEARTBEAT_MS);
  await link.subscription?.close();
  await clock.advance(1_000);
  equal(roster.epoch, 1);
  await feed.stop();
});

/** Another database took over before it had the last transition: 3 came online. */
function loseLast(database: MemoryDatabase, link: { deaf: boolean }): void {
  link.deaf = true;
  database.feed.pop();
  database.seq -= 1;
  database.users.set(3, { username: "user3", status: "offline" });
  database.claims.delete(3);
}

Deno.test("[C5] what a database says while there is no link proves nothing of the one behind the next", async () => {
  const { clock, feed, online, write, database, link, roster } = await follow();
  await write([1, 2, 3]);
  await clock.advance(10);
  const mend = await sever(link);
  await clock.advance(1_000);
  equal(await feed.catchUp(), "read");
  loseLast(database, link);
  await write([4, 5]);
  deepEqual([online(), roster.epoch], [[1, 2, 3], 0]);
  mend();
  await clock.advance(1_000);
  deepEqual([online(), roster.epoch], [[1, 2, 4, 5], 1]);
  // Of every node that finds it the same, or they would move each other on.
  equal(database.seq, 3 + LOST_SEQS_MARGIN);
  await feed.stop();
});

Deno.test("[C5] with a doubt nothing is taken before it is settled", async () => {
  const { clock, feed, online, write, database, link, roster } = await follow();
  await write([1, 2]);
  await write([3]);
  await clock.advance(10);
  const mend = await sever(link);
  await clock.advance(1_000);
  loseLast(database, link);
  await write([4]);
  const { transitions } = await write([5]);
  equal(transitions[0]?.seq, 4);
  feed.ingest(transitions);
  deepEqual(online(), [1, 2, 3]);
  await clock.advance(0);
  deepEqual([online(), roster.epoch], [[1, 2, 4, 5], 1]);
  mend();
  await feed.stop();
});

Deno.test("[C5] after a doubt a hole may hide what another node found, and is as good as a contradiction", async () => {
  const { clock, feed, online, write, database, link, roster } = await follow();
  await write([1, 2, 3]);
  await clock.advance(10);
  const mend = await sever(link);
  await clock.advance(1_000);
  loseLast(database, link);
  database.skipTo(3 + LOST_SEQS_MARGIN);
  await write([4]);
  mend();
  await clock.advance(1_000);
  deepEqual([online(), roster.epoch], [[1, 2, 4], 1]);
  equal(roster.positionAfter(3), undefined);
  await feed.stop();
});

Deno.test("[C5] whoever meets a hole without a doubt is replaced like others, and moves nothing", async () => {
  const { clock, feed, online, write, database, link, roster, counts } =
    await follow();
  await write([1, 2, 3]);
  await clock.advance(10);
  loseLast(database, link);
  // Another node found it, and this one commits over a pool that found the other database too.
  await write([4]);
  database.skipTo(3 + LOST_SEQS_MARGIN);
  const { transitions } = await write([5]);
  feed.ingest(transitions);
  await clock.advance(0);
  deepEqual(online(), [1, 2, 4, 5]);
  deepEqual([roster.epoch, counts.moves], [1, 0]);
  equal(roster.positionAfter(3), undefined);
  await feed.stop();
});

Deno.test("[C5] a contradiction is found as far back as the ring reaches", async () => {
  const { clock, feed, online, write, database, link, roster } = await follow();
  await write([1, 2, 3]);
  await clock.advance(10);
  loseLast(database, link);
  await write([4]);
  for (let n = 0; n < 3_000; n++) {
    feed.ingest((await write([5])).transitions);
    feed.ingest((await write([], [5])).transitions);
  }
  await clock.advance(0);
  deepEqual([online(), roster.epoch], [[1, 2, 3], 0]);
  await link.subscription?.close();
  await clock.advance(1_000);
  deepEqual([online(), roster.epoch], [[1, 2, 4], 1]);
  await feed.stop();
});

Deno.test("[C5] a database that lost transitions and gives no snapshot is moved on once, and asked again", async () => {
  const { clock, feed, online, write, database, link, roster, counts } =
    await follow();
  await write([1, 2]);
  await write([3]);
  await clock.advance(10);
  loseLast(database, link);
  link.deaf = false;
  link.hasSnapshots = false;
  await clock.advance(10 * HEARTBEAT_MS);
  equal(database.seq, 3 + LOST_SEQS_MARGIN);
  ok(counts.snapshots <= 12, `asked ${counts.snapshots} times`);
  link.hasSnapshots = true;
  await clock.advance(HEARTBEAT_MS);
  deepEqual([online(), roster.epoch], [[1, 2], 1]);
  equal(roster.seq, 3 + LOST_SEQS_MARGIN);
  await write([4]);
  await clock.advance(0);
  deepEqual(online(), [1, 2, 4]);
  await feed.stop();
});

Deno.test("[C5] a log that was shorter when it was asked for is not believed because it grew since", async () => {
  const { clock, feed, online, write, database, link, roster } = await follow();
  await write([1, 2, 3]);
  await clock.advance(10);
  const mend = await sever(link);
  await clock.advance(10);
  loseLast(database, link);
  link.slowRead = Promise.withResolvers();
  const reading = feed.catchUp();
  await clock.advance(0);
  await write([4]);
  link.slowRead.resolve();
  link.slowRead = undefined;
  equal(await reading, "read");
  deepEqual(online(), [1, 2, 4]);
  equal(roster.positionAfter(3), undefined);
  equal(database.seq, 3 + LOST_SEQS_MARGIN);
  mend();
  await feed.stop();
});

Deno.test("[C5] what the log had under the seq of a snapshot is compared also when there is more", async () => {
  const { clock, feed, online, write, database, link, roster } = await follow();
  link.deaf = true;
  await write([1]);
  await write([2, 3]);
  database.feed = database.feed.slice(1);
  await clock.advance(HEARTBEAT_MS);
  deepEqual([online(), roster.epoch], [[1, 2, 3], 1]);
  // A row that is only in the snapshot is lost, and what is committed next is taken before that shows.
  loseLast(database, link);
  await write([4]);
  const { transitions } = await write([5]);
  feed.ingest(transitions);
  deepEqual(online(), [1, 2, 3, 5]);
  await link.subscription?.close();
  await clock.advance(1_000);
  deepEqual([online(), roster.epoch], [[1, 2, 4, 5], 2]);
  await feed.stop();
});

Deno.test("[S2] who asks to catch up is answered although the log grows faster than it is read", async () => {
  const { clock, feed, write, link } = await follow();
  await clock.advance(10);
  let isOver = false;
  const growing = (async () => {
    for (let n = 0; n < 1_000 && !isOver; n++) {
      await write([1 + n % 5], [1 + (n + 1) % 5]);
      link.slowRead?.resolve();
      link.slowRead = Promise.withResolvers();
      await clock.advance(1);
    }
    link.slowRead?.resolve();
    link.slowRead = undefined;
    return isOver;
  })();
  equal(await feed.catchUp(), "read");
  isOver = true;
  equal(await growing, true);
  await feed.stop();
});

Deno.test("[C5] with a doubt the claims are looked at too, until that works", async () => {
  const { clock, feed, link, claims } = await follow();
  await clock.advance(10);
  deepEqual(claims.told, []);
  claims.held = undefined;
  await link.subscription?.close();
  await clock.advance(1_000);
  deepEqual(claims.told, []);
  claims.held = [1, 2];
  await clock.advance(HEARTBEAT_MS);
  deepEqual(claims.told, [[1, 2]]);
  await clock.advance(HEARTBEAT_MS);
  equal(claims.told.length, 1);
  await feed.stop();
});

Deno.test("[S2] a roster that was replaced is not replaced again because nothing happened since", async () => {
  const { clock, feed, online, write, database, link, roster } = await follow();
  await write([1, 2, 3]);
  await clock.advance(10);
  loseLast(database, link);
  await clock.advance(HEARTBEAT_MS);
  deepEqual([online(), roster.epoch], [[1, 2], 1]);
  await link.subscription?.close();
  await clock.advance(1_000);
  equal(roster.epoch, 1);
  await feed.stop();
});

Deno.test("[C5] with a doubt, a log of which nothing is left to compare is not believed", async () => {
  const { clock, feed, online, write, database, link, roster, counts } =
    await follow();
  await write([1, 2, 3]);
  await clock.advance(10);
  loseLast(database, link);
  await write([4]);
  database.feed = [];
  await clock.advance(HEARTBEAT_MS);
  deepEqual([online(), roster.epoch], [[1, 2, 3], 0]);
  await link.subscription?.close();
  await clock.advance(1_000);
  deepEqual([online(), roster.epoch, counts.moves], [[1, 2, 4], 1, 0]);
  await feed.stop();
});

Deno.test("[C5] a snapshot that is older than what was told is not taken", async () => {
  const { clock, feed, online, write, database, link, roster } = await follow();
  await write([1, 2]);
  await clock.advance(10);
  link.oldSnapshot = { seq: 1, users: [] };
  link.deaf = true;
  await write([3, 4]);
  database.feed = [];
  await clock.advance(2 * HEARTBEAT_MS);
  deepEqual([online(), roster.seq, roster.epoch], [[1, 2], 2, 0]);
  link.oldSnapshot = undefined;
  await clock.advance(HEARTBEAT_MS);
  deepEqual([online(), roster.seq, roster.epoch], [[1, 2, 3, 4], 4, 1]);
  await feed.stop();
});

Deno.test("[C5] a link that is lost during a read leaves a doubt behind it", async () => {
  const { clock, feed, online, write, database, link, roster } = await follow();
  await write([1, 2, 3]);
  await clock.advance(10);
  const mend = await sever(link);
  await clock.advance(10);
  // The first doubt is being looked at when the second comes, with another database.
  link.slowRead = Promise.withResolvers();
  const reading = feed.catchUp();
  await clock.advance(1_000);
  loseLast(database, link);
  await write([4]);
  mend();
  await clock.advance(10);
  link.slowRead.resolve();
  link.slowRead = undefined;
  equal(await reading, "read");
  await clock.advance(1_000);
  deepEqual([online(), roster.epoch], [[1, 2, 4], 1]);
  await feed.stop();
});

Deno.test("[C5] a link that is lost again and again is made more and more rarely", async () => {
  const { clock, feed, link, counts } = await follow();
  for (let n = 0; n < 600; n++) {
    await link.subscription?.close();
    await clock.advance(100);
  }
  ok(counts.subscriptions < 80, `made ${counts.subscriptions} times`);
  await feed.stop();
});

Deno.test("[C5] a database that went back is noticed also by what this node has committed but not yet taken", async () => {
  const { clock, feed, online, write, database, link, roster } = await follow();
  await write([1]);
  await clock.advance(10);
  link.deaf = true;
  await write([2]);
  const { transitions } = await write([3]);
  loseLast(database, link);
  feed.ingest(transitions);
  await clock.advance(0);
  deepEqual([online(), roster.epoch], [[1, 2], 1]);
  await feed.stop();
});

Deno.test("a counter that went back, as after a restored backup, leads to a snapshot", async () => {
  const { clock, feed, online, write, database, roster } = await follow();
  await write([1, 2, 3]);
  await clock.advance(10);
  database.feed = [];
  database.seq = 1;
  database.users.forEach((user, id) =>
    user.status = id === 1 ? "online" : "offline"
  );
  await clock.advance(HEARTBEAT_MS);
  deepEqual(online(), [1]);
  equal(roster.seq, 3 + LOST_SEQS_MARGIN);
  equal(roster.epoch, 1);
  await feed.stop();
});

Deno.test("a user who is renamed while online is listed by the new name soon, and nobody is told", async () => {
  const { clock, feed, write, database, roster } = await follow();
  await write([1, 2]);
  await clock.advance(10);
  const { head } = roster.ring;
  for (let n = 0; n < 100; n++) database.renameUser(1, `name${n}`);
  await clock.advance(USERNAME_REFRESH_MS);
  deepEqual(roster.users(), [{ id: 1, username: "name99" }, {
    id: 2,
    username: "user2",
  }]);
  equal(roster.ring.head, head);
  await feed.stop();
});

Deno.test("a stop while the listening connection is made anew ends both", async () => {
  const { clock, feed, link, counts } = await follow();
  await link.subscription?.close();
  await clock.advance(1_000);
  equal(counts.subscriptions, 2);
  const mend = await sever(link);
  await clock.advance(1_000);
  let isOver = false;
  const stopping = feed.stop().then(() => isOver = true);
  mend();
  await clock.advance(1_000);
  equal(isOver, true);
  await stopping;
});

Deno.test("[S2] the ring is filled from the log at the start, but not across a hole", async () => {
  const clock = new FakeClock();
  const database = new MemoryDatabase([1, 2, 3, 4, 5], () => clock.now());
  const store = new MemoryStore(database);
  await store.join("other", 1_000_000);
  await store.apply("other", [1, 2], []);
  // Somebody moved the counter on, as after the restore of a backup.
  database.seq = 10;
  await store.apply("other", [3, 4], [1]);
  const roster = new Roster();
  const feed = new Feed({
    ...{ store, roster, clock, log: rememberingLog() },
    heartbeatMs: HEARTBEAT_MS,
    onAdvance: () => {},
    onRevoked: () => {},
    recheckClaims: () => Promise.resolve(),
  });
  await feed.start();
  deepEqual([2, 9, 10, 12, 13, 14].map((seq) => roster.positionAfter(seq)), [
    undefined,
    undefined,
    0,
    2,
    3,
    undefined,
  ]);
  await feed.stop();
});
