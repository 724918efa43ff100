import { deepEqual } from "node:assert/strict";
import { stopWithin } from "../../src/stop_within.ts";
import { rememberingLog } from "../support/fakes.ts";

Deno.test("stopWithin logs a part that fails to stop or times out, and never rejects", async () => {
  const log = rememberingLog();
  await stopWithin(1_000, "quick", Promise.resolve(), log);
  deepEqual(log.events, []);
  await stopWithin(1_000, "broken", Promise.reject(new Error("broken")), log);
  await stopWithin(1, "stuck", new Promise(() => {}), log);
  const event = "warn: a part did not stop cleanly";
  deepEqual(log.events, [event, event]);
});
