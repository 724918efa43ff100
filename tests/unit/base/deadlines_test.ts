import { deepEqual, equal } from "node:assert/strict";
import { Deadlines } from "../../../src/base/deadlines.ts";
import { fakeTimers } from "../../support/fake_timers.ts";

Deno.test("each deadline is missed after its own time, and all of them have one timer", () => {
  using timers = fakeTimers();
  const missed: string[] = [];
  const note = (item: string) => void missed.push(item);
  const deadlines = new Deadlines(100, note, timers.now);
  deadlines.begin("a");
  timers.advance(40);
  deadlines.begin("b");
  deadlines.begin("c");
  equal(timers.count, 1);
  timers.advance(59);
  deepEqual(missed, []);
  timers.advance(1);
  deepEqual(missed, ["a"]);
  deadlines.end("b");
  timers.advance(40);
  deepEqual(missed, ["a", "c"]);
  equal(timers.count, 0);
});

Deno.test("deadlines that are all ended leave no timer, and the next one has its full time", () => {
  using timers = fakeTimers();
  const missed: string[] = [];
  const note = (item: string) => void missed.push(item);
  const deadlines = new Deadlines(100, note, timers.now);
  deadlines.begin("a");
  timers.advance(90);
  deadlines.end("a");
  deadlines.end("a");
  equal(timers.count, 0);
  deadlines.begin("b");
  timers.advance(99);
  deepEqual(missed, []);
  timers.advance(1);
  deepEqual(missed, ["b"]);
});

Deno.test("an item that is missed may begin another deadline", () => {
  using timers = fakeTimers();
  let missed = 0;
  const deadlines: Deadlines<string> = new Deadlines(100, (item) => {
    missed += 1;
    if (missed < 3) deadlines.begin(item);
  }, timers.now);
  deadlines.begin("a");
  for (let n = 0; n < 5; n++) timers.advance(100);
  equal(missed, 3);
  equal(timers.count, 0);
});
