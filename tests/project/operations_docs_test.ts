/** The page for operators says what the code measures, logs and checks. */
import { deepEqual, ok } from "node:assert/strict";
import { Admission } from "../../src/access/admission.ts";
import { systemClock } from "../../src/base/clock.ts";
import { noMetrics } from "../../src/base/metrics.ts";
import { Hub } from "../../src/core/connections/hub.ts";
import { type Core, createCore } from "../../src/core/core.ts";
import type { Store } from "../../src/core/store/store.ts";
import { DISCONNECT } from "../../src/client/protocol/disconnect.ts";
import { LoopMonitor } from "../../src/telemetry/loop_monitor.ts";
import { PrometheusMetrics } from "../../src/telemetry/prometheus.ts";
import { silentLog } from "../support/database.ts";
import {
  agree,
  documentPaths,
  readDocument,
  sources,
  tableRows,
} from "../support/documents.ts";

const source = await sources("src");
source.set("main.ts", await readDocument("main.ts"));

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
  return createCore({
    ...{ hub: new Hub(), store: {} as Store, clock: systemClock },
    ...{ log: silentLog, metrics: noMetrics },
    ...{ leaseMs: 10_000, heartbeatMs: 3_000, offlineGraceMs: 0 },
    fanout: { intervalMs: 50, stateUsersMax: 1 },
  });
}

/** The type of every metric, by its name. */
async function metricTypes(): Promise<Map<string, string>> {
  const metrics = new PrometheusMetrics("0.0.0");
  const limits = {
    admission: {
      connectionsMax: 1,
      connectionsPerUserMax: 1,
      connectionsPerAddressMax: 1,
      newConnectionsPerSecondMax: 1,
      failedTokensPerMinuteMax: 1,
    },
    ...{ fanout: { stateUsersMax: 1 }, leaseMs: 10_000 },
  };
  metrics.observe({
    groupsReadable: () => undefined,
    ...{ ...idleCore(), hub: new Hub(), loop: new LoopMonitor(), limits },
    ...{ admission: new Admission(limits.admission) },
    drain: { isDraining: false },
    database: { copiesDue: 0, snapshots: [] },
  });
  const types = (await metrics.text()).matchAll(/^# TYPE (\w+) (\w+)$/gm);
  return new Map([...types].map(([, name = "", type = ""]) => [name, type]));
}

Deno.test("operations.md: the table of metrics is the code's, with their types", async () => {
  const types = [...await metricTypes()].map((each) => each.join(" "));
  const rows = tableRows(await readDocument("docs/operations.md"), "Metrics");
  ok(types.length >= 20);
  agree(rows.slice(1).map(([name, type]) => `${name} ${type}`), types);
});

Deno.test("the dashboard, the alerts and the documentation name only metrics that exist", async () => {
  const types = await metricTypes();
  const name = "((?:rollcall|process)_[a-z0-9_]*[a-z0-9])";
  const named = new RegExp(`\\b${name}\\b`, "g");
  const quoted = new RegExp(`\`${name}\``, "g");
  const patterns = new Map([
    ...(await documentPaths()).map((path) => [path, quoted] as const),
    ...[["docs/grafana.json", named], ["docs/alerts.yml", named]] as const,
  ]);
  for (const [path, pattern] of patterns) {
    for (const [, name = ""] of (await readDocument(path)).matchAll(pattern)) {
      const plain = name.replace(/_(bucket|sum|count)$/, "");
      if (plain === "rollcall_internal") continue;
      ok(types.has(plain), `${path} names ${name}, which does not exist`);
    }
  }
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
  const checks = [...source.values()].flatMap((text) => [
    ...text.matchAll(/Record<\s*((?:\|?\s*"\w+"\s*)+),\s*string\s*>/g),
  ]).map(([, names]) => names).join("\n");
  const names = [...checks.matchAll(/"(\w+)"/g)].map(([, name]) => name);
  const rows = tableRows(
    await readDocument("docs/operations.md"),
    "`/readyz` is 503",
  );
  ok(names.length >= 5);
  deepEqual(rows.slice(1).map(([name]) => name), names);
});
