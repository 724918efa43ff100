/**
 * The probes: `/healthz` says whether the process works, `/readyz` whether it should get new
 * clients, and `/metrics` has the numbers.
 *
 * When `/healthz` fails, restart the process. When `/readyz` fails, send new clients to another
 * node; connections that are open stay open.
 *
 * @module
 */
import type { Admission } from "../access/admission.ts";
import type { Feed } from "../core/feed/feed.ts";
import type { Lease } from "../core/presence/lease.ts";
import type { LoopMonitor } from "../telemetry/loop_monitor.ts";
import type { PrometheusMetrics } from "../telemetry/prometheus.ts";
import { LOOP_STUCK_MS } from "./limits.ts";
import { problem } from "./problem.ts";

/** Each check is `"ok"`, or says what is wrong. */
type Checks = Readonly<
  Record<"database" | "notifications" | "lease" | "drain" | "load", string>
>;

export interface ReadinessDeps {
  readonly lease: Pick<Lease, "held" | "renewing">;
  readonly feed: Pick<Feed, "notificationsUp">;
  readonly drain: { readonly isDraining: boolean };
  readonly admission: Pick<Admission, "slotsInUse">;
}

/** Answers `GET /healthz`. It fails after the event loop was stuck, because no work was done meanwhile. */
export function health(loop: Pick<LoopMonitor, "lagMs">): Response {
  if (loop.lagMs < LOOP_STUCK_MS) return Response.json({ status: "ok" });
  const message = `the event loop was stuck for ${Math.round(loop.lagMs)} ms`;
  return problem(503, "stuck", message);
}

/** Answers `GET /readyz` with the result of every check. One that fails makes it 503. */
export function readiness(
  deps: ReadinessDeps,
  connectionsMax: number,
): Response {
  const checks = runChecks(deps, connectionsMax);
  const failed = Object.entries(checks).filter(([, result]) => result !== "ok");
  if (failed.length === 0) return Response.json({ status: "ready", checks });
  const message = failed.map(([name, result]) => `${name}: ${result}`)
    .join("; ");
  const body = { error: { code: "not_ready", message }, checks };
  return Response.json(body, { status: 503 });
}

function runChecks(
  { lease, feed, drain, admission }: ReadinessDeps,
  connectionsMax: number,
): Checks {
  return {
    database: lease.renewing ? "ok" : "the last heartbeat failed",
    notifications: feed.notificationsUp ? "ok" : "not connected",
    lease: lease.held ? "ok" : "expired",
    drain: drain.isDraining ? "this node is draining" : "ok",
    load: admission.slotsInUse < connectionsMax
      ? "ok"
      : "MAX_CONNECTIONS is reached",
  };
}

/** Answers `GET /metrics`. */
export async function metricsText(
  metrics: Pick<PrometheusMetrics, "text" | "contentType">,
): Promise<Response> {
  const headers = { "content-type": metrics.contentType };
  return new Response(await metrics.text(), { headers });
}
