/**
 * The metrics that an operator sees, in Prometheus' text format.
 *
 * There are two kinds of metrics. Events are counted when they happen: the parts call `Metrics`
 * (`base/metrics.ts`), which `recorder.ts` implements. States are read from the parts when
 * Prometheus asks: `gauges.ts` lists them. No other part of the server knows Prometheus.
 *
 * Cost: an event is a few additions. A state costs nothing until Prometheus asks.
 *
 * To add a metric, add a line to `gauges.ts`, or a method to `Metrics` and its meter to
 * `recorder.ts`. Names follow Prometheus' conventions: base units (seconds, bytes), and `_total`
 * at the end of a counter. Document the metric in `docs/operations.md`: a test compares the lists.
 *
 * Two more files are here: `loop_monitor.ts` measures how long the event loop was blocked, and
 * `log_writer.ts` writes the log.
 *
 * @module
 */
import process from "node:process";
import { Counter, Gauge, Registry } from "prom-client";
import type { Metrics } from "../base/metrics.ts";
import { GAUGES, type Observed } from "./gauges.ts";
import { createRecorder } from "./recorder.ts";

export class PrometheusMetrics {
  readonly #registry = new Registry();
  /** Counts what the parts report. */
  readonly recorder: Metrics;

  /** @param version Of the server. */
  constructor(version: string) {
    this.recorder = createRecorder(this.#registry);
    this.#addBuildInfo(version);
    this.#addProcess();
  }

  /** Adds the metrics that are read from the parts. Call it once, when the parts exist. */
  observe(parts: Observed): void {
    for (const { name, help, read } of GAUGES) {
      this.#addGauge(name, help, () => read(parts));
    }
  }

  /** All metrics in Prometheus' text format, version 0.0.4. */
  async text(): Promise<string> {
    return await this.#registry.metrics();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  #addBuildInfo(version: string): void {
    new Gauge({
      name: "rollcall_build_info",
      help: "Always 1. The labels are the versions of Rollcall and Deno",
      labelNames: ["version", "deno"],
      registers: [this.#registry],
    }).set({ version, deno: Deno.version.deno }, 1);
  }

  #addProcess(): void {
    this.#addGauge(
      "process_resident_memory_bytes",
      "Memory that the process holds",
      () => Deno.memoryUsage().rss,
    );
    const startedAt = Date.now() / 1_000;
    this.#addGauge(
      "process_start_time_seconds",
      "When the process started, in seconds since 1970",
      () => startedAt,
    );
    new Counter({
      name: "process_cpu_seconds_total",
      help: "Processor time that the process used",
      registers: [this.#registry],
      collect() {
        const { user, system } = process.cpuUsage();
        this.reset();
        this.inc((user + system) / 1_000_000);
      },
    });
  }

  #addGauge(name: string, help: string, read: () => number): void {
    new Gauge({
      name,
      help,
      registers: [this.#registry],
      collect() {
        this.set(read());
      },
    });
  }
}
