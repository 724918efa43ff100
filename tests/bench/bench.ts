/**
 * Compares Rollcall with other servers: `deno task bench [--quick] [--only storm] [--users 3000]
 * [--rounds 3] [--json FILE]`. `--users` replaces all workloads by the storms of so many users.
 *
 * It starts one server at a time, loads it, and prints the figures and their ratios to those of
 * the plain loop on Deno. Compare figures of one run only: those of two runs differ by what else
 * the machine did.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { migrateDatabase } from "../../src/postgres/migrate.ts";
import { query, scratchPostgres, uniqueName } from "../support/database.ts";
import { ROOT } from "../support/server.ts";
import {
  constant,
  type Contender,
  contenders,
  cpuSeconds,
  plainLoop,
} from "./contenders.ts";
import { stormAndFloor } from "./floor_workload.ts";
import { constantBody, list } from "./list_workload.ts";
import { transitions } from "./transitions.ts";
import * as workloads from "./workloads.ts";
import type { Result, Stage } from "./workloads.ts";

const USERS = 20_000;

interface Row extends Result {
  readonly workload: string;
  readonly contender: string;
  /** CPU of the load generator, all threads together, during `wallSeconds`. */
  readonly loadCpuSeconds: number;
  readonly wallSeconds: number;
}

interface Task {
  readonly workload: string;
  /** Whether a contender takes part. Without it all do, except the constant text. */
  readonly among?: (contender: Contender) => boolean;
  run(contender: Contender): Promise<Result>;
}

function print(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}

const isOurs = ({ name }: Contender) => name.startsWith("rollcall");
const onPostgres = ({ storage }: Contender) => storage === "postgres";
const isFast = ({ dialect, name }: Contender) =>
  dialect === "v2" || name.startsWith("Bun");

/** All workloads: they take half an hour, or with `--quick` three minutes. */
function plan(stage: Stage, isQuick: boolean, users: number): Task[] {
  const stormOf = (users: number, among?: Task["among"]) =>
    stormTask(stage, users, among);
  if (users > 0) return [stormOf(users, isFast), floorTask(stage, users)];
  const listOf = (users: number) =>
    listTask(stage, users, isQuick ? 2_000 : 20_000);
  const [receivers, rounds, times] = isQuick ? [500, 1, 10] : [1_000, 5, 200];
  const full: Task[] = isQuick ? [] : [
    floorTask(stage, 3_000),
    floorTask(stage, 10_000),
    stormOf(5_000),
    stormOf(10_000, isFast),
    stormOf(2_000, isOurs),
    stormOf(15_000, (contender) => isOurs(contender) && isFast(contender)),
    listOf(10_000),
    spreadTask(stage, 1, rounds),
    spreadTask(stage, 2, rounds),
  ];
  return [
    stormOf(1_000),
    {
      workload: `churn of 200, ${receivers} receive`,
      run: (contender) =>
        workloads.churn(contender, stage, { receivers, visitors: 200, rounds }),
    },
    {
      workload: `lone transition, ${receivers} receive`,
      run: (contender) =>
        workloads.lone(contender, stage, { receivers, times }),
    },
    {
      workload: "idle connections",
      among: ({ name }) =>
        name !== constant.name && !name.includes("in memory"),
      run: (contender) =>
        workloads.idle(contender, stage, isQuick ? 3_000 : 10_000),
    },
    listOf(1_000),
    {
      workload: "a node is killed",
      among: (contender) => isOurs(contender) && onPostgres(contender),
      run: (contender) =>
        workloads.failover(contender, stage, isQuick ? 1_000 : 2_000),
    },
    ...full,
  ];
}

function stormTask(stage: Stage, users: number, among?: Task["among"]): Task {
  return {
    workload: `storm of ${users}`,
    ...among === undefined ? {} : { among },
    run: (contender) => workloads.storm(contender, stage, users),
  };
}

/** A storm of version 2 against the same bytes from a bare server of the same engine. */
function floorTask(stage: Stage, users: number): Task {
  return {
    workload: `storm of ${users} against the floor`,
    among: (contender) => onPostgres(contender) && contender.dialect === "v2",
    run: (contender) => stormAndFloor(contender, stage, users),
  };
}

