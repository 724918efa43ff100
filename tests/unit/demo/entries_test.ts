/** The event log of the demo page: simulated users share an entry. */
import { deepEqual, equal } from "node:assert/strict";
import { crowdName } from "../../../src/demo/crowd_names.ts";
import { CROWD_USERS_MAX } from "../../../src/demo/limits.ts";
import { DEMO_USERS } from "../../../src/demo/demo.ts";
import { isSimulated } from "../../../src/demo/page/crowd.js";
import { Entries, ENTRIES_MAX } from "../../../src/demo/page/entries.js";

const simulated = (nth: number) => ({ username: crowdName(nth) });
const bob = { username: "bob" };

const textsOf = (entries: Entries) =>
  entries.takeChanged().map(({ name, text }) => `${name} ${text}`.trim());

Deno.test("the name shows whether a user is simulated or a person", () => {
  for (let nth = 0; nth < CROWD_USERS_MAX; nth++) {
    equal(isSimulated(simulated(nth)), true, crowdName(nth));
  }
  for (const username of [...DEMO_USERS, "", "Mary-Ann-1", "bob-1"]) {
    equal(isSimulated({ username }), false, username);
  }
});

Deno.test("simulated users share one entry until a person does something", () => {
  const entries = new Entries();
  for (let nth = 0; nth < 12; nth++) {
    entries.record("online", simulated(nth), nth);
  }
  deepEqual(textsOf(entries), ["12 simulated users came online"]);
  entries.record("offline", simulated(3), 20);
  entries.record("online", bob, 21);
  entries.record("offline", simulated(4), 22);
  entries.note("You disconnected", 23);
  deepEqual(textsOf(entries), [
    "12 simulated users came online, 1 went offline",
    "bob came online",
    "1 simulated user went offline",
    "You disconnected",
  ]);
});

Deno.test("an entry of simulated users is a minute long, and its time is that of the last event", () => {
  const entries = new Entries();
  entries.record("online", simulated(1), 0);
  entries.record("offline", simulated(1), 59_999);
  entries.record("online", simulated(1), 60_000);
  deepEqual(entries.takeChanged().map(({ at, text }) => [at, text]), [
    [59_999, "1 simulated user came online, 1 went offline"],
    [60_000, "1 simulated user came online"],
  ]);
});

Deno.test("the same note several times in a row is one entry", () => {
  const entries = new Entries();
  for (const note of ["Cannot connect", "Cannot connect", "You connected"]) {
    entries.note(note);
  }
  deepEqual(textsOf(entries), ["Cannot connect, 2 times", "You connected"]);
});

Deno.test("[L1] the log of a page that draws nothing has a limit, and keeps the newest entries", () => {
  const entries = new Entries();
  for (let nth = 0; nth < ENTRIES_MAX + 5; nth++) entries.note(`note ${nth}`);
  const texts = textsOf(entries);
  equal(texts.length, ENTRIES_MAX);
  equal(texts.at(-1), `note ${ENTRIES_MAX + 4}`);
});
