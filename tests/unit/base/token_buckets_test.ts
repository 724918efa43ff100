import { deepEqual, equal } from "node:assert/strict";
import { TokenBucket } from "../../../src/base/token_bucket.ts";
import { TokenBuckets } from "../../../src/base/token_buckets.ts";

Deno.test("a bucket is never fuller than its size, also where tokens are given back", () => {
  let now = 0;
  const bucket = new TokenBucket(2, 1, () => now);
  bucket.give(5);
  deepEqual([bucket.has(2), bucket.has(3)], [true, false]);
  deepEqual([bucket.take(2), bucket.take(), bucket.has()], [
    ...["taken", "empty"],
    false,
  ]);
  bucket.give(1);
  equal(bucket.take(), "taken");
  now += 10_000;
  deepEqual([bucket.has(2), bucket.has(3)], [true, false]);
});

Deno.test("a bucket that is drained has no debt, and keeps one that it has", () => {
  let now = 0;
  const bucket = new TokenBucket(2, 1, () => now);
  bucket.drain(5);
  now += 1_000;
  equal(bucket.take(), "taken");
  bucket.owe(1);
  bucket.drain(1);
  now += 1_000;
  equal(bucket.has(0.5), false);
  now += 1_000;
  equal(bucket.take(), "taken");
});

Deno.test("each key has a bucket of its own, which is full at first", () => {
  let now = 0;
  const buckets = new TokenBuckets<string>(2, 1, 10, () => now);
  deepEqual([buckets.take("a", 2), buckets.take("a")], ["taken", "empty"]);
  deepEqual([buckets.has("a"), buckets.has("b")], [false, true]);
  equal(buckets.take("b"), "taken");
  buckets.give("a", 1);
  equal(buckets.has("a"), true);
  buckets.give("unknown", 1);
  now += 1_000;
  equal(buckets.has("a", 2), true);
});

Deno.test("[L1] past the limit of keys, the one that was used least recently is forgotten", () => {
  const buckets = new TokenBuckets<number>(1, 1, 2, () => 0);
  for (const key of [1, 2]) equal(buckets.take(key), "taken");
  equal(buckets.take(1), "empty");
  equal(buckets.take(3), "taken");
  deepEqual([1, 2, 3].map((key) => buckets.has(key)), [false, true, false]);
});
