import { deepEqual, equal, ok } from "node:assert/strict";
import { Admission } from "../../../src/access/admission.ts";
import {
  V1Subscriber,
  V2Subscriber,
} from "../../../src/core/fanout/subscriber.ts";
import {
  DISCONNECT,
  withDetail,
} from "../../../src/client/protocol/disconnect.ts";
import { WATCHED_IDS_MAX } from "../../../src/core/fanout/limits.ts";
import { Subscriptions } from "../../../src/core/fanout/subscriptions.ts";
import { Roster } from "../../../src/core/roster/roster.ts";
import { PrometheusMetrics } from "../../../src/telemetry/prometheus.ts";
import { liveConnection } from "../../support/fakes.ts";

const limits = {
  admission: {
    ...{ connectionsMax: 3, connectionsPerUserMax: 1 },
    ...{ connectionsPerAddressMax: 1, newConnectionsPerSecondMax: 5 },
    failedTokensPerMinuteMax: 1,
  },
  ...{ fanout: { stateUsersMax: 7 }, leaseMs: 9_000 },
};

/** Metrics of parts that do nothing, with these subscriptions. */
function metricsOf(subscriptions: Subscriptions): PrometheusMetrics {
  const metrics = new PrometheusMetrics("1.2.3");
  metrics.observe({
    groupsReadable: () => undefined,
    ...{ subscriptions, roster: new Roster(), hub: { size: 0 } },
    feed: { lag: 0, notificationsUp: false },
    lease: { remainingMs: 1_500, held: true, renewing: true },
    presence: { unwritten: 4 },
    database: { copiesDue: undefined, snapshots: undefined },
    admission: new Admission(limits.admission),
    ...{ loop: { lagMs: 0 }, drain: { isDraining: false }, limits },
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
  const subscriptions = new Subscriptions(new Roster());
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
  const metrics = metricsOf(new Subscriptions(new Roster()));
  metrics.recorder.applied(3, 2, 250);
  metrics.recorder.delivered(20, 2);
  metrics.recorder.requestRefused(503, "full");
  metrics.recorder.closed(DISCONNECT.serverGoingAway, "server");
  const { tokenClaimInvalid } = DISCONNECT;
  metrics.recorder.closed(withDetail(tokenClaimInvalid, "a", "b"), "server");
  metrics.recorder.connected(2);
  const values = await valuesOf(metrics);
  deepEqual(
    [
      "rollcall_lease_remaining_seconds",
      "rollcall_apply_seconds_sum",
      "rollcall_apply_users_sum",
      "rollcall_transitions_total",
      'rollcall_delivery_seconds_sum{version="2"}',
      'rollcall_requests_refused_total{status="503",reason="full"}',
      'rollcall_closes_total{code="1001",by="server",reason="server going away"}',
      'rollcall_closes_total{code="1008",by="server",reason="token claim <claim>: expected <what>"}',
      'rollcall_connections_opened_total{version="2"}',
    ].map((name) => values.get(name)),
    [1.5, 0.25, 3, 2, 0.02, 1, 1, 1, 1],
  );
});

Deno.test("limits are beside the values that they bound", async () => {
  const values = await valuesOf(metricsOf(new Subscriptions(new Roster())));
  deepEqual(
    [
      ...["connections_max", "new_connections_per_second_max"],
      ...["state_users_max", "lease_seconds", "watched_ids_max"],
    ].map((name) => values.get(`rollcall_${name}`)),
    [3, 5, 7, 9, WATCHED_IDS_MAX],
  );
  const memory = values.get("rollcall_memory_max_bytes") ?? 0;
  ok(memory > (values.get("process_resident_memory_bytes") ?? Infinity));
  const descriptors = values.get("process_max_fds") ?? 0;
  ok(descriptors > (values.get("process_open_fds") ?? Infinity));
});

Deno.test("each check of readiness is a metric, 0 while it fails", async () => {
  const values = await valuesOf(metricsOf(new Subscriptions(new Roster())));
  const ready = [...values].filter(([name]) => /^rollcall_ready/.test(name));
  deepEqual(
    ready.filter(([, value]) => value !== 1),
    [['rollcall_ready{check="notifications"}', 0]],
  );
  ok(ready.length > 4);
});

Deno.test("a value that is not known yet has no sample", async () => {
  const metrics = metricsOf(new Subscriptions(new Roster()));
  const age = "rollcall_key_set_age_seconds";
  equal((await valuesOf(metrics)).has(age), false);
  metrics.recorder.keySetFetched();
  ok(((await valuesOf(metrics)).get(age) ?? Infinity) < 60);
});
