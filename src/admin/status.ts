/**
 * The status answers an incident's questions, as this node can: which nodes there are, what works,
 * who reads too slowly, what was refused and why, and the last warnings. With `?user=` also where
 * one user is connected.
 *
 * It asks the database for the other nodes and for the user, and does without if there is no answer
 * in time. Everything else is of this node alone, and costs one walk over its connections.
 *
 * @module
 */
import { excerpt } from "../base/cut_text.ts";
import { type Clock, within } from "../base/clock.ts";
import { messageOf } from "../base/message_of.ts";
import type { UserId, UserIds } from "../client/protocol/user_id.ts";
import type { Connection } from "../core/connections/connection.ts";
import type { Hub } from "../core/connections/hub.ts";
import type { Lease } from "../core/presence/lease.ts";
import { problem } from "../http/problem.ts";
import { hostName, type NodeRow, type Overview } from "../postgres/overview.ts";
import type { DatabaseWatch } from "../telemetry/database_watch.ts";
import type { PrometheusMetrics } from "../telemetry/prometheus.ts";
import { type Checked, runChecks } from "../telemetry/readiness.ts";
import type { RecentWarnings } from "../telemetry/recent_warnings.ts";
import type { Cordon } from "./cordon.ts";
import {
  SLOW_CONSUMERS_SHOWN_MAX,
  SNAPSHOTS_SHOWN_MAX,
  STATUS_DATABASE_MS,
} from "./limits.ts";

export interface StatusDeps extends Checked {
  readonly lease: Checked["lease"] & Pick<Lease, "nodeId">;
  readonly cordon: Pick<Cordon, "isCordoned" | "closesPerMinute">;
  readonly hub: Hub;
  readonly overview: Pick<Overview, "nodes" | "user">;
  readonly database: Pick<DatabaseWatch, "snapshots">;
  readonly metrics: Pick<PrometheusMetrics, "values" | "samples">;
  readonly warnings: Pick<RecentWarnings, "newestFirst">;
  readonly ids: UserIds;
  readonly clock: Clock;
  /** Of the server. */
  readonly version: string;
}

const NO_STORE = { "cache-control": "no-store" };

/** @param user The user to look for, as `?user=` names one. */
export async function answerStatus(
  deps: StatusDeps,
  user: string | undefined,
): Promise<Response> {
  const { ids } = deps;
  const userId = ids.parse(user);
  if (user !== undefined && userId === undefined) {
    const message = `user: expected ${ids.expected}, got ${excerpt(user)}`;
    return problem(400, "bad_user", message, NO_STORE);
  }
  const [local, cluster] = await Promise.all([
    readLocal(deps),
    readCluster(deps, userId),
  ]);
  return Response.json({ ...local, ...cluster }, { headers: NO_STORE });
}

async function readLocal(deps: StatusDeps) {
  const { lease, cordon, database, metrics, warnings, version } = deps;
  const checks = runChecks(deps);
  return {
    at: new Date(),
    node: {
      ...{ id: lease.nodeId, host: hostName(), pid: Deno.pid, version },
      isReady: Object.values(checks).every((result) => result === "ok"),
      checks,
      isCordoned: cordon.isCordoned,
      closesPerMinute: cordon.closesPerMinute,
    },
    metrics: await metrics.values(),
    closes: await metrics.samples("rollcall_closes_total"),
    refusals: await metrics.samples("rollcall_requests_refused_total"),
    slowConsumers: slowConsumers(deps.hub),
    snapshots: database.snapshots?.slice(0, SNAPSHOTS_SHOWN_MAX),
    warnings: warnings.newestFirst(),
  };
}

/** Connections with the most unsent bytes. */
function slowConsumers(hub: Hub) {
  const slow: { userId: UserId; version: 1 | 2; unsentBytes: number }[] = [];
  for (const { userId, version, bufferedBytes } of hub.connections()) {
    if (bufferedBytes === 0) continue;
    slow.push({ userId, version, unsentBytes: bufferedBytes });
  }
  return slow.sort((a, b) => b.unsentBytes - a.unsentBytes)
    .slice(0, SLOW_CONSUMERS_SHOWN_MAX);
}

/** What the database knows, or why it does not tell. */
async function readCluster(deps: StatusDeps, userId: UserId | undefined) {
  const { overview, clock } = deps;
  try {
    const [nodes, user] = await within(
      STATUS_DATABASE_MS,
      "the database",
      Promise.all([
        overview.nodes(),
        userId === undefined ? undefined : readUser(deps, userId),
      ]),
      clock,
    );
    return { nodes: nodes.map(describeNode), user };
  } catch (err) {
    return { databaseError: messageOf(err) };
  }
}

function describeNode({ isLeaving, isCordoned, ...node }: NodeRow) {
  const state = node.leaseSeconds <= 0
    ? "expired"
    : isLeaving
    ? "leaving"
    : isCordoned
    ? "cordoned"
    : "serving";
  return { ...node, state };
}

/** Where a user is. The connections are those to this node. */
async function readUser(
  { overview, hub, clock }: StatusDeps,
  userId: UserId,
) {
  const row = await overview.user(userId);
  const connections = hub.connectionsOf(userId);
  return {
    id: userId,
    username: row?.username,
    nodes: row?.nodes ?? [],
    changedAt: row?.changedAt,
    connections: connections.map((one) => describe(one, clock.now())),
  };
}

function describe(connection: Connection, now: number) {
  const { version, state, bufferedBytes, endsAt } = connection;
  return {
    ...{ version, state, unsentBytes: bufferedBytes },
    tokenExpiresInSeconds: Math.round((endsAt - now) / 1_000),
  };
}
