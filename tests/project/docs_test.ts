/** The documentation says what the code does. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { Admission } from "../../src/access/admission.ts";
import { systemClock } from "../../src/base/clock.ts";
import { noMetrics } from "../../src/base/metrics.ts";
import { DEFAULTS } from "../../src/config/environment.ts";
import { Hub } from "../../src/core/connections/hub.ts";
import { type Core, createCore } from "../../src/core/core.ts";
import type { Store } from "../../src/core/store/store.ts";
import { CLOSE } from "../../src/protocol/close.ts";
import { DISCONNECT } from "../../src/protocol/disconnect.ts";
import { WATCHED_USERS_MAX } from "../../src/protocol/messages.ts";
import { USER_ID_MAX } from "../../src/protocol/user_id.ts";
import { LoopMonitor } from "../../src/telemetry/loop_monitor.ts";
import { PrometheusMetrics } from "../../src/telemetry/prometheus.ts";
import {
  documentPaths,
  readDocument,
  sources,
  tableRows,
} from "../support/documents.ts";
import { ROOT } from "../support/server.ts";
import { FLOORS } from "./imports_point_down.ts";

const source = await sources("src");
source.set("main.ts", await readDocument("main.ts"));

/** Every `limits.ts` below `src/`, by its path. */
const limitFiles = [...source.keys()].filter((path) =>
  path.endsWith("limits.ts")
);

/** Every limit of the server by its name. */
const limits: Record<string, unknown> = { WATCHED_USERS_MAX, USER_ID_MAX };
for (const path of limitFiles) {
  Object.assign(limits, await import(`file://${ROOT}${path}`));
}

/** Every call in the source that logs a warning or an error, with its constant text. */
function loggedEvents(): { level: string; event: string }[] {
  const events: { level: string; event: string }[] = [];
  for (const text of source.values()) {
    for (const match of text.matchAll(/\blog\??\.(warn|error)\(/g)) {
      const call = argumentsAt(text, match.index + match[0].length);
      const { literal, name } =
        /(?:"(?<literal>[^"]*)"|\b(?<name>\w+)),?\s*$/.exec(call)?.groups ?? {};
      const event = literal ??
        new RegExp(`const ${name} =\\s*"([^"]*)"`).exec(text)?.[1];
      ok(event !== undefined, `a call has no constant text: ${call}`);
      events.push({ level: match[1] ?? "", event });
    }
  }
  return events;
}

/** The arguments of a call, from behind its opening parenthesis. */
function argumentsAt(text: string, start: number): string {
  let depth = 1;
  let end = start;
  for (; depth > 0; end++) {
    if (text[end] === "(") depth += 1;
    else if (text[end] === ")") depth -= 1;
  }
  return text.slice(start, end - 1);
}

/** A core that was never started, whose values can be read. */
function idleCore(): Core {
  const silent = { debug() {}, info() {}, warn() {}, error() {} };
  return createCore({
    ...{ hub: new Hub(), store: {} as Store, clock: systemClock },
    ...{ log: silent, metrics: noMetrics },
    ...{ leaseMs: 10_000, heartbeatMs: 3_000, offlineGraceMs: 0 },
    fanout: { intervalMs: 50, stateUsersMax: 1 },
  });
}

/** The row of a table that starts with a name. */
function rowOf(rows: readonly string[][], name: string): string[] {
  const row = rows.find(([first]) => first === name);
  ok(row !== undefined, `there is no row for ${name}`);
  return row;
}

/** Both hold the same texts. Names those that only one of them has. */
function agree(
  documented: readonly string[],
  inCode: readonly string[],
): void {
  const missing = inCode.filter((text) => !documented.includes(text));
  const unknown = documented.filter((text) => !inCode.includes(text));
  deepEqual({ missing, unknown }, { missing: [], unknown: [] });
}

/** Names in the first column that look like a variable or a limit. */
function constantsIn(rows: readonly string[][]): string[] {
  return rows.map(([name]) => name ?? "")
    .filter((name) => /^[A-Z]+(_[A-Z]+)+$/.test(name));
}

