import { deepEqual, equal } from "node:assert/strict";
import {
  Claims,
  type Whereabouts,
} from "../../../../src/core/presence/claims.ts";
import { BATCH_USERS_MAX } from "../../../../src/core/presence/limits.ts";
import type { Applied } from "../../../../src/core/store/store.ts";
import { NOTHING_APPLIED } from "../../../support/fakes.ts";
import type { UserId } from "../../../../src/client/protocol/user_id.ts";

/** Writes the batch of one user, with this result. */
function write(
  claims: Claims,
  userId: number,
  whereabouts: Whereabouts,
  result: Partial<Applied> = {},
) {
  const batch = claims.takeBatch(new Set([userId]), () => whereabouts);
  claims.beginWrite(batch);
  equal(claims.stateOf(userId), "in doubt");
  const applied = claims.applyResult(batch, { ...NOTHING_APPLIED, ...result });
  claims.endWrite("done");
  return applied;
}

Deno.test("a batch has the dirty users whose claims differ from who is connected", () => {
  const claims = new Claims();
  write(claims, 1, "connected");
  write(claims, 2, "connected");
  write(claims, 3, "connected");
  const whereabouts = new Map<UserId, Whereabouts>([
    ...[[1, "connected"], [2, "gone"], [3, "in grace"]] as const,
    ...[[4, "connected"], [5, "gone"], [6, "in grace"]] as const,
  ]);
  const dirty = new Set<UserId>([1, 2, 3, 4, 5, 6]);
  const batch = claims.takeBatch(
    dirty,
    (userId) => whereabouts.get(userId) ?? "gone",
  );
  deepEqual(batch, { arriving: [4], leaving: [2] });
  equal(dirty.size, 0);
});

Deno.test("[L1] a batch has a bounded number of users, and the others stay dirty", () => {
  const claims = new Claims();
  const dirty = new Set(
    Array.from({ length: BATCH_USERS_MAX + 5 }, (_, n) => n + 1),
  );
  const { arriving } = claims.takeBatch(dirty, () => "connected");
  equal(arriving.length, BATCH_USERS_MAX);
  equal(dirty.size, 5);
});

Deno.test("a committed write makes claims held, absent, or leaves them in doubt if the user was deferred", () => {
  const claims = new Claims();
  deepEqual(write(claims, 1, "connected").held, [1]);
  equal(claims.stateOf(1), "held");
  write(claims, 1, "gone");
  equal(claims.stateOf(1), "absent");
  deepEqual(write(claims, 1, "connected", { deferred: [1] }).held, []);
  equal(claims.stateOf(1), "in doubt");
  write(claims, 1, "gone");
  equal(claims.stateOf(1), "absent");
  deepEqual(write(claims, 1, "connected", { ungrouped: [1] }).held, []);
  equal(claims.stateOf(1), "in doubt");
  for (const refused of [{ unknown: [2] }, { overgrouped: [2] }]) {
    deepEqual(write(claims, 2, "connected", refused).held, []);
    equal(claims.stateOf(2), "absent");
  }
});

Deno.test("[P1] a user reported offline during a write is in doubt after it", () => {
  const claims = new Claims();
  const batch = claims.takeBatch(new Set([1]), () => "connected");
  claims.beginWrite(batch);
  claims.requireWrite(1);
  deepEqual(claims.applyResult(batch, NOTHING_APPLIED), {
    ...{ held: [], inDoubt: [1] },
  });
  claims.endWrite("done");
  equal(claims.stateOf(1), "in doubt");
  // A report from before the next write says nothing about its result.
  deepEqual(write(claims, 1, "connected").held, [1]);
});

Deno.test("a user without a claim who is reported offline stays without a claim", () => {
  const claims = new Claims();
  claims.requireWrite(1);
  equal(claims.stateOf(1), "absent");
});
