import { deepEqual, equal, ok } from "node:assert/strict";
import { LOST_SEQS_MARGIN } from "../../../../src/core/feed/limits.ts";
import {
  failOverWithoutLast,
  HEARTBEAT_MS,
  startFeed,
} from "./feed_fixture.ts";

Deno.test("[C5] a reconnect finds that the database lost transitions and reached the same seq again", async () => {
  const fixture = await startFeed();
  const { clock, feed, roster, online, write, cutLink } = fixture;
  await write([1, 2]);
  await write([3]);
  await clock.advance(10);
  deepEqual(online(), [1, 2, 3]);
  failOverWithoutLast(fixture);
  const { transitions } = await write([4]);
  feed.ingest(transitions);
  deepEqual(online(), [1, 2, 3]);
  await clock.advance(HEARTBEAT_MS);
  await cutLink();
  await clock.advance(1_000);
  deepEqual(online(), [1, 2, 4]);
  const seq = 3 + LOST_SEQS_MARGIN;
  deepEqual([roster.seq, roster.epoch], [seq, 1]);
  // One more reconnect finds nothing wrong.
  await write([5]);
  await clock.advance(HEARTBEAT_MS);
  await cutLink();
  await clock.advance(1_000);
  equal(roster.epoch, 1);
  await feed.stop();
});

Deno.test("[C5] a verification while the notification connection is down does not make the one after the reconnect unnecessary", async () => {
  const fixture = await startFeed();
  const { clock, database, feed, roster, online, write, severLink } = fixture;
  await write([1, 2, 3]);
  await clock.advance(10);
  const reconnect = await severLink();
  await clock.advance(1_000);
  equal(await feed.catchUp(), "read");
  failOverWithoutLast(fixture);
  await write([4, 5]);
  deepEqual([online(), roster.epoch], [[1, 2, 3], 0]);
  reconnect();
  await clock.advance(1_000);
  deepEqual([online(), roster.epoch], [[1, 2, 4, 5], 1]);
  // Every node that finds the loss skips to the same seq. Otherwise nodes would skip past each other.
  equal(database.seq, 3 + LOST_SEQS_MARGIN);
  await feed.stop();
});

Deno.test("[C5] while a verification is pending nothing is applied", async () => {
  const fixture = await startFeed();
  const { clock, feed, roster, online, write, severLink } = fixture;
  await write([1, 2]);
  await write([3]);
  await clock.advance(10);
  const reconnect = await severLink();
  await clock.advance(1_000);
  failOverWithoutLast(fixture);
  await write([4]);
  const { transitions } = await write([5]);
  equal(transitions[0]?.seq, 4);
  feed.ingest(transitions);
  deepEqual(online(), [1, 2, 3]);
  await clock.advance(0);
  deepEqual([online(), roster.epoch], [[1, 2, 4, 5], 1]);
  reconnect();
  await feed.stop();
});

Deno.test("[C5] a verification that finds a hole replaces the roster, because another node may have skipped lost seqs", async () => {
  const fixture = await startFeed();
  const { clock, feed, roster, online, write, severLink } = fixture;
  await write([1, 2, 3]);
  await clock.advance(10);
  const reconnect = await severLink();
  await clock.advance(1_000);
  failOverWithoutLast(fixture);
  await fixture.skipTo(3 + LOST_SEQS_MARGIN);
  await write([4]);
  reconnect();
  await clock.advance(1_000);
  deepEqual([online(), roster.epoch], [[1, 2, 4], 1]);
  equal(roster.positionAfter(3), undefined);
  await feed.stop();
});

Deno.test("[C5] a hole without a verification replaces the roster, and skips no seqs", async () => {
  const fixture = await startFeed();
  const { clock, feed, roster, counts, online, write } = fixture;
  await write([1, 2, 3]);
  await clock.advance(10);
  failOverWithoutLast(fixture);
  // Another node found the loss and skipped. This node's pool already leads to the other database.
  await write([4]);
  await fixture.skipTo(3 + LOST_SEQS_MARGIN);
  const { transitions } = await write([5]);
  feed.ingest(transitions);
  await clock.advance(0);
  deepEqual(online(), [1, 2, 4, 5]);
  deepEqual([roster.epoch, counts.skips], [1, 0]);
  equal(roster.positionAfter(3), undefined);
  await feed.stop();
});