Deno.test("README.md: the number of lines of code is right to a tenth", async () => {
  const lines = [...source].filter(([path]) => path.startsWith("src/"))
    .flatMap(([, text]) => text.replaceAll(/\/\*[\s\S]*?\*\//g, "").split("\n"))
    .filter((line) => line.trim() !== "" && !line.trim().startsWith("//"));
  const [, claimed = ""] = /About ([\d,]+)\s+lines\s+of\s+TypeScript/.exec(
    await readDocument("README.md"),
  ) ?? [];
  const ratio = lines.length / Number(claimed.replace(",", ""));
  ok(ratio > 0.9 && ratio < 1.1, `there are ${lines.length}`);
});

Deno.test("configuration.md: every environment variable has a row with its default", async () => {
  const rows = tableRows(await readDocument("docs/configuration.md"));
  for (const [name, value] of Object.entries(DEFAULTS)) {
    if (name === "PGHOST" || name === "PGDATABASE") {
      ok(rowOf(rows, "DATABASE_URL").join().includes(name));
    } else if (value !== undefined) {
      equal(rowOf(rows, name)[1], String(value), `default of ${name}`);
    } else {
      rowOf(rows, name);
    }
  }
});

Deno.test("configuration.md has no row for a variable that is not read", async () => {
  const rows = tableRows(await readDocument("docs/configuration.md"));
  const unknown = constantsIn(rows).filter((name) => !(name in DEFAULTS));
  deepEqual(unknown, []);
});

Deno.test("client.md: the states of a connection are the client's", async () => {
  const union = /readonly state:([^;]*);/.exec(
    source.get("src/client/connection_info.ts") ?? "",
  )?.[1] ?? "";
  const states = [...union.matchAll(/"(\w+)"/g)].map(([, state]) => state);
  const rows = tableRows(await readDocument("docs/client.md"), "States");
  ok(states.length >= 5);
  deepEqual(rows.slice(1).map(([state]) => state), states);
});

Deno.test("client.md: the reasons that the client makes are in its source", async () => {
  const rows = tableRows(await readDocument("docs/client.md"), "Reasons");
  const text = [...source].filter(([path]) => path.startsWith("src/client/"))
    .map(([, text]) => text).join();
  ok(rows.length >= 8);
  for (const [reason = ""] of rows.slice(1)) {
    ok(text.includes(reason.replace(/ \.\.\.$/, "")), `"${reason}"`);
  }
});

Deno.test("protocol.md: the table of close codes is the code's", async () => {
  const rows = tableRows(
    await readDocument("docs/protocol.md"),
    "Close codes",
  );
  for (const { code, meaning, reconnect } of Object.values(CLOSE)) {
    deepEqual(rowOf(rows, String(code)).slice(1), [meaning, reconnect]);
  }
});

Deno.test("protocol.md: the table of close reasons is the code's", async () => {
  const rows = tableRows(
    await readDocument("docs/protocol.md"),
    "Close reasons",
  );
  const documented = rows.slice(1).map(([code, reason]) => `${code} ${reason}`);
  const sent = Object.values(DISCONNECT).map(({ code, reason }) =>
    `${code} ${reason}`
  );
  agree(documented, sent);
});

Deno.test("protocol.md: every error of version 2 is in the table", async () => {
  const union = /type ErrorCode =([^;]*);/.exec(
    source.get("src/protocol/messages.ts") ?? "",
  )?.[1] ?? "";
  const codes = [...union.matchAll(/"(\w+)"/g)].map(([, code]) => code ?? "");
  const rows = tableRows(await readDocument("docs/protocol.md"), "Errors");
  ok(codes.length >= 6);
  agree(rows.slice(1).map(([code = ""]) => code), codes);
});

Deno.test("limits.md: every limit has a row with its value, and no other has", async () => {
  const rows = tableRows(await readDocument("docs/limits.md"));
  const documented = constantsIn(rows)
    .map((name) => `${name} = ${rowOf(rows, name)[1]}`);
  const exported = Object.entries(limits)
    .map(([name, value]) => `${name} = ${value}`);
  ok(exported.length >= 40);
  agree(documented, exported);
});

Deno.test("[L1] every limit has its reason beside it", () => {
  const lines = limitFiles.map((path) => source.get(path)).join("\n")
    .split("\n");
  const names = Object.keys(limits)
    .filter((name) => name !== "WATCHED_USERS_MAX" && name !== "USER_ID_MAX");
  for (const name of names) {
    const index = lines.findIndex((line) =>
      line.startsWith(`export const ${name} `)
    );
    const above = lines[index - 1] ?? "";
    ok(
      above.endsWith("*/") || above.startsWith("export const"),
      `${name} has no comment`,
    );
  }
});

Deno.test("http-api.md: every HTTP error is in the table, with its status", async () => {
  const rows = tableRows(await readDocument("docs/http-api.md"), "Errors");
  const documented = rows.slice(1).map(([status, code]) => `${status} ${code}`);
  const known = new Set<string>();
  for (const text of source.values()) {
    for (
      const [, status, code] of text.matchAll(/([45]\d\d),\s*"([a-z_]+)"/g)
    ) {
      known.add(`${status} ${code}`);
    }
  }
  ok(known.size >= 10);
  for (const error of known) {
    ok(documented.includes(error), `http-api.md has no row for ${error}`);
  }
});

Deno.test("operations.md: the table of metrics is the code's, with their types", async () => {
  const metrics = new PrometheusMetrics("0.0.0");
  metrics.observe({
    ...idleCore(),
    hub: new Hub(),
    admission: new Admission({
      connectionsMax: 1,
      connectionsPerUserMax: 1,
      connectionsPerAddressMax: 1,
      newConnectionsPerSecondMax: 1,
      failedTokensPerMinuteMax: 1,
    }),
    loop: new LoopMonitor(),
  });
  const types = [...(await metrics.text()).matchAll(/^# TYPE (\w+) (\w+)$/gm)]
    .map(([, name, type]) => `${name} ${type}`);
  const rows = tableRows(await readDocument("docs/operations.md"), "Metrics");
  ok(types.length >= 20);
  agree(rows.slice(1).map(([name, type]) => `${name} ${type}`), types);
});

Deno.test("operations.md: the table of log events is the code's, with their levels", async () => {
  const levels = new Map<string, Set<string>>();
  for (const { level, event } of loggedEvents()) {
    levels.set(event, (levels.get(event) ?? new Set()).add(level));
  }
  const rows = tableRows(
    await readDocument("docs/operations.md"),
    "Warnings and errors",
  );
  ok(levels.size >= 20);
  agree(
    rows.slice(1).map(([level, event]) => `${level}: ${event}`),
    [...levels].map(([event, of]) =>
      `${[...of].sort().toReversed().join(", ")}: ${event}`
    ),
  );
});

Deno.test("close reasons and log events that a page quotes are the code's", async () => {
  const reasons = Object.values(DISCONNECT).map(({ reason }) => reason);
  const events = loggedEvents().map(({ event }) => event);
  let quotes = 0;
  for (const path of await documentPaths()) {
    const text = (await readDocument(path)).replaceAll(/\s+/g, " ");
    for (const [, reason = ""] of text.matchAll(/closed with `(\D[^`]*)`/g)) {
      quotes += 1;
      ok(reasons.includes(reason), `${path} quotes the reason "${reason}"`);
    }
    for (const [, event = ""] of text.matchAll(/log event `([^`]*)`/g)) {
      quotes += 1;
      ok(events.includes(event), `${path} quotes the event "${event}"`);
    }
  }
  ok(quotes >= 5, `only ${quotes} quotes were found`);
});

Deno.test("operations.md: every alert is in the table", async () => {
  const rules = await readDocument("docs/alerts.yml");
  const alerts = [...rules.matchAll(/alert: (\w+)/g)]
    .map(([, name = ""]) => name);
  const rows = tableRows(await readDocument("docs/operations.md"), "Alerts");
  ok(alerts.length >= 3);
  agree(rows.slice(1).map(([name = ""]) => name), alerts);
});

Deno.test("operations.md: the runbook has a row for every check of /readyz", async () => {
  const checks = /Record<((?:"\w+"(?: \| )?)+), string>/.exec(
    [...source.values()].join("\n"),
  )?.[1] ?? "";
  const names = [...checks.matchAll(/"(\w+)"/g)].map(([, name]) => name);
  const rows = tableRows(
    await readDocument("docs/operations.md"),
    "`/readyz` is 503",
  );
  ok(names.length >= 5);
  deepEqual(rows.slice(1).map(([name]) => name), names);
});

Deno.test("decisions.md: the tests that are named as evidence exist", async () => {
  const text = (await readDocument("docs/decisions.md")).replaceAll(/\s+/g, " ")
    .replaceAll("the simulation", "tests/simulation");
  const tests = await sources("tests");
  let checked = 0;
  const claims = text.matchAll(
    /((?:\[[A-Z]\d\](?: and )?)+) in ((?:tests\/[\w/]+(?: and(?: in)? )?)+)/g,
  );
  for (const [, ids = "", folders = ""] of claims) {
    for (const [id] of ids.matchAll(/\[[A-Z]\d\]/g)) {
      for (const [folder] of folders.matchAll(/tests\/[\w/]+\w/g)) {
        checked += 1;
        const isTested = [...tests].some(([path, source]) =>
          path.startsWith(`${folder}/`) && source.includes(id)
        );
        ok(isTested, `no test of ${id} in ${folder}`);
      }
    }
  }
  ok(checked >= 25, `only ${checked} were found`);
});

Deno.test("src/README.md: the table of folders is the lint rule's", async () => {
  const rows = tableRows(await readDocument("src/README.md"), "Folders");
  const documented = rows.slice(1).map(([, text]) =>
    [...(text ?? "").matchAll(/(main\.ts|src\/[\w/]*)(?=:)/g)]
      .map(([, path = ""]) => path === "main.ts" ? "." : path.slice(0, -1))
      .sort()
  );
  deepEqual(
    documented,
    FLOORS.map((folders) => [...folders].sort()).toReversed(),
  );
});

Deno.test("src/README.md: every promise with a test is in the list, and the other way round", async () => {
  const rows = tableRows(await readDocument("src/README.md"), "Promises");
  const listed = new Set(rows.slice(1).map(([id = ""]) => id));
  const tested = new Set<string>();
  for (const text of (await sources("tests")).values()) {
    for (
      const [, id = ""] of text.matchAll(/["`](?:\[[A-Z]\d\])*\[([A-Z]\d)\]/g)
    ) tested.add(id);
    for (const [, id = ""] of text.matchAll(/["`]\[([A-Z]\d)\]/g)) {
      tested.add(id);
    }
  }
  agree([...listed], [...tested]);
});
