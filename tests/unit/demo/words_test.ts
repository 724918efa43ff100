/** What the demo page writes: times, the scale of the chart, and initials. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { inWords, roundUp, ticks } from "../../../src/demo/page/chart.js";
import { initialOf } from "../../../src/demo/page/faces.js";
import { ago, lasting } from "../../../src/demo/page/time.js";

Deno.test("relative times change every ten seconds, then every minute", () => {
  deepEqual([0, 9_999, 10_000, 59_999, 60_000].map(ago), [
    ...["just now", "just now", "10 s ago", "50 s ago", "1 min ago"],
  ]);
  equal(lasting(2 * 3_600_000), "for 2 h");
  equal(lasting(3 * 86_400_000), "for 3 d");
});

Deno.test("the scale of the chart ends at a round number above the count", () => {
  const counts = [0, 4, 5, 21, 201, 4_500];
  deepEqual(counts.map((count) => roundUp(Math.max(count, 4))), [
    ...[4, 4, 6, 30, 300, 6_000],
  ]);
});

Deno.test("the chart has two to five labels for the time, from 30 seconds to 5 minutes", () => {
  for (let spanMs = 30_000; spanMs <= 300_000; spanMs += 1_000) {
    const labels = ticks(spanMs).map(({ text }) => text);
    ok(labels.length >= 2 && labels.length <= 5, `${spanMs}: ${labels}`);
  }
  deepEqual(ticks(30_000).map(({ text }) => text), ["10 s", "20 s", "30 s"]);
  equal(ticks(300_000).at(-1)?.text, "5 min");
  deepEqual([30_999, 119_000, 120_000, 300_000].map(inWords), [
    ...["30 seconds", "110 seconds", "2 minutes", "5 minutes"],
  ]);
});

Deno.test("an initial is the first character that a reader sees", () => {
  const family = "\u{1F469}\u200D\u{1F467}";
  equal(initialOf("ada"), "a");
  equal(initialOf(`${family} family`), family);
  equal(initialOf("e\u0301mile"), "e\u0301");
  equal(initialOf("\u202Eevil"), "e");
  equal(initialOf(" \u200B "), "?");
});