function listTask(stage: Stage, users: number, requests: number): Task {
  return {
    workload: `list of ${users}`,
    // Ten thousand connects by the plain loop would take longer than all other workloads together.
    among: (contender) =>
      contender.name === constant.name ||
      contender.name !== "Socket.IO" &&
        !contender.name.startsWith("rollcall.v1") &&
        (users < 10_000 || isFast(contender)),
    run: (contender) =>
      contender.name === constant.name
        ? constantBody(contender, { users, requests })
        : list(contender, stage, { users, requests }),
  };
}

function spreadTask(stage: Stage, nodes: number, rounds: number): Task {
  return {
    workload: `churn over ${nodes} node${nodes > 1 ? "s" : ""}`,
    among: (contender) => onPostgres(contender) && contender.dialect === "v1",
    run: (contender) =>
      workloads.spread(contender, stage, {
        ...{ nodes, receivers: 2_000, visitors: 200, rounds },
      }),
  };
}

/** One line for each contender: its figures, and their ratios to those of the plain loop. */
function report(workload: string, rows: readonly Row[]): string[] {
  const basis = rows.find(({ contender }) => contender === plainLoop.name)
    ?.metrics;
  const lines = [`\n${workload}`];
  for (
    const { contender, metrics, faults, loadCpuSeconds, wallSeconds } of rows
  ) {
    const cells = Object.entries(metrics).map(([name, value]) => {
      const other = basis?.[name];
      const ratio = other === undefined || contender === plainLoop.name ||
          /^(received|messages)$/.test(name)
        ? ""
        : ` (${digits(value / other)}x)`;
      return `${name} ${digits(value)}${ratio}`;
    });
    const load = `load ${digits(loadCpuSeconds / wallSeconds)} cores`;
    const fault = faults.length > 0 ? `  NOT EXACT: ${faults.join("; ")}` : "";
    lines.push(
      `  ${contender.padEnd(22)} ${cells.join(", ")}, ${load}${fault}`,
    );
  }
  return lines;
}

/** The columns of the table at the end: the start of a workload's name, a figure of it, and the heading. */
const COLUMNS = [
  ["storm of 1000", "cpuSeconds", "storm of 1,000: CPU"],
  ["storm of 5000", "cpuSeconds", "of 5,000: CPU"],
  ["storm of 5000", "allMs", "until all know of all"],
  ["storm of 5000", "memoryPerConnectionKiB", "memory after it"],
  ["churn of 200", "cpuPerReceivedMicroseconds", "churn: CPU"],
  ["lone transition", "medianMs", "lone transition: p50"],
  ["lone transition", "p99Ms", "p99"],
  ["idle connections", "memoryPerConnectionKiB", "idle: memory"],
  ["list of 1000", "cpuMicroseconds", "list of 1,000: CPU"],
] as const;

/** Markdown: the ratios to the plain loop, whose own figures are in its row. */
function table(rows: readonly Row[]): string[] {
  const columns = COLUMNS.filter(([workload]) =>
    rows.some((row) => row.workload.startsWith(workload))
  );
  const valueOf = (server: string, workload: string, metric: string) =>
    rows.find((row) =>
      row.workload.startsWith(workload) && row.contender === server
    )?.metrics[metric];
  const line = (cells: readonly string[]) => `| ${cells.join(" | ")} |`;
  const servers = [...new Set(rows.map(({ contender }) => contender))];
  const body = servers.map((server) => {
    const cells = columns.map(([workload, metric]) => {
      const value = valueOf(server, workload, metric);
      const basis = valueOf(plainLoop.name, workload, metric);
      if (value === undefined) return "";
      if (server === plainLoop.name) {
        return `${digits(value)} ${unitOf(metric)}`;
      }
      return basis === undefined ? digits(value) : digits(value / basis);
    });
    return { server, cells };
  }).filter(({ cells }) => cells.some((cell) => cell !== ""));
  return [
    "\nRatios to the plain loop, below 1 is better:\n",
    line(["", ...columns.map(([, , heading]) => heading)]),
    line(["---", ...columns.map(() => "---")]),
    ...body.map(({ server, cells }) => line([server, ...cells])),
  ];
}

