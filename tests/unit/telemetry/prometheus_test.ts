import { deepEqual } from "node:assert/strict";
import {
  V1Subscriber,
  V2Subscriber,
} from "../../../src/core/fanout/subscriber.ts";
import { Subscriptions } from "../../../src/core/fanout/subscriptions.ts";
import { Roster } from "../../../src/core/roster/roster.ts";
import { PrometheusMetrics } from "../../../src/telemetry/prometheus.ts";
import { liveConnection } from "../../support/fakes.ts";

/** Metrics of parts that do nothing, with these subscriptions. */
function metricsOf(subscriptions: Subscriptions): PrometheusMetrics {
  const metrics = new PrometheusMetrics("1.2.3");
  metrics.observe({
    ...{ subscriptions, roster: new Roster(), hub: { size: 0 } },
    feed: { lag: 0, notificationsUp: true },
    lease: { remainingMs: 1_500 },
    admission: { sockets: 0, slotsInUse: 0 },
    loop: { lagMs: 0 },
  });
  return metrics;
}

/** Values by name and labels. */
async function valuesOf(
  metrics: PrometheusMetrics,
): Promise<Map<string, number>> {
  const lines = (await metrics.text()).split("\n");
  return new Map(
    lines.filter((line) => line !== "" && !line.startsWith("#")).map((line) => {
      const at = line.lastIndexOf(" ");
      return [line.slice(0, at), Number(line.slice(at + 1))];
    }),
  );
}

Deno.test("v2_connections counts every version 2 connection, and watchers those of them that watch", async () => {
  const subscriptions = new Subscriptions();
  const { connection } = liveConnection(1, { version: 1 });
  subscriptions.addV1(new V1Subscriber(connection, 0));
  for (const scope of ["*", new Set([1, 2])] as const) {
    const { connection } = liveConnection(2, { version: 2 });
    subscriptions.addV2(new V2Subscriber(connection, scope));
  }
  const values = await valuesOf(metricsOf(subscriptions));
  deepEqual(
    ["v1_connections", "v2_connections", "watchers", "watched_ids"].map((
      name,
    ) => values.get(`rollcall_${name}`)),
    [1, 2, 1, 2],
  );
});

Deno.test("times are in seconds, and counters have their labels", async () => {
  const metrics = metricsOf(new Subscriptions());
  metrics.recorder.applied(3, 2, 250);
  metrics.recorder.delivered(20, 2);
  metrics.recorder.requestRefused(404);
  metrics.recorder.closed(1001, "server");
  const values = await valuesOf(metrics);
  deepEqual(
    [
      "rollcall_lease_remaining_seconds",
      "rollcall_apply_seconds_sum",
      "rollcall_apply_users_sum",
      "rollcall_transitions_total",
      'rollcall_delivery_seconds_sum{version="2"}',
      'rollcall_requests_refused_total{status="404"}',
      'rollcall_closes_total{code="1001",by="server"}',
    ].map((name) => values.get(name)),
    [1.5, 0.25, 3, 2, 0.02, 1, 1],
  );
});
