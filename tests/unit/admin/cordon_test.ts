import { deepEqual, equal } from "node:assert/strict";
import { Cordon } from "../../../src/admin/cordon.ts";
import { noMetrics } from "../../../src/base/metrics.ts";
import { Connections } from "../../../src/core/connections/connections.ts";
import { Hub } from "../../../src/core/connections/hub.ts";
import type { UserId } from "../../../src/client/protocol/user_id.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { liveConnection } from "../../support/fakes.ts";

const GRACE_MS = 5_000;

/** A cordon of a node with one connection for each of these users. */
function cordonOf(...userIds: UserId[]) {
  const clock = new FakeClock();
  const connections = new Connections(new Hub(), noMetrics);
  const left: string[] = [];
  connections.observe({
    ended: ({ userId }, which) => void left.push(`${userId} ${which}`),
  });
  const all = userIds.map((userId) => {
    const { connection, socket } = liveConnection(userId);
    connections.open(connection);
    return { connection, socket };
  });
  const admission = { isCordoned: false };
  const cordon = new Cordon({
    ...{ admission, connections, clock },
    drainGraceMs: GRACE_MS,
  });
  const closes = () => all.map(({ socket }) => socket.closes.length);
  return { admission, all, clock, closes, connections, cordon, left };
}

Deno.test("a cordon without a rate closes nothing, and ends when asked", async () => {
  const { admission, clock, closes, cordon } = cordonOf(1, 2);
  cordon.begin(0);
  equal(admission.isCordoned, true);
  await clock.advance(600_000);
  deepEqual(closes(), [0, 0]);
  cordon.end();
  equal(admission.isCordoned, false);
});

Deno.test("a cordon with a rate closes so many connections in a minute, the oldest first, until it ends", async () => {
  const { all, clock, closes, cordon } = cordonOf(1, 2, 3);
  cordon.begin(2);
  const counts: number[][] = [];
  for (let n = 0; n < 2; n++) {
    await clock.advance(30_000);
    counts.push(closes());
  }
  deepEqual(counts, [[1, 0, 0], [1, 1, 0]]);
  deepEqual(all[0]?.socket.closes, ["1001 node is cordoned, reconnect"]);
  cordon.end();
  await clock.advance(60_000);
  deepEqual(closes(), [1, 1, 0]);
});

Deno.test("a new rate replaces the one before", async () => {
  const { clock, closes, cordon } = cordonOf(1, 2, 3);
  cordon.begin(1);
  cordon.begin(60);
  equal(cordon.closesPerMinute, 60);
  await clock.advance(2_500);
  deepEqual(closes(), [1, 1, 0]);
  cordon.end();
});

Deno.test("a user whose last connection was closed stays in the hub for the grace of a drain", async () => {
  const { clock, connections: { hub }, cordon, left } = cordonOf(1, 1);
  cordon.begin(60);
  await clock.advance(2_100);
  deepEqual(left, ["1 more", "1 more"]);
  equal(hub.has(1), true);
  await clock.advance(GRACE_MS);
  deepEqual(left, ["1 more", "1 more", "1 last"]);
  cordon.end();
});

Deno.test("connections that come after the others were closed are closed too", async () => {
  const { clock, closes, connections, cordon } = cordonOf(1);
  cordon.begin(60);
  await clock.advance(GRACE_MS + 2_000);
  deepEqual(closes(), [1]);
  const late = liveConnection(2);
  connections.open(late.connection);
  await clock.advance(2_100);
  equal(late.socket.closes.length, 1);
  cordon.end();
});
