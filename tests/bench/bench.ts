/**
 * Compares Rollcall with other servers and with its budgets:
 * `deno task bench [--quick] [--budgets] [--only storm] [--users 3000] [--rounds 3] [--json FILE]`.
 *
 * - `--quick`: less of everything.
 * - `--budgets`: only the workloads that the budgets need.
 * - `--only TEXT`: only the workloads whose name contains the text.
 * - `--users N`: only the storms of so many users.
 * - `--rounds N`: how often the servers run that a budget compares; their figures are medians.
 *
 * It starts one server at a time, loads it, and prints the figures and their ratios to those of
 * the plain loop on Deno. Compare figures of one run only: those of two runs differ by what else
 * the machine did.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { messageOf } from "../../src/base/message_of.ts";
import type { UserIdType } from "../../src/client/protocol/user_id.ts";
import { migrateDatabase } from "../../src/postgres/migrate.ts";
import { DEFAULT_USERS } from "../../src/postgres/users_table.ts";
import { query, scratchPostgres, uniqueName } from "../support/database.ts";
import { idOf } from "../support/ids.ts";
import { ROOT } from "../support/server.ts";
import { budgets, budgetTable, isNeeded, measureBudgets } from "./budgets.ts";
import {
  constants,
  type Contender,
  contenders,
  cpuSeconds,
} from "./contenders.ts";
import {
  budgetedTasks,
  FULL,
  otherTasks,
  QUICK,
  stormsOf,
  type Task,
} from "./plan.ts";
import { medians, ratioTable, report, type Row } from "./report.ts";
import type { Databases } from "./transitions.ts";
import type { Stage } from "./workloads.ts";

const USERS = 20_000;

interface Options {
  readonly isQuick: boolean;
  readonly isBudgetsOnly: boolean;
  readonly only: string;
  /** 0: all workloads. */
  readonly users: number;
  readonly rounds: number;
  readonly json: URL;
}

function readOptions(): Options {
  const { values: { quick, budgets, only, users, rounds, json } } = parseArgs({
    args: Deno.args,
    options: {
      quick: { type: "boolean", default: false },
      budgets: { type: "boolean", default: false },
      only: { type: "string", default: "" },
      users: { type: "string", default: "0" },
      rounds: { type: "string" },
      json: { type: "string", default: `${ROOT}.data/bench.json` },
    },
  });
  return {
    ...{ isQuick: quick, isBudgetsOnly: budgets, only, users: Number(users) },
    rounds: Number(rounds ?? (quick ? 1 : 3)),
    json: new URL(json, `file://${Deno.cwd()}/`),
  };
}

function print(lines: readonly string[]): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${lines.join("\n")}\n`));
}

/** Databases of one Postgres, each with users 1 to 20,000. */
function createStage(postgresUrl: string): Stage & Databases {
  const database = async (idType: UserIdType = "integer") => {
    const url = new URL(postgresUrl);
    url.pathname = `/${uniqueName("bench")}`;
    await query(postgresUrl, `create database ${url.pathname.slice(1)}`);
    await migrateDatabase(url.href, { ...DEFAULT_USERS, idType });
    await query(
      url.href,
      `insert into users (id, username)
       select id, 'user' || n from unnest($1::${idType}[]) with ordinality as given (id, n)`,
      [Array.from({ length: USERS }, (_, n) => idOf(idType, n + 1))],
    );
    return url.href;
  };
  return {
    database,
    environment: async ({ storage }) =>
      storage === "memory" ? {} : { DATABASE_URL: await database() },
  };
}

/** Runs a workload for each contender, and for some of them in further rounds. Prints the medians. */
async function measure(
  { workload, among, run }: Task,
  present: readonly Contender[],
  rounds: number,
  isRepeated: (contender: Contender) => boolean,
): Promise<Row[]> {
  const rows: Row[] = [];
  for (let round = 1; round <= rounds; round++) {
    for (const contender of present.filter(among)) {
      if (round > 1 && !isRepeated(contender)) continue;
      const cpu = cpuSeconds("self");
      const startedAt = performance.now();
      const result = await run(contender).catch(messageOf);
      if (typeof result === "string") {
        print([`${workload}: ${contender.name} failed: ${result}`]);
        continue;
      }
      rows.push({
        ...{ workload, contender: contender.name, round, ...result },
        loadCpuSeconds: cpuSeconds("self") - cpu,
        wallSeconds: (performance.now() - startedAt) / 1_000,
      });
    }
  }
  print(report(workload, medians(rows)));
  return rows;
}

async function presentContenders(): Promise<Contender[]> {
  const all = await contenders();
  for (const { name, missing } of all) {
    if (missing !== undefined) print([`skipping ${name}: ${missing}`]);
  }
  return [...all, ...constants].filter(({ missing }) => missing === undefined);
}

async function main(options: Options): Promise<void> {
  const { isQuick, isBudgetsOnly, only, users, rounds, json } = options;
  await using postgres = await scratchPostgres();
  const stage = createStage(postgres.url);
  const present = await presentContenders();
  const scale = isQuick ? QUICK : FULL;
  const wanted = budgets(scale);
  const tasks = users > 0 ? stormsOf(stage, users) : [
    ...budgetedTasks(stage, scale),
    ...isBudgetsOnly ? [] : otherTasks(stage, scale),
  ];
  await Deno.mkdir(new URL(".", json), { recursive: true });
  const rows: Row[] = [];
  for (const task of tasks) {
    const { workload } = task;
    if (!workload.includes(only)) continue;
    const isRepeated = ({ name }: Contender) =>
      isNeeded(wanted, workload, name);
    rows.push(...await measure(task, present, rounds, isRepeated));
    await Deno.writeTextFile(json, `${JSON.stringify(rows, null, 2)}\n`);
  }
  print(ratioTable(medians(rows)));
  print(budgetTable(measureBudgets(wanted, rows)));
  print([`\nAll figures are in ${json.pathname}`]);
}

if (import.meta.main) {
  await main(readOptions());
  Deno.exit(0);
}