Deno.test("[C5] a verification compares every transition that is still in the ring", async () => {
  const fixture = await startFeed();
  const { clock, feed, roster, online, write, cutLink } = fixture;
  await write([1, 2, 3]);
  await clock.advance(10);
  failOverWithoutLast(fixture);
  await write([4]);
  for (let n = 0; n < 3_000; n++) {
    feed.ingest((await write([5])).transitions);
    feed.ingest((await write([], [5])).transitions);
  }
  await clock.advance(0);
  deepEqual([online(), roster.epoch], [[1, 2, 3], 0]);
  await cutLink();
  await clock.advance(1_000);
  deepEqual([online(), roster.epoch], [[1, 2, 4], 1]);
  await feed.stop();
});

Deno.test("[C5] if the snapshot fails after a loss, the counter skips once and the snapshot is read again", async () => {
  const fixture = await startFeed();
  const { clock, database, feed, roster, counts, faults, online, write } =
    fixture;
  await write([1, 2]);
  await write([3]);
  await clock.advance(10);
  failOverWithoutLast(fixture);
  faults.losesNotifications = false;
  faults.refusesSnapshots = true;
  await clock.advance(10 * HEARTBEAT_MS);
  equal(database.seq, 3 + LOST_SEQS_MARGIN);
  ok(counts.snapshots <= 12, `${counts.snapshots} snapshots`);
  faults.refusesSnapshots = false;
  await clock.advance(HEARTBEAT_MS);
  deepEqual([online(), roster.epoch], [[1, 2], 1]);
  equal(roster.seq, 3 + LOST_SEQS_MARGIN);
  await write([4]);
  await clock.advance(0);
  deepEqual(online(), [1, 2, 4]);
  await feed.stop();
});

Deno.test("[C5] a feed that was too short when it was read counts as lost, even if it has grown since", async () => {
  const fixture = await startFeed();
  const { clock, database, feed, roster, faults, online, write, severLink } =
    fixture;
  await write([1, 2, 3]);
  await clock.advance(10);
  const reconnect = await severLink();
  await clock.advance(10);
  failOverWithoutLast(fixture);
  faults.reading = Promise.withResolvers();
  const reading = feed.catchUp();
  await clock.advance(0);
  await write([4]);
  faults.reading.resolve();
  faults.reading = undefined;
  equal(await reading, "read");
  deepEqual(online(), [1, 2, 4]);
  equal(roster.positionAfter(3), undefined);
  equal(database.seq, 3 + LOST_SEQS_MARGIN);
  reconnect();
  await feed.stop();
});

Deno.test("[C5] a verification also compares the row under the seq of the last snapshot", async () => {
  const fixture = await startFeed();
  const { clock, database, feed, roster, faults, online, write, cutLink } =
    fixture;
  faults.losesNotifications = true;
  await write([1]);
  await write([2, 3]);
  database.prune(1);
  await clock.advance(HEARTBEAT_MS);
  deepEqual([online(), roster.epoch], [[1, 2, 3], 1]);
  // The row that is lost was only in the snapshot. The next commit is applied before that is found.
  failOverWithoutLast(fixture);
  await write([4]);
  const { transitions } = await write([5]);
  feed.ingest(transitions);
  deepEqual(online(), [1, 2, 3, 5]);
  await cutLink();
  await clock.advance(1_000);
  deepEqual([online(), roster.epoch], [[1, 2, 4, 5], 2]);
  await feed.stop();
});

Deno.test("[C5] a verification rechecks the claims, and is repeated until that succeeds", async () => {
  const { clock, feed, counts, faults, cutLink } = await startFeed();
  await clock.advance(10);
  equal(counts.rechecks, 0);
  faults.refusesRecheck = true;
  await cutLink();
  await clock.advance(1_000);
  equal(counts.rechecks, 0);
  faults.refusesRecheck = false;
  await clock.advance(HEARTBEAT_MS);
  equal(counts.rechecks, 1);
  await clock.advance(HEARTBEAT_MS);
  equal(counts.rechecks, 1);
  await feed.stop();
});

