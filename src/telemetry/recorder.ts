/**
 * The recorder counts and measures what the parts report as it happens.
 *
 * @module
 */
import { Counter, Histogram, type Registry } from "prom-client";
import type { Metrics } from "../base/metrics.ts";

// deno-fmt-ignore
/** Buckets for times: from one millisecond to ten seconds. */
const SECONDS = [0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 2.5, 10];
/** Buckets for numbers of users and of transitions. */
const USERS = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000];

/** Adds its metrics to the registry. */
export function createRecorder(registry: Registry): Metrics {
  return { ...presenceMetrics(registry), ...socketMetrics(registry) };
}

function presenceMetrics(
  registry: Registry,
): Pick<Metrics, "applied" | "delivered" | "merged"> {
  const registers = [registry];
  const transitions = new Counter({
    name: "rollcall_transitions_total",
    help: "Transitions caused by this node's writes",
    registers,
  });
  const applyUsers = new Histogram({
    name: "rollcall_apply_users",
    help: "Users in one write of presence",
    ...{ buckets: USERS, registers },
  });
  const applySeconds = new Histogram({
    name: "rollcall_apply_seconds",
    help: "Time of one write of presence",
    ...{ buckets: SECONDS, registers },
  });
  const delivery = new Histogram({
    name: "rollcall_delivery_seconds",
    help:
      "Time from an event until it was sent to every connection that can receive, by protocol version",
    ...{ buckets: SECONDS, labelNames: ["version"], registers },
  });
  const diffTransitions = new Histogram({
    name: "rollcall_diff_transitions",
    help: "Transitions merged into one presence_diff",
    ...{ buckets: USERS, registers },
  });
  return {
    applied: (users, count, ms) => {
      applyUsers.observe(users);
      applySeconds.observe(ms / 1_000);
      transitions.inc(count);
    },
    delivered: (ms, version) => delivery.observe({ version }, ms / 1_000),
    merged: (changes) => diffTransitions.observe(changes),
  };
}

function socketMetrics(
  registry: Registry,
): Pick<
  Metrics,
  "slowConsumerDropped" | "handshakeLost" | "requestRefused" | "closed"
> {
  const registers = [registry];
  const slowConsumers = new Counter({
    name: "rollcall_slow_consumers_total",
    help: "Connections closed because their peer does not read",
    registers,
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
      "HTTP requests and WebSocket handshakes answered with a status of 400 or above, by status",
    ...{ labelNames: ["status"], registers },
  });
  const closes = new Counter({
    name: "rollcall_closes_total",
    help:
      "Closed sockets, by close code and by the side that closed. 1006: the connection was cut. 4000: any other code of a client",
    ...{ labelNames: ["code", "by"], registers },
  });
  return {
    slowConsumerDropped: () => slowConsumers.inc(),
    handshakeLost: () => handshakesLost.inc(),
    requestRefused: (status) => requestsRefused.inc({ status }),
    closed: (code, by) => closes.inc({ code, by }),
  };
}