/** The unit of a figure: the end of its name. */
function unitOf(metric: string): string {
  if (metric.endsWith("Ms")) return "ms";
  if (metric.endsWith("KiB")) return "KiB";
  return metric.endsWith("Microseconds") ? "us" : "s";
}

function digits(value: number): string {
  return value >= 1_000
    ? value.toFixed(0)
    : Number(value.toPrecision(3)).toString();
}

async function measure(
  workload: string,
  contender: string,
  run: () => Promise<Result>,
): Promise<Row> {
  const cpu = cpuSeconds("self");
  const startedAt = performance.now();
  const result = await run();
  return {
    ...{ workload, contender, ...result },
    loadCpuSeconds: cpuSeconds("self") - cpu,
    wallSeconds: (performance.now() - startedAt) / 1_000,
  };
}

/** One row for each contender: the median of each figure over its rounds. */
function medians(rows: readonly Row[]): Row[] {
  const median = (values: readonly number[]) =>
    values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
  return [...Map.groupBy(rows, ({ contender }) => contender).values()]
    .flatMap(([first, ...others]) => {
      if (first === undefined) return [];
      const all = [first, ...others];
      const metrics = Object.fromEntries(
        Object.keys(first.metrics).map((name) => [
          name,
          median(all.map(({ metrics }) => metrics[name] ?? NaN)),
        ]),
      );
      const faults = [...new Set(all.flatMap(({ faults }) => faults))];
      return [{ ...first, metrics, faults }];
    });
}

async function main(): Promise<void> {
  const { values: { quick, only, users, rounds, json: file } } = parseArgs({
    args: Deno.args,
    options: {
      quick: { type: "boolean", default: false },
      only: { type: "string", default: "" },
      users: { type: "string", default: "0" },
      rounds: { type: "string", default: "1" },
      json: { type: "string", default: `${ROOT}.data/bench.json` },
    },
  });
  const json = new URL(file, `file://${Deno.cwd()}/`);
  await using cleanup = new AsyncDisposableStack();
  const postgres = cleanup.use(await scratchPostgres());
  const database = async () => {
    const url = new URL(postgres.url);
    url.pathname = `/${uniqueName("bench")}`;
    await query(postgres.url, `create database ${url.pathname.slice(1)}`);
    await migrateDatabase(url.href);
    await query(
      url.href,
      "insert into users (id, username) select n, 'user' || n from generate_series(1, $1::int) n",
      [USERS],
    );
    return url.href;
  };
  const stage: Stage = {
    environment: async ({ storage }) =>
      storage === "memory" ? {} : { DATABASE_URL: await database() },
  };
  const all = await contenders();
  for (const { name, missing } of all) {
    if (missing !== undefined) print(`skipping ${name}: ${missing}`);
  }
  const present = [...all, constant]
    .filter(({ missing }) => missing === undefined);
  const rows: Row[] = [];
  const take = (workload: string, measured: readonly Row[]) => {
    rows.push(...measured);
    for (const line of report(workload, measured)) print(line);
  };
  for (const { workload, among, run } of plan(stage, quick, Number(users))) {
    if (!workload.includes(only)) continue;
    const measured: Row[] = [];
    const competing = present.filter((contender) =>
      among?.(contender) ?? contender.name !== constant.name
    );
    for (let round = 0; round < Number(rounds); round++) {
      for (const contender of competing) {
        measured.push(
          await measure(workload, contender.name, () => run(contender)),
        );
      }
    }
    take(workload, medians(measured));
  }
  if ("transitions".includes(only)) {
    const count = quick ? 4_000 : USERS;
    const run = async () => await transitions(await database(), count);
    take("transitions", [await measure("transitions", "Postgres", run)]);
  }
  for (const line of table(rows)) print(line);
  await Deno.mkdir(new URL(".", json), { recursive: true });
  await Deno.writeTextFile(json, `${JSON.stringify(rows, null, 2)}\n`);
  print(`\nAll figures are in ${json.pathname}`);
}

if (import.meta.main) {
  await main();
  Deno.exit(0);
}