Deno.test("[S2] a verification right after the roster was replaced does not replace it again", async () => {
  const fixture = await startFeed();
  const { clock, feed, roster, online, write, cutLink } = fixture;
  await write([1, 2, 3]);
  await clock.advance(10);
  failOverWithoutLast(fixture);
  await clock.advance(HEARTBEAT_MS);
  deepEqual([online(), roster.epoch], [[1, 2], 1]);
  await cutLink();
  await clock.advance(1_000);
  equal(roster.epoch, 1);
  await feed.stop();
});

Deno.test("[C5] a verification with nothing left to compare replaces the roster", async () => {
  const fixture = await startFeed();
  const { clock, database, feed, roster, counts, online, write, cutLink } =
    fixture;
  await write([1, 2, 3]);
  await clock.advance(10);
  failOverWithoutLast(fixture);
  await write([4]);
  database.prune();
  await clock.advance(HEARTBEAT_MS);
  deepEqual([online(), roster.epoch], [[1, 2, 3], 0]);
  await cutLink();
  await clock.advance(1_000);
  deepEqual([online(), roster.epoch, counts.skips], [[1, 2, 4], 1, 0]);
  await feed.stop();
});

Deno.test("[C5] a snapshot that is older than the roster is not applied", async () => {
  const { clock, database, feed, roster, faults, online, write } =
    await startFeed();
  await write([1, 2]);
  await clock.advance(10);
  faults.oldSnapshot = { seq: 1, users: [] };
  faults.losesNotifications = true;
  await write([3, 4]);
  database.prune();
  await clock.advance(2 * HEARTBEAT_MS);
  deepEqual([online(), roster.seq, roster.epoch], [[1, 2], 2, 0]);
  faults.oldSnapshot = undefined;
  await clock.advance(HEARTBEAT_MS);
  deepEqual([online(), roster.seq, roster.epoch], [[1, 2, 3, 4], 4, 1]);
  await feed.stop();
});

Deno.test("[C5] a connection lost during a read needs a verification after that read", async () => {
  const fixture = await startFeed();
  const { clock, feed, roster, faults, online, write, severLink } = fixture;
  await write([1, 2, 3]);
  await clock.advance(10);
  const reconnect = await severLink();
  await clock.advance(10);
  // The first verification is under way when a reconnect, to another database, requests the second.
  faults.reading = Promise.withResolvers();
  const reading = feed.catchUp();
  await clock.advance(1_000);
  failOverWithoutLast(fixture);
  await write([4]);
  reconnect();
  await clock.advance(10);
  faults.reading.resolve();
  faults.reading = undefined;
  equal(await reading, "read");
  await clock.advance(1_000);
  deepEqual([online(), roster.epoch], [[1, 2, 4], 1]);
  await feed.stop();
});

Deno.test("[C5] a database that went back is found even if only a commit of this node that is not applied yet shows it", async () => {
  const fixture = await startFeed();
  const { clock, feed, roster, faults, online, write } = fixture;
  await write([1]);
  await clock.advance(10);
  faults.losesNotifications = true;
  await write([2]);
  const { transitions } = await write([3]);
  failOverWithoutLast(fixture);
  feed.ingest(transitions);
  await clock.advance(0);
  deepEqual([online(), roster.epoch], [[1, 2], 1]);
  await feed.stop();
});

Deno.test("a counter that went back, as after a restored backup, leads to a snapshot", async () => {
  const { clock, database, feed, roster, online, write } = await startFeed();
  await write([1, 2, 3]);
  await clock.advance(10);
  database.prune();
  database.seq = 1;
  for (const id of [2, 3]) database.presence.rows.delete(id);
  await clock.advance(HEARTBEAT_MS);
  deepEqual(online(), [1]);
  equal(roster.seq, 3 + LOST_SEQS_MARGIN);
  equal(roster.epoch, 1);
  await feed.stop();
});
