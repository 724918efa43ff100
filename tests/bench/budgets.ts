/**
 * What Rollcall may cost, each as a limit on a figure or on the ratio of two figures of one run.
 *
 * A ratio is taken within each round, where both servers ran shortly after each other; what counts
 * is the median of the rounds.
 *
 * @module
 */
import { constants, GO, plainLoop, rollcall } from "./contenders.ts";
import { type Scale, WORKLOADS } from "./plan.ts";
import { digits, line, type Row } from "./report.ts";

export interface Budget {
  readonly what: string;
  readonly workload: string;
  readonly contender: string;
  readonly metric: string;
  /** The figure is divided by the same one of this contender. */
  readonly against?: string;
  readonly atMost?: number;
  readonly atLeast?: number;
  readonly unit?: string;
}

export interface Measured extends Budget {
  /** The figure of each round, ascending. Empty: it was not measured. */
  readonly values: readonly number[];
  readonly median: number;
  readonly isMet: boolean | undefined;
}

const V1 = rollcall(1, "postgres").name;
const V1_WS = rollcall(1, "postgres", "ws").name;
const V2 = rollcall(2, "postgres").name;
const V2_WS = rollcall(2, "postgres", "ws").name;
const [constant, constantOnWs] = constants;

export function budgets(scale: Scale): Budget[] {
  return [
    ...stormBudgets(scale),
    ...messageBudgets(scale),
    ...memoryBudgets(scale),
    ...databaseBudgets(scale),
    {
      what: "`/users/online` of 1,000, native, against a constant body",
      ...{ workload: WORKLOADS.list(1_000), metric: "cpuMicroseconds" },
      ...{ contender: constant.name, against: V2, atLeast: 0.75 },
    },
    {
      what: "`/users/online` of 1,000, `ws`, against a constant body",
      ...{ workload: WORKLOADS.list(1_000), metric: "cpuMicroseconds" },
      ...{ contender: constantOnWs.name, against: V2_WS, atLeast: 0.75 },
    },
    ...["without a token", "with a token"].map((who) => ({
      what: `peak memory of a hostile peer, \`ws\`, ${who}`,
      ...{ workload: WORKLOADS.hostile, contender: V2_WS, unit: "KiB" },
      metric: who === "with a token" ? "withTokenKiB" : "withoutTokenKiB",
      atMost: 64,
    })),
  ];
}

function stormBudgets({ floors }: Scale): Budget[] {
  return floors.flatMap((users) =>
    [V2, V2_WS].map((contender) => ({
      what: `version 2, storm of ${users}, ${
        engineOf(contender)
      }, against the floor`,
      ...{ workload: WORKLOADS.floor(users), contender },
      ...{ metric: "toFloor", atMost: 1.5 },
    }))
  );
}

function messageBudgets(scale: Scale): Budget[] {
  const churn = {
    workload: WORKLOADS.churn(scale),
    ...{ metric: "cpuPerReceivedMicroseconds", against: GO },
  };
  const storm = { workload: WORKLOADS.storm(1_000), metric: "cpuSeconds" };
  const what = "version 1, storm of 1,000";
  return [
    {
      what: "version 1, a message of a churn, native, against Go",
      ...{ ...churn, contender: V1, atMost: 1.1 },
    },
    {
      what: "version 1, a message of a churn, `ws`, against Go",
      ...{ ...churn, contender: V1_WS, atMost: 0.25 },
    },
    {
      what: `${what}, native, against the plain loop on Deno`,
      ...{ ...storm, contender: V1, against: plainLoop.name, atMost: 1 },
    },
    {
      what: `${what}, native, against Go`,
      ...{ ...storm, contender: V1, against: GO, atMost: 1.3 },
    },
    {
      what: `${what}, \`ws\`, against Go`,
      ...{ ...storm, contender: V1_WS, against: GO, atMost: 0.35 },
    },
  ];
}

