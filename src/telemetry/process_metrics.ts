/**
 * What the process uses, and what it may use: memory, processor time, descriptors.
 *
 * Deno reads `/proc` only for a process that may do everything (`--allow-all`). Without that there
 * are no metrics of descriptors.
 *
 * @module
 */
import process from "node:process";
import { Counter, Gauge, type Registry } from "prom-client";

export function addProcessMetrics(registry: Registry): void {
  const startedAt = Date.now() / 1_000;
  addGauge(
    registry,
    "process_start_time_seconds",
    "When the process started, in seconds since 1970",
    () => startedAt,
  );
  new Counter({
    name: "process_cpu_seconds_total",
    help: "Processor time that the process used",
    registers: [registry],
    collect() {
      const { user, system } = process.cpuUsage();
      this.reset();
      this.inc((user + system) / 1_000_000);
    },
  });
  addGauge(
    registry,
    "process_resident_memory_bytes",
    "Memory that the process holds",
    () => Deno.memoryUsage().rss,
  );
  addGauge(
    registry,
    "rollcall_memory_max_bytes",
    "Memory that the process may hold: that of its control group, or of the machine",
    memoryMaxBytes,
  );
  if (openDescriptors() === undefined) return;
  const help = "File descriptors that the process";
  const [open, max] = ["process_open_fds", "process_max_fds"] as const;
  addGauge(registry, open, `${help} has open`, openDescriptors);
  addGauge(registry, max, `${help} may have open`, maxDescriptors);
}

/** Adds a gauge that is read when Prometheus asks. Without a value there is no sample. */
export function addGauge(
  registry: Registry,
  name: string,
  help: string,
  read: () => number | undefined,
): void {
  new Gauge({
    name,
    help,
    registers: [registry],
    collect() {
      const value = read();
      if (value === undefined) this.remove();
      else this.set(value);
    },
  });
}

/** `undefined` without the permission to know. */
function memoryMaxBytes(): number | undefined {
  try {
    const { total } = Deno.systemMemoryInfo();
    // 0: there is no control group.
    return Math.min(total, process.constrainedMemory() || Infinity);
  } catch {
    return undefined;
  }
}

/** `undefined` without the permission to know, or on a system without `/proc`. */
function openDescriptors(): number | undefined {
  try {
    return [...Deno.readDirSync("/proc/self/fd")].length;
  } catch {
    return undefined;
  }
}

function maxDescriptors(): number | undefined {
  try {
    const limits = Deno.readTextFileSync("/proc/self/limits");
    const [, soft] = /^Max open files +(\d+)/m.exec(limits) ?? [];
    return soft === undefined ? undefined : Number(soft);
  } catch {
    return undefined;
  }
}
