/**
 * The probes: `/healthz` says whether the process works, `/readyz` whether it should get new
 * clients, and `/metrics` has the numbers.
 *
 * When `/healthz` fails, restart the process. When `/readyz` fails, send new clients to another
 * node; connections that are open stay open.
 *
 * A process that has lost too many file descriptors does not get them back: `/readyz` fails first,
 * so that new clients go elsewhere, and `/healthz` a while later.
 *
 * @module
 */
import type { LoopMonitor } from "../telemetry/loop_monitor.ts";
import type { PrometheusMetrics } from "../telemetry/prometheus.ts";
import { type Checked, runChecks } from "../telemetry/readiness.ts";
import { LOOP_STUCK_MS, LOST_DESCRIPTORS_MS } from "./limits.ts";
import { problem } from "./problem.ts";

export interface ProbesDeps extends Checked {
  readonly loop: Pick<LoopMonitor, "lagMs">;
  readonly metrics: Pick<PrometheusMetrics, "text" | "contentType">;
}

export class Probes {
  readonly #deps: ProbesDeps;
  readonly #now: () => number;
  /** When a probe first found that too many descriptors are lost. */
  #lostSince: number | undefined;

  /** @param now Milliseconds. */
  constructor(deps: ProbesDeps, now = () => performance.now()) {
    this.#deps = deps;
    this.#now = now;
  }

  /**
   * Answers `GET /healthz`. It fails after the event loop was stuck, because no work was done
   * meanwhile, and where only a restart brings descriptors back.
   */
  health(): Response {
    const { lagMs } = this.#deps.loop;
    if (lagMs >= LOOP_STUCK_MS) {
      const message = `the event loop was stuck for ${Math.round(lagMs)} ms`;
      return problem(503, "stuck", message);
    }
    if (!this.#isLostForLong()) return Response.json({ status: "ok" });
    const { descriptors } = runChecks(this.#deps);
    const message = `${descriptors}, restart the process`;
    return problem(503, "descriptors_lost", message);
  }

  /** Answers `GET /readyz` with the result of every check. One that fails makes it 503. */
  readiness(): Response {
    this.#isLostForLong();
    const checks = runChecks(this.#deps);
    const failed = Object.entries(checks)
      .filter(([, result]) => result !== "ok");
    if (failed.length === 0) return Response.json({ status: "ready", checks });
    const message = failed.map(([name, result]) => `${name}: ${result}`)
      .join("; ");
    return problem(503, "not_ready", message, {}, { checks });
  }

  /** Answers `GET /metrics`. */
  async metrics(): Promise<Response> {
    const { metrics } = this.#deps;
    const headers = { "content-type": metrics.contentType };
    return new Response(await metrics.text(), { headers });
  }

  /** Counts the time from the first probe on that finds too many lost. */
  #isLostForLong(): boolean {
    if (!this.#deps.admission.hasLostTooMany) this.#lostSince = undefined;
    else this.#lostSince ??= this.#now();
    const since = this.#lostSince ?? Infinity;
    return this.#now() - since >= LOST_DESCRIPTORS_MS;
  }
}
