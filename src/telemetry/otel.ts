/**
 * What OpenTelemetry gets beside what Deno exports by itself: the routes of requests, and the
 * metrics.
 *
 * Deno exports only with `OTEL_DENO=true`. Without that, all of this costs a lookup for each
 * request, and nothing else.
 *
 * @module
 */
import { metrics, type Observable, trace } from "@opentelemetry/api";
import type { Registry } from "prom-client";

const meter = metrics.getMeter("rollcall");

/**
 * Names the span of the current request, which Deno names by its method alone. With the engine `ws`
 * Deno tells no handler which span that is, so there it keeps its name.
 *
 * @param findRoute Returns the path that the server has. `undefined` for any other.
 */
export function nameSpan(
  method: string,
  findRoute: () => string | undefined,
): void {
  const span = trace.getActiveSpan();
  const route = span && findRoute();
  if (span === undefined || route === undefined) return;
  span.updateName(`${method} ${route}`);
  span.setAttribute("http.route", route);
}

/** Exports the counters and gauges of a registry. Histograms are recorded as they are measured. */
export function exportMetrics(registry: Registry): void {
  const observables = new Map<string, Observable>();
  for (const { name, help, type } of registry.getMetricsAsArray()) {
    const options = { description: help };
    const kind = String(type);
    if (kind === "counter") {
      observables.set(name, meter.createObservableCounter(name, options));
    } else if (kind === "gauge") {
      observables.set(name, meter.createObservableGauge(name, options));
    }
  }
  meter.addBatchObservableCallback(async (result) => {
    for (const { name, values } of await registry.getMetricsAsJSON()) {
      const observable = observables.get(name);
      if (observable === undefined) continue;
      for (const { value, labels } of values) {
        // Numbers would become attributes of another type.
        const texts = Object.entries(labels).map(([name, label]) =>
          [name, String(label)] as const
        );
        result.observe(observable, value, Object.fromEntries(texts));
      }
    }
  }, [...observables.values()]);
}

/** Records a measurement of a histogram with these bounds. */
export function recorderOf(
  name: string,
  help: string,
  bounds: readonly number[],
): (value: number, labels: Readonly<Record<string, string>>) => void {
  const histogram = meter.createHistogram(name, {
    description: help,
    advice: { explicitBucketBoundaries: [...bounds] },
  });
  return (value, labels) => histogram.record(value, labels);
}
