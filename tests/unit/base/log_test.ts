import { deepEqual } from "node:assert/strict";
import { type Log, rateLimited } from "../../../src/base/log.ts";

/** A log that keeps its lines. */
function collectingLog() {
  const lines: { fields: Record<string, unknown>; event: string }[] = [];
  const collect = (fields: Record<string, unknown>, event: string) =>
    void lines.push({ fields, event });
  const log: Log = {
    ...{ debug: collect, info: collect, warn: collect, error: collect },
  };
  return { lines, log };
}

Deno.test("[L1] each event that clients can cause gets a bounded number of log lines a minute", () => {
  const { lines, log } = collectingLog();
  let now = 0;
  const limited = rateLimited(log, 3, () => now);
  for (let n = 0; n < 10; n++) limited.info({ n }, "knock");
  limited.warn({}, "other");
  deepEqual(
    lines.map(({ event }) => event),
    ["knock", "knock", "knock", "other"],
  );
  now = 60_000;
  limited.info({ n: 10 }, "knock");
  deepEqual(lines.slice(4), [
    { fields: { leftOut: 7 }, event: "knock" },
    { fields: { n: 10 }, event: "knock" },
  ]);
});
