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
import type { Admission } from "../access/admission.ts";
import type { Feed } from "../core/feed/feed.ts";
import type { Lease } from "../core/presence/lease.ts";
import type { LoopMonitor } from "../telemetry/loop_monitor.ts";
import type { PrometheusMetrics } from "../telemetry/prometheus.ts";
import { LOOP_STUCK_MS, LOST_DESCRIPTORS_MS } from "./limits.ts";
import { problem } from "./problem.ts";

/** Each check is `"ok"`, or says what is wrong. */
type Checks = Readonly<
  Record<
    "database" | "notifications" | "lease" | "drain" | "load" | "descriptors",
    string
  >
>;

export interface ProbesDeps {
  readonly lease: Pick<Lease, "held" | "renewing">;
  readonly feed: Pick<Feed, "notificationsUp">;
  readonly drain: { readonly isDraining: boolean };
  readonly admission: Pick<
    Admission,
    "isFull" | "socketsLost" | "hasLostTooMany"
  >;
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
    const message = `${this.#lostDescriptors()}, restart the process`;
    return problem(503, "descriptors_lost", message);
  }

  /** Answers `GET /readyz` with the result of every check. One that fails makes it 503. */
  readiness(): Response {
    const checks = this.#runChecks();
    const failed = Object.entries(checks)
      .filter(([, result]) => result !== "ok");
    if (failed.length === 0) return Response.json({ status: "ready", checks });
    const message = failed.map(([name, result]) => `${name}: ${result}`)
      .join("; ");
    const body = { error: { code: "not_ready", message }, checks };
    return Response.json(body, { status: 503 });
  }

  /** Answers `GET /metrics`. */
  async metrics(): Promise<Response> {
    const { metrics } = this.#deps;
    const headers = { "content-type": metrics.contentType };
    return new Response(await metrics.text(), { headers });
  }

  #runChecks(): Checks {
    const { lease, feed, drain, admission } = this.#deps;
    this.#isLostForLong();
    return {
      database: lease.renewing ? "ok" : "the last heartbeat failed",
      notifications: feed.notificationsUp ? "ok" : "not connected",
      lease: lease.held ? "ok" : "expired",
      drain: drain.isDraining ? "this node is draining" : "ok",
      load: admission.isFull ? "MAX_CONNECTIONS is reached" : "ok",
      descriptors: admission.hasLostTooMany ? this.#lostDescriptors() : "ok",
    };
  }

  /** Counts the time from the first probe on that finds too many lost. */
  #isLostForLong(): boolean {
    if (!this.#deps.admission.hasLostTooMany) this.#lostSince = undefined;
    else this.#lostSince ??= this.#now();
    const since = this.#lostSince ?? Infinity;
    return this.#now() - since >= LOST_DESCRIPTORS_MS;
  }

  #lostDescriptors(): string {
    return `${this.#deps.admission.socketsLost} file descriptors are lost`;
  }
}
