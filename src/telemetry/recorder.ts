/**
 * The recorder counts and measures what the parts report as it happens.
 *
 * @module
 */
import { Counter, Histogram, type Registry } from "prom-client";
import type { Metrics } from "../base/metrics.ts";
import { recorderOf } from "./otel.ts";
import { addGauge } from "./process_metrics.ts";

// deno-fmt-ignore
/** Buckets for times: from one millisecond to ten seconds. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10];
/** Buckets for numbers of users and of transitions. */
const USERS = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000];

/** Adds its metrics to the registry. */
export function createRecorder(registry: Registry): Metrics {
  return {
    ...presenceMetrics(registry),
    ...databaseMetrics(registry),
    ...deliveryMetrics(registry),
    ...socketMetrics(registry),
    ...keySetMetrics(registry),
  };
}

function presenceMetrics(
  registry: Registry,
): Pick<Metrics, "applied" | "writeFailed"> {
  const registers = [registry];
  const transitions = new Counter({
    name: "rollcall_transitions_total",
    help: "Transitions caused by this node's writes",
    registers,
  });
  const applyUsers = addHistogram(registry, {
    name: "rollcall_apply_users",
    help: "Users in one write of presence",
    buckets: USERS,
  });
  const applySeconds = addHistogram(registry, {
    name: "rollcall_apply_seconds",
    help: "Time of one write of presence",
    buckets: SECONDS,
  });
  const failures = new Counter({
    name: "rollcall_apply_failures_total",
    help: "Writes of presence that failed, and are tried again",
    registers,
  });
  return {
    applied: (users, count, ms) => {
      applyUsers(users);
      applySeconds(ms / 1_000);
      transitions.inc(count);
    },
    writeFailed: () => failures.inc(),
  };
}

function databaseMetrics(
  registry: Registry,
): Pick<Metrics, "leaseRenewed" | "leaseLost" | "notificationsReconnected"> {
  const registers = [registry];
  const renewals = addHistogram(registry, {
    name: "rollcall_heartbeat_seconds",
    help: "Time of one renewal of the lease",
    buckets: SECONDS,
  });
  const lost = new Counter({
    name: "rollcall_leases_lost_total",
    help: "Leases that ended before they were renewed",
    registers,
  });
  const reconnects = new Counter({
    name: "rollcall_notification_reconnects_total",
    help: "Notification connections that replaced one that was lost",
    registers,
  });
  return {
    leaseRenewed: (ms) => renewals(ms / 1_000),
    leaseLost: () => lost.inc(),
    notificationsReconnected: () => reconnects.inc(),
  };
}

function deliveryMetrics(
  registry: Registry,
): Pick<
  Metrics,
  "changed" | "delivered" | "merged" | "slowConsumerDropped"
> {
  const delivery = addHistogram(registry, {
    name: "rollcall_delivery_seconds",
    help:
      "Time from an event until it was sent to every connection that can receive, by protocol version",
    ...{ buckets: SECONDS, labelNames: ["version"] },
  });
  const viewers = addHistogram(registry, {
    name: "rollcall_transition_connections",
    help:
      "Connections of this node that may see a transition, without watchers",
    buckets: USERS,
  });
  const diffTransitions = addHistogram(registry, {
    name: "rollcall_diff_transitions",
    help: "Transitions merged into one presence_diff",
    buckets: USERS,
  });
  const slowConsumers = new Counter({
    name: "rollcall_slow_consumers_total",
    help: "Connections closed because their peer does not read",
    registers: [registry],
  });
  return {
    delivered: (ms, version) =>
      delivery(ms / 1_000, { version: String(version) }),
    changed: (connections) => viewers(connections),
    merged: (changes) => diffTransitions(changes),
    slowConsumerDropped: () => slowConsumers.inc(),
  };
}

function socketMetrics(
  registry: Registry,
): Pick<
  Metrics,
  "connected" | "closed" | "handshakeLost" | "requestRefused"
> {
  const registers = [registry];
  const connected = new Counter({
    name: "rollcall_connections_opened_total",
    help: "Connections that began, by protocol version",
    ...{ labelNames: ["version"], registers },
  });
  const closes = new Counter({
    name: "rollcall_closes_total",
    help:
      "Closed sockets, by close code, reason, and the side that closed. 1006: the connection was cut. 4000: any other code of a client",
    ...{ labelNames: ["code", "by", "reason"], registers },
  });
  const handshakesLost = new Counter({
    name: "rollcall_handshakes_lost_total",
    help:
      "Sockets whose peer left before they were open. Deno may never free their file descriptors",
    registers,
  });
  const requestsRefused = new Counter({
    name: "rollcall_requests_refused_total",
    help:
      "HTTP requests and WebSocket handshakes answered with a status of 400 or above, by status and code of the error",
    ...{ labelNames: ["status", "reason"], registers },
  });
  return {
    connected: (version) => connected.inc({ version }),
    closed: ({ code, reason, template = reason }, by) =>
      closes.inc({ code, by, reason: template }),
    handshakeLost: () => handshakesLost.inc(),
    requestRefused: (status, reason) => requestsRefused.inc({ status, reason }),
  };
}

function keySetMetrics(registry: Registry): Pick<Metrics, "keySetFetched"> {
  let fetchedAt: number | undefined;
  addGauge(
    registry,
    "rollcall_key_set_age_seconds",
    "Time since the issuer's key set was last fetched",
    () =>
      fetchedAt === undefined
        ? undefined
        : (performance.now() - fetchedAt) / 1_000,
  );
  return { keySetFetched: () => void (fetchedAt = performance.now()) };
}

/** Adds a histogram, and returns what records a measurement with the values of the labels. */
function addHistogram(
  registry: Registry,
  { name, help, buckets, labelNames = [] }: {
    readonly name: string;
    readonly help: string;
    readonly buckets: readonly number[];
    readonly labelNames?: readonly string[];
  },
): (value: number, labels?: Readonly<Record<string, string>>) => void {
  const histogram = new Histogram({
    ...{ name, help, registers: [registry] },
    ...{ buckets: [...buckets], labelNames: [...labelNames] },
  });
  const record = recorderOf(name, help, buckets);
  return (value, labels = {}) => {
    histogram.observe(labels, value);
    record(value, labels);
  };
}
