import { deepEqual, equal } from "node:assert/strict";
import { Expiring } from "../../../src/base/expiring.ts";
import type { UserId } from "../../../src/client/protocol/user_id.ts";
import { FakeClock } from "../../support/fake_clock.ts";

const GRACE_MS = 1_000;

function createGrace(ms = GRACE_MS) {
  const clock = new FakeClock();
  const expired: UserId[] = [];
  const grace = new Expiring<UserId, string | undefined>(
    ...[ms, clock] as const,
    (userId) => void expired.push(userId),
  );
  return { clock, expired, grace };
}

Deno.test("[P8] each user's grace expires after its own time", async () => {
  const { clock, expired, grace } = createGrace();
  grace.begin(1, undefined);
  await clock.advance(600);
  grace.begin(2, undefined);
  await clock.advance(400);
  deepEqual(expired, [1]);
  await clock.advance(600);
  deepEqual(expired, [1, 2]);
  grace.begin(3, undefined);
  await clock.advance(GRACE_MS);
  deepEqual(expired, [1, 2, 3]);
  await grace.stop();
});

Deno.test("[P8] a user who returns has no grace, and a later one counts from the later time", async () => {
  const { clock, expired, grace } = createGrace();
  grace.begin(1, undefined);
  await clock.advance(600);
  grace.end(1);
  equal(grace.has(1), false);
  grace.begin(1, undefined);
  await clock.advance(600);
  deepEqual(expired, []);
  await clock.advance(400);
  deepEqual(expired, [1]);
  await grace.stop();
});

Deno.test("[P8] a grace that is over for some users ends at once, also the one that would expire next", async () => {
  const { clock, expired, grace } = createGrace();
  grace.begin(1, "a");
  await clock.advance(400);
  grace.begin(2, "b");
  grace.begin(3, undefined);
  grace.expire((userId, tokenId) => userId === 1 || tokenId === "c");
  deepEqual(expired, [1]);
  grace.begin(1, "a");
  grace.expire((_userId, tokenId) => tokenId === "b");
  deepEqual(expired, [1, 2]);
  await clock.advance(GRACE_MS - 1);
  deepEqual(expired, [1, 2]);
  await clock.advance(1);
  deepEqual(expired, [1, 2, 3, 1]);
  await grace.stop();
});

Deno.test("[P8] without a duration there is no grace, and a stop ends all of them without a report", async () => {
  equal(createGrace(0).grace.begin(1, undefined), "none");
  const { clock, expired, grace } = createGrace();
  equal(grace.begin(1, undefined), "begun");
  await grace.stop();
  await clock.advance(2 * GRACE_MS);
  deepEqual(expired, []);
});
