/** Names of online users that change while snapshots and transitions overtake each other. */
import { deepEqual, equal } from "node:assert/strict";
import { USERNAME_REFRESH_MS } from "../../../../src/core/feed/limits.ts";
import { startFeed } from "./feed_fixture.ts";

Deno.test("a name of a transition stays although an older snapshot is answered after it", async () => {
  const { clock, database, feed, roster, faults, write, rename } =
    await startFeed();
  await write([1, 2]);
  await clock.advance(10);
  rename(2, "other");
  faults.answering = Promise.withResolvers();
  await clock.advance(USERNAME_REFRESH_MS);
  // The snapshot is read, and its answer is under way.
  await write([], [1]);
  database.users.rows.set(1, { username: "renamed", status: "offline" });
  await write([1]);
  await clock.advance(10);
  equal(roster.nameOf(1), "renamed");
  faults.answering.resolve();
  await clock.advance(10 * USERNAME_REFRESH_MS);
  deepEqual([roster.nameOf(1), roster.nameOf(2)], ["renamed", "other"]);
  await feed.stop();
});

Deno.test("a name of a snapshot is taken although its user comes online in the roster only after it", async () => {
  const { clock, feed, roster, faults, write, rename } = await startFeed();
  await write([1]);
  await clock.advance(10);
  // The transition is read later than the name, which is newer.
  faults.losesNotifications = true;
  await write([2]);
  rename(2, "newer");
  await clock.advance(10 * USERNAME_REFRESH_MS);
  equal(roster.nameOf(2), "newer");
  await feed.stop();
});

Deno.test("a name that changes while there is no notification connection is read after the reconnect", async () => {
  const { clock, database, feed, roster, write, severLink } = await startFeed();
  await write([1]);
  await clock.advance(10);
  const reconnect = await severLink();
  await clock.advance(10 * USERNAME_REFRESH_MS);
  const row = database.presence.rows.get(1);
  if (row !== undefined) {
    database.presence.rows.set(1, { ...row, username: "renamed" });
  }
  reconnect();
  await clock.advance(10 * USERNAME_REFRESH_MS);
  equal(roster.nameOf(1), "renamed");
  await feed.stop();
});
