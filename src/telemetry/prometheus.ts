/**
 * The numbers that operators look at, as Prometheus text.
 *
 * Names and units follow Prometheus' conventions: seconds, bytes, `_total` for counters. What
 * can be read when it is asked for is read then; only what would be gone by then is counted.
 *
 * @module
 */
import process from "node:process";
import { Counter, Gauge, Histogram, Registry } from "prom-client";
import type { Admission } from "../access/admission.ts";
import type { Subscriptions } from "../core/fanout/subscriptions.ts";
import type { Feed } from "../core/feed/feed.ts";
import type { Hub } from "../core/connections/hub.ts";
import type { Lease } from "../core/presence/lease.ts";
import type { LoopMonitor } from "./loop_monitor.ts";
import type { Metrics } from "../base/metrics.ts";
import type { Roster } from "../core/roster/roster.ts";

/** From a millisecond to ten seconds. */
const SECONDS = [
  0.001,
  0.0025,
  0.005,
  0.01,
  0.025,
  0.05,
  0.1,
  0.25,
  1,
  2.5,
  10,
];
const USERS = [1, 2, 5, 10, 25, 50, 100, 250, 500, 1_000];

export interface Observed {
  readonly hub: Hub;
  readonly subscriptions: Subscriptions;
  readonly roster: Roster;
  readonly feed: Feed;
  readonly lease: Lease;
  readonly admission: Admission;
  readonly loop: LoopMonitor;
}

export class PrometheusMetrics {
  readonly #registry = new Registry();
  readonly recorder: Metrics;

  constructor(version: string) {
    const transitions = this.#counter(
      "transitions_total",
      "Transitions that this node's writes brought about",
    );
    const batch = this.#histogram("apply_users", "Users in one write", USERS);
    const apply = this.#histogram("apply_seconds", "Time of one write");
    const announce = this.#histogram(
      "delivery_seconds",
      "Time from the event to the last send of the pass that tells of it, by version",
      SECONDS,
      ["version"],
    );
    const merged = this.#histogram(
      "diff_transitions",
      "Transitions merged into one version 2 difference",
      USERS,
    );
    const slow = this.#counter(
      "slow_consumers_total",
      "Connections given up because their peer does not read",
    );
    const lost = this.#counter(
      "handshakes_lost_total",
      "Sockets that were never opened; each may have cost a descriptor for good",
    );
    const refusals = this.#counter(
      "requests_refused_total",
      "HTTP requests, also for sockets, that were answered with 400 or above, by status",
      ["status"],
    );
    const closes = this.#counter(
      "closes_total",
      "Sockets that were ended, by close code and by who did so; 1006 is a connection that was cut",
      ["code", "by"],
    );
    this.recorder = {
      applied: (users, count, ms) => {
        batch.observe(users);
        apply.observe(ms / 1_000);
        transitions.inc(count);
      },
      delivered: (ms, version) => announce.observe({ version }, ms / 1_000),
      merged: (changes) => merged.observe(changes),
      slowConsumerDropped: () => slow.inc(),
      handshakeLost: () => lost.inc(),
      requestRefused: (status) => refusals.inc({ status }),
      closed: (code, by) => closes.inc({ code, by }),
    };
    new Gauge({
      name: "rollcall_build_info",
      help: "Always 1; the labels say what runs",
      labelNames: ["version", "deno"],
      registers: [this.#registry],
    }).set({ version, deno: Deno.version.deno }, 1);
  }

  /** Adds what is read from the parts themselves. */
  observe(deps: Observed): void {
    const { hub, subscriptions, roster, feed, lease, admission, loop } = deps;
    const gauges: [string, string, () => number][] = [
      [
        "v1_connections",
        "Connections of version 1",
        () => subscriptions.v1Connections.size,
      ],
      [
        "v2_connections",
        "Connections of version 2 that hear of everybody",
        () => subscriptions.followers.size,
      ],
      [
        "watchers",
        "Connections of version 2 that watch some users",
        () => subscriptions.watching,
      ],
      [
        "watched_ids",
        "Ids watched by all of them",
        () => subscriptions.watchedIds,
      ],
      [
        "sockets",
        "Sockets that are not gone, also those that are being closed",
        () => admission.sockets,
      ],
      [
        "slots_in_use",
        "Sockets that MAX_CONNECTIONS counts",
        () => admission.slotsInUse,
      ],
      ["users_local", "Users with a connection to this node", () => hub.size],
      [
        "users_online",
        "Users online in the cluster, as this node knows",
        () => roster.size,
      ],
      ["seq", "The newest transition that this node knows", () => roster.seq],
      [
        "feed_lag_transitions",
        "Transitions that this node has heard of and not read",
        () => feed.lag,
      ],
      [
        "fanout_lag_transitions",
        "How far the slowest connection is behind",
        () => subscriptions.lag(roster.ring.head),
      ],
      [
        "notifications_up",
        "1 while the listening connection is good",
        () => feed.listening ? 1 : 0,
      ],
      [
        "lease_remaining_seconds",
        "Time for which the lease is certain",
        () => lease.remainingMs / 1_000,
      ],
      [
        "event_loop_lag_seconds",
        "Longest wait for a turn in the last ten seconds",
        () => loop.lagMs / 1_000,
      ],
    ];
    for (const [name, help, read] of gauges) {
      this.#gauge(`rollcall_${name}`, help, read);
    }
    this.#gauge(
      "process_resident_memory_bytes",
      "Memory that the process holds",
      () => Deno.memoryUsage().rss,
    );
    const startedAt = Date.now() / 1_000;
    this.#gauge(
      "process_start_time_seconds",
      "When the process started, since 1970",
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

  /** Prometheus' text format, version 0.0.4. */
  async text(): Promise<string> {
    return await this.#registry.metrics();
  }

  get contentType(): string {
    return this.#registry.contentType;
  }

  #counter(name: string, help: string, labelNames: string[] = []): Counter {
    const registers = [this.#registry];
    return new Counter({
      name: `rollcall_${name}`,
      help,
      labelNames,
      registers,
    });
  }

  #histogram(
    name: string,
    help: string,
    buckets = SECONDS,
    labelNames: string[] = [],
  ): Histogram {
    const registers = [this.#registry];
    return new Histogram({
      name: `rollcall_${name}`,
      help,
      buckets,
      labelNames,
      registers,
    });
  }

  #gauge(name: string, help: string, read: () => number): void {
    const registers = [this.#registry];
    new Gauge({
      name,
      help,
      registers,
      collect() {
        this.set(read());
      },
    });
  }
}
