/**
 * The metrics that an operator sees, in Prometheus' text format, and over OpenTelemetry (`otel.ts`).
 *
 * There are two kinds of metrics. Events are counted when they happen: the parts call `Metrics`
 * (`base/metrics.ts`), which `recorder.ts` implements; `measured_store.ts` does it for the store.
 * States are read from the parts when Prometheus asks: `gauges.ts` lists them, and
 * `process_metrics.ts` has those of the process. No other part of the server knows Prometheus.
 *
 * Cost: an event is a few additions. A state costs nothing until Prometheus asks.
 *
 * To add a metric, add a line to `gauges.ts`, or a method to `Metrics` and its meter to
 * `recorder.ts`. Names follow Prometheus' conventions: base units (seconds, bytes), and `_total`
 * at the end of a counter. Document the metric in `docs/operations.md`: a test compares the lists.
 *
 * More files are here: `readiness.ts` has the checks of readiness, `loop_monitor.ts` measures how
 * long the event loop was blocked, and `log_writer.ts` writes the log.
 *
 * @module
 */
import { Gauge, Registry } from "prom-client";
import type { Metrics } from "../base/metrics.ts";
import { GAUGES, type Observed } from "./gauges.ts";
import { exportMetrics } from "./otel.ts";
import { addGauge, addProcessMetrics } from "./process_metrics.ts";
import { runChecks } from "./readiness.ts";
import { createRecorder } from "./recorder.ts";

export class PrometheusMetrics {
  readonly #registry = new Registry();
  /** Counts what the parts report. */
  readonly recorder: Metrics;

  /** @param version Of the server. */
  constructor(version: string) {
    this.recorder = createRecorder(this.#registry);
    new Gauge({
      name: "rollcall_build_info",
      help: "Always 1. The labels are the versions of Rollcall and Deno",
      labelNames: ["version", "deno"],
      registers: [this.#registry],
    }).set({ version, deno: Deno.version.deno }, 1);
    addProcessMetrics(this.#registry);
  }

  /** Adds the metrics that are read from the parts. Call it once, when the parts exist. */
  observe(parts: Observed): void {
    for (const { name, help, read } of GAUGES) {
      addGauge(this.#registry, name, help, () => read(parts));
    }
    new Gauge({
      name: "rollcall_ready",
      help: "1 while a check of /readyz succeeds, else 0",
      labelNames: ["check"],
      registers: [this.#registry],
      collect() {
        for (const [check, result] of Object.entries(runChecks(parts))) {
          this.set({ check }, result === "ok" ? 1 : 0);
        }
      },
    });
    exportMetrics(this.#registry);
  }

  /** The values of all metrics without labels, by name. Histograms are left out. */
  async values(): Promise<Readonly<Record<string, number>>> {
    const all: Record<string, number> = {};
    for (const { name, values } of await this.#registry.getMetricsAsJSON()) {
      const [only, ...more] = values;
      if (only === undefined || more.length > 0) continue;
      if (Object.keys(only.labels).length === 0) all[name] = only.value;
    }
    return all;
  }

  /** The values of one counter, each beside its labels. */
  async samples(
    name: string,
  ): Promise<readonly { readonly [label: string]: string | number }[]> {
    const values = (await this.#registry.getSingleMetric(name)?.get())?.values;
    return (values ?? []).map(({ labels, value }) => ({
      ...labels,
      count: value,
    }));
  }

  /** All metrics in Prometheus' text format, version 0.0.4. */
  async text(): Promise<string> {
    return await this.#registry.metrics();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }
}
