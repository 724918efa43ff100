import { deepEqual, equal } from "node:assert/strict";
import type { DatabaseState } from "../../../src/postgres/overview.ts";
import { DatabaseWatch } from "../../../src/telemetry/database_watch.ts";
import { DATABASE_WATCH_MS } from "../../../src/telemetry/limits.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { rememberingLog } from "../../support/fakes.ts";

/** A watch of a database that answers what `state` says. `undefined`: it does not answer. */
function watchOf(state: () => DatabaseState | undefined) {
  const clock = new FakeClock();
  const log = rememberingLog();
  const watch = new DatabaseWatch({
    read: async () => await state() ?? Promise.reject(new Error("away")),
    ...{ clock, log },
  });
  watch.start();
  return { clock, log, watch };
}

Deno.test("a snapshot is as old as the time for which it was seen, if the database does not tell more", async () => {
  const state = {
    copiesDue: 3,
    snapshots: [
      { holder: "pg_dump", sees: "700", seconds: null },
      { holder: "report", sees: "701", seconds: 20 },
    ],
  };
  const { clock, watch } = watchOf(() => state);
  await clock.advance(0);
  deepEqual(watch.snapshots?.map(({ holder, seconds }) => [holder, seconds]), [
    ["report", 20],
    ["pg_dump", 0],
  ]);
  await clock.advance(2 * DATABASE_WATCH_MS);
  deepEqual(watch.snapshots?.[0], { holder: "pg_dump", seconds: 30 });
  equal(watch.copiesDue, 3);
  watch.stop();
});

Deno.test("a process that sees newer transactions than before holds another snapshot", async () => {
  let sees = 700;
  const { clock, watch } = watchOf(() => ({
    copiesDue: 0,
    snapshots: [{ holder: "app", sees: `${sees++}`, seconds: null }],
  }));
  await clock.advance(3 * DATABASE_WATCH_MS);
  deepEqual(watch.snapshots, [{ holder: "app", seconds: 0 }]);
  watch.stop();
});

Deno.test("while the database cannot be read nothing is known, and one warning says so", async () => {
  let isAway = true;
  const { clock, log, watch } = watchOf(() =>
    isAway ? undefined : { copiesDue: 1, snapshots: [] }
  );
  await clock.advance(2 * DATABASE_WATCH_MS);
  deepEqual([watch.copiesDue, watch.snapshots], [undefined, undefined]);
  equal(log.events.length, 1);
  isAway = false;
  await clock.advance(DATABASE_WATCH_MS);
  equal(watch.copiesDue, 1);
  watch.stop();
});
