import { deepEqual, equal, match } from "node:assert/strict";
import { createLog } from "../../../src/telemetry/log_writer.ts";

function collect(format: "json" | "text", level: "debug" | "warn" = "debug") {
  const lines: string[] = [];
  return { lines, log: createLog(level, format, (line) => lines.push(line)) };
}

Deno.test("format json: one line per event with level, time, fields and event", () => {
  const { lines, log } = collect("json");
  log.info({ userId: 1, name: 'a"\n\u{1F600}' }, "something happened");
  equal(lines.length, 1);
  const { time, ...rest } = JSON.parse(lines[0] ?? "");
  match(time, /^\d{4}-\d\d-\d\dT[\d:.]+Z$/);
  deepEqual(rest, {
    ...{ level: "info", userId: 1, name: 'a"\n\u{1F600}' },
    msg: "something happened",
  });
});

Deno.test("format text: one line per event, with the stack of an error", () => {
  const { lines, log } = collect("text");
  log.warn(
    { userId: 1, name: "a\nb", err: new Error("broken") },
    "something happened",
  );
  match(
    lines[0] ?? "",
    /^[\d:.]{12} warn {2}something happened userId=1 name="a\\nb" err="Error: broken\\n .*"\n$/,
  );
});

Deno.test("events below the level are not written", () => {
  const { lines, log } = collect("json", "warn");
  log.info({}, "not this");
  log.error({}, "but this");
  equal(lines.length, 1);
});

Deno.test("values of fields with the names of secrets are redacted", () => {
  const { lines, log } = collect("json");
  log.error({ token: "eyJ", password: "x1", secret: "x2" }, "oops");
  equal(/eyJ|x1|x2/.test(lines[0] ?? ""), false);
});

Deno.test("tokens that an error message quotes are redacted", () => {
  for (const format of ["json", "text"] as const) {
    const { lines, log } = collect(format);
    const err = new TypeError("Invalid URL: 'http://a:b/ws?x=1&token=eyJ.a-_'");
    log.error({ err, reason: "got bearer.eyJ.b and Bearer eyJ.c" }, "oops");
    equal(/eyJ/.test(lines[0] ?? ""), false);
    match(lines[0] ?? "", /token=\[redacted\]'/);
  }
});
