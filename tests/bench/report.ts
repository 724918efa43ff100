/**
 * Prints what was measured.
 *
 * @module
 */
import { plainLoop } from "./contenders.ts";
import type { Result } from "./workloads.ts";

/** The figures of a contender in one round of a workload. */
export interface Row extends Result {
  readonly workload: string;
  readonly contender: string;
  readonly round: number;
  /** CPU of the load generator, all threads together, during `wallSeconds`. */
  readonly loadCpuSeconds: number;
  readonly wallSeconds: number;
}

/** One row for each workload and contender: the median of each figure over its rounds. */
export function medians(rows: readonly Row[]): Row[] {
  const median = (values: readonly number[]) =>
    values.toSorted((a, b) => a - b)[Math.floor(values.length / 2)] ?? NaN;
  const groups = Map.groupBy(
    rows,
    ({ workload, contender }) => `${workload}\n${contender}`,
  );
  return [...groups.values()].flatMap((all) => {
    const [first] = all;
    if (first === undefined) return [];
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

/** One line for each contender: its figures, and their ratios to those of the plain loop. */
export function report(workload: string, rows: readonly Row[]): string[] {
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
  ["churn of 200", "cpuPerReceivedMicroseconds", "churn: CPU per message"],
  ["lone transition", "medianMs", "lone transition: p50"],
  ["lone transition", "p99Ms", "p99"],
  ["idle connections", "memoryPerConnectionKiB", "idle: memory"],
  ["list of 1000", "cpuMicroseconds", "list of 1,000: CPU"],
] as const;

/** Markdown: the ratios to the plain loop, whose own figures are in its row. */
export function ratioTable(rows: readonly Row[]): string[] {
  const columns = COLUMNS.filter(([workload]) =>
    rows.some((row) => isOf(row, workload))
  );
  const valueOf = (server: string, workload: string, metric: string) =>
    rows.find((row) => isOf(row, workload) && row.contender === server)
      ?.metrics[metric];
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

function isOf({ workload }: Row, start: string): boolean {
  return workload.startsWith(start) && !workload.endsWith("against the floor");
}

export function line(cells: readonly string[]): string {
  return `| ${cells.join(" | ")} |`;
}

/** The unit of a figure: the end of its name. */
function unitOf(metric: string): string {
  if (metric.endsWith("Ms")) return "ms";
  if (metric.endsWith("KiB")) return "KiB";
  return metric.endsWith("Microseconds") ? "us" : "s";
}

export function digits(value: number): string {
  return value >= 1_000
    ? value.toFixed(0)
    : Number(value.toPrecision(3)).toString();
}