function memoryBudgets({ floors: [, many] }: Scale): Budget[] {
  const metric = "memoryPerConnectionKiB";
  return [[V2, 20, 24] as const, [V2_WS, 11, 14] as const].flatMap(
    ([contender, idle, storm]) => [
      {
        what: `memory of an idle connection, ${engineOf(contender)}`,
        ...{ workload: WORKLOADS.idle, contender, metric },
        ...{ atMost: idle, unit: "KiB" },
      },
      {
        what: `memory of a connection after a storm of ${many}, ${
          engineOf(contender)
        }`,
        ...{ workload: WORKLOADS.floor(many), contender, metric },
        ...{ atMost: storm, unit: "KiB" },
      },
    ],
  );
}

function databaseBudgets(scale: Scale): Budget[] {
  const transitions = ([["integer", 15], ["uuid", 12], ["text", 10]] as const)
    .map(([idType, atLeast]) => ({
      what: `transitions/s in batches, against one UPDATE each, ${idType} ids`,
      ...{ workload: WORKLOADS.transitions(idType), contender: V2, atLeast },
      metric: "batchedToOneUpdateEach",
    }));
  const lone = [V1, V1_WS].flatMap((contender) =>
    ([["p50", "medianMs", 8], ["p99", "p99Ms", 20]] as const)
      .map(([name, metric, atMost]) => ({
        what: `lone transition, ${scale.receivers} receive, ${
          engineOf(contender)
        }: ${name}`,
        ...{ workload: WORKLOADS.lone(scale), contender, metric },
        ...{ atMost, unit: "ms" },
      }))
  );
  return [...transitions, ...lone];
}

function engineOf(contender: string): string {
  return contender.endsWith("on ws") ? "`ws`" : "native";
}

/** Whether a budget needs the figures of this contender in this workload. */
export function isNeeded(
  wanted: readonly Budget[],
  workload: string,
  name: string,
): boolean {
  return wanted.some((budget) =>
    budget.workload === workload &&
    (budget.contender === name || budget.against === name)
  );
}

/** Compares the rows of all rounds with the budgets of the workloads that ran. */
export function measureBudgets(
  wanted: readonly Budget[],
  rows: readonly Row[],
): Measured[] {
  const ran = new Set(rows.map(({ workload }) => workload));
  return wanted.filter(({ workload }) => ran.has(workload)).map((budget) => {
    const values = valuesOf(budget, rows).sort((a, b) => a - b);
    const median = values[Math.floor(values.length / 2)] ?? NaN;
    const { atMost = Infinity, atLeast = -Infinity } = budget;
    const isMet = values.length === 0
      ? undefined
      : median <= atMost && median >= atLeast;
    return { ...budget, values, median, isMet };
  });
}

function valuesOf(
  { workload, contender, metric, against }: Budget,
  rows: readonly Row[],
): number[] {
  const figure = (name: string, round: number) =>
    rows.find((row) =>
      row.workload === workload && row.contender === name &&
      row.round === round
    )?.metrics[metric];
  const rounds = new Set(rows.map(({ round }) => round));
  return [...rounds].flatMap((round) => {
    const value = figure(contender, round);
    const basis = against === undefined ? 1 : figure(against, round);
    return value === undefined || basis === undefined ? [] : [value / basis];
  });
}

/** Markdown: one line for each budget. */
export function budgetTable(measured: readonly Measured[]): string[] {
  return [
    "\nBudgets, the median of the rounds, and the least and the most of them:\n",
    line(["what", "budget", "measured", "rounds", ""]),
    line(["---", "---", "---", "---", "---"]),
    ...measured.map(
      ({ what, atMost, atLeast, unit, values, median, isMet }) => {
        const suffix = unit === undefined ? "" : ` ${unit}`;
        const limit = atMost === undefined
          ? `at least ${atLeast}`
          : `at most ${atMost}`;
        if (isMet === undefined) {
          return line([what, limit, "", "", "not measured"]);
        }
        const span = `${digits(values[0] ?? NaN)} to ${
          digits(values.at(-1) ?? NaN)
        }`;
        return line([
          ...[what, `${limit}${suffix}`, `${digits(median)}${suffix}`],
          ...[values.length > 1 ? span : "", isMet ? "met" : "**not met**"],
        ]);
      },
    ),
  ];
}
