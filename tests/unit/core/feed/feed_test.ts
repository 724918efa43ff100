import { deepEqual, equal } from "node:assert/strict";
import { Feed } from "../../../../src/core/feed/feed.ts";
import { USERNAME_REFRESH_MS } from "../../../../src/core/feed/limits.ts";
import { Roster } from "../../../../src/core/roster/roster.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import { rememberingLog } from "../../../support/fakes.ts";
import { MemoryDatabase } from "../../../support/memory_database.ts";
import { MemoryStore } from "../../../support/memory_store.ts";
import { HEARTBEAT_MS, startFeed } from "./feed_fixture.ts";

Deno.test("[P6] growth that a notification announces is read at once", async () => {
  const { clock, feed, online, write } = await startFeed();
  await write([1, 2]);
  await clock.advance(0);
  deepEqual(online(), [1, 2]);
  await feed.stop();
});

Deno.test("own commits are applied without a read if they are next", async () => {
  const { clock, feed, counts, faults, online, write } = await startFeed();
  faults.losesNotifications = true;
  const { transitions } = await write([3]);
  feed.ingest(transitions);
  deepEqual(online(), [3]);
  feed.ingest(transitions);
  await clock.advance(0);
  equal(counts.reads, 0);
  await feed.stop();
});

Deno.test("[P6] own commits after a gap wait until the gap is read", async () => {
  const { clock, feed, roster, counts, faults, online, write } =
    await startFeed();
  faults.losesNotifications = true;
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

Deno.test("[P6] a feed that was pruned past the roster leads to a snapshot, whose differences enter the ring", async () => {
  const { clock, database, feed, roster, counts, faults, online, write } =
    await startFeed();
  await write([1, 2]);
  await clock.advance(10);
  faults.losesNotifications = true;
  await write([3], [1]);
  await write([4], [2]);
  database.prune(5);
  const before = roster.ring.head;
  await clock.advance(HEARTBEAT_MS);
  deepEqual(online(), [3, 4]);
  equal(counts.snapshots, 2);
  equal(roster.seq, database.seq);
  equal(roster.ring.head - before, 4);
  await feed.stop();
});

Deno.test("[S2] catchUp resolves although the feed grows faster than it is read", async () => {
  const { clock, feed, faults, write } = await startFeed();
  await clock.advance(10);
  let isDone = false;
  const growing = (async () => {
    for (let n = 0; n < 1_000 && !isDone; n++) {
      await write([1 + n % 5], [1 + (n + 1) % 5]);
      faults.reading?.resolve();
      faults.reading = Promise.withResolvers();
      await clock.advance(1);
    }
    faults.reading?.resolve();
    faults.reading = undefined;
    return isDone;
  })();
  equal(await feed.catchUp(), "read");
  isDone = true;
  equal(await growing, true);
  await feed.stop();
});

Deno.test("an online user who is renamed gets the new name in the roster, without a change in the ring", async () => {
  const { clock, feed, roster, write, rename } = await startFeed();
  await write([1, 2]);
  await clock.advance(10);
  const { head } = roster.ring;
  for (let n = 0; n < 100; n++) rename(1, `name${n}`);
  await clock.advance(USERNAME_REFRESH_MS);
  deepEqual(roster.everybody.users(), [{ id: 1, username: "name99" }, {
    id: 2,
    username: "user2",
  }]);
  equal(roster.ring.head, head);
  await feed.stop();
});

Deno.test("[S2] at the start the ring is filled from the feed, but not across a hole", async () => {
  const clock = new FakeClock();
  const database = new MemoryDatabase([1, 2, 3, 4, 5], clock);
  const store = new MemoryStore(database);
  await store.join("other", 1_000_000);
  await store.apply("other", [1, 2], []);
  // The counter was set forward, as after the restore of a backup.
  database.seq = 10;
  await store.apply("other", [3, 4], [1]);
  const roster = new Roster();
  const feed = new Feed({
    ...{ store, roster, clock, log: rememberingLog() },
    heartbeatMs: HEARTBEAT_MS,
    onChange: () => {},
    onAdvance: () => {},
    onRevoked: () => {},
    onGroupsChanged: () => {},
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
