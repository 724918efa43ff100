import { deepEqual, equal, ok } from "node:assert/strict";
import { NOTIFICATION_ANSWER_MS } from "../../../../src/base/limits.ts";
import { HEARTBEAT_MS, startFeed } from "./feed_fixture.ts";

Deno.test("[C6] a heartbeat finds what a lost notification announced", async () => {
  const { clock, feed, faults, online, write } = await startFeed();
  await clock.advance(10);
  faults.losesNotifications = true;
  await write([1]);
  await clock.advance(HEARTBEAT_MS);
  deepEqual(online(), [1]);
  await feed.stop();
});

Deno.test("[C6] a notification connection that does not answer is replaced, and what it missed is read", async () => {
  const { clock, feed, counts, faults, online, write } = await startFeed();
  await clock.advance(10);
  faults.losesNotifications = true;
  faults.isSilent = true;
  await write([1]);
  await clock.advance(HEARTBEAT_MS + NOTIFICATION_ANSWER_MS - 100);
  equal(feed.notificationsUp, true);
  faults.isSilent = false;
  await clock.advance(200);
  equal(counts.subscriptions, 2);
  equal(feed.notificationsUp, true);
  deepEqual(online(), [1]);
  await feed.stop();
});

Deno.test("a notification connection that ended is replaced, and the feed is read after that", async () => {
  const { clock, feed, log, counts, online, write, cutLink } =
    await startFeed();
  await cutLink();
  await write([1]);
  await clock.advance(0);
  equal(feed.notificationsUp, false);
  await clock.advance(100);
  equal(feed.notificationsUp, true);
  deepEqual(online(), [1]);
  equal(counts.subscriptions, 2);
  deepEqual(log.events, [
    "warn: lost the notification connection, reconnecting",
  ]);
  await feed.stop();
});

Deno.test("[C5] a notification connection that ends repeatedly is replaced with growing pauses", async () => {
  const { clock, feed, counts, cutLink } = await startFeed();
  for (let n = 0; n < 600; n++) {
    await cutLink();
    await clock.advance(100);
  }
  ok(counts.subscriptions < 80, `${counts.subscriptions} subscriptions`);
  await feed.stop();
});

Deno.test("a stop during a reconnect ends the reconnect", async () => {
  const { clock, feed, counts, cutLink, severLink } = await startFeed();
  await cutLink();
  await clock.advance(1_000);
  equal(counts.subscriptions, 2);
  const reconnect = await severLink();
  await clock.advance(1_000);
  let isDone = false;
  const stopping = feed.stop().then(() => isDone = true);
  reconnect();
  await clock.advance(1_000);
  equal(isDone, true);
  await stopping;
});
