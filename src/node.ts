/**
 * A node: every part of the server above the database, built from the bottom to the top.
 *
 * From the bottom: the store (`postgres/`), the core (`core/`), access (`access/`), WebSockets
 * (`socket/`), what operators need (`operations.ts`), the demo (`demo/`), the routes (`http/`).
 * This is the only file that knows all parts. It decides nothing: it gives each part the parts that
 * it needs, starts them in this order, and stops them in the opposite one. The HTTP server is there
 * already (`listening.ts`).
 *
 * @module
 */
import project from "../deno.json" with { type: "json" };
import { Admission } from "./access/admission.ts";
import { GroupWriter } from "./access/group_writer.ts";
import { Eviction } from "./access/eviction.ts";
import { coalesced, disconnectUnlessWritten } from "./access/provision.ts";
import { cached } from "./access/token/token_cache.ts";
import { createVerifier, rejectingRevoked } from "./access/token/verifier.ts";
import { UnknownUsers } from "./access/unknown_users.ts";
import { logVerificationError } from "./access/verify.ts";
import { systemClock } from "./base/clock.ts";
import type { Log } from "./base/log.ts";
import type { Config } from "./config/config.ts";
import { hub } from "./core/connections/hub.ts";
import { type Core, createCore } from "./core/core.ts";
import type { Disconnect } from "./client/protocol/disconnect.ts";
import {
  INTEGER_IDS,
  type UserId,
  type UserIds,
} from "./client/protocol/user_id.ts";
import { createDemo, type Demo } from "./demo/demo.ts";
import { demoTeams } from "./demo/demo_teams.ts";
import { addUsers, onlineSince } from "./demo/demo_users.ts";
import { Drain } from "./drain.ts";
import { type App, createApp } from "./http/app.ts";
import { HTTP_STOP_MS, PART_STOP_MS } from "./limits.ts";
import type { Listening } from "./listening.ts";
import type { Access, Base, NodeStore } from "./node_parts.ts";
import { startOperations } from "./operations.ts";
import { SocketEndpoint } from "./socket/socket_endpoint.ts";
import { stopWithin } from "./stop_within.ts";
import { measured } from "./telemetry/measured_store.ts";
import { PrometheusMetrics } from "./telemetry/prometheus.ts";

export interface Node {
  /** Drains, then stops every part. Never rejects. */
  stop(): Promise<void>;
}

/**
 * Starts a node. When it cannot start, it stops the parts that it started and rejects: not the HTTP
 * server, which belongs to the node from its start on.
 *
 * @param listening Where the node serves.
 * @param store Belongs to the node from here on: the node closes it.
 * @param log Rate limited, because clients can cause lines.
 * @param ids The user ids of the store.
 * @param databaseUrl For demo mode, which writes and reads users by itself.
 */
export async function startNode(
  config: Config,
  listening: Listening,
  store: NodeStore,
  log: Log,
  ids: UserIds = INTEGER_IDS,
  databaseUrl?: string,
): Promise<Node> {
  await using parts = new AsyncDisposableStack();
  const base: Base = {
    ...{ config, listening, store, log, ids, clock: systemClock },
    groupsReadable: () => store.groupsReadable,
    metrics: new PrometheusMetrics(project.version),
    provisioning: config.autoProvision
      ? coalesced((...user) => store.provision(...user))
      : undefined,
    onStop: (part, stop, ms = PART_STOP_MS) =>
      parts.defer(() => stopWithin(ms, part, stop(), log)),
  };
  base.onStop("store", () => store.close());
  const { app, stop } = await startParts(base, databaseUrl);
  listening.serve(app);
  base.onStop("HTTP server", () => listening.stop(), HTTP_STOP_MS);
  base.onStop("sockets", () => listening.engine.stop());
  const started = parts.move();
  return {
    stop: async () => {
      await stop();
      await started.disposeAsync();
    },
  };
}

/**
 * Starts every part, in the order of what they need.
 *
 * @returns What answers the requests, and what precedes the stop of the parts.
 */
async function startParts(
  base: Base,
  databaseUrl: string | undefined,
): Promise<{ readonly app: App; readonly stop: () => Promise<void> }> {
  const { log } = base;
  const core = await startCore(base);
  const access = createAccess(base, core);
  const operations = startOperations(base, core, access);
  const endpoint = createSocketEndpoint(base, core, access);
  const demo = base.config.demo ? startDemo(base, databaseUrl) : undefined;
  const app = createApp({
    ...{ ...base, ...core, ...access, ...operations },
    ...{ demo: demo?.routes, version: project.version },
    groups: base.config.users.groups,
    openSocket: (request, address) => endpoint.open(request, address),
  });
  const stop = async () => {
    access.drain.begin();
    // Claims stay as they are from here on. The lease releases all of them in one write.
    await stopWithin(PART_STOP_MS, "presence", core.presence.stop(), log);
    if (demo !== undefined) {
      await stopWithin(PART_STOP_MS, "demo", demo.stop(), log);
    }
    await access.drain.run();
  };
  return { app, stop };
}

/** The core, and what closes connections of it that may not stay. */
type Evicting = Core & { readonly eviction: Eviction };

/** When this resolves, the node has a lease and its roster is complete. */
async function startCore(base: Base): Promise<Evicting> {
  const { config, store, clock, log, ids, metrics, provisioning, onStop } =
    base;
  const core: Core = createCore({
    ...config,
    ...{ compareIds: ids.compare, groups: config.users.groups },
    onRevoked: () => eviction.onRevoked(),
    onUnknown: provisioning && ((userId) => unknownUsers.handle(userId)),
    store: measured(store, metrics.recorder),
    ...{ hub, clock, log, metrics: metrics.recorder },
  });
  const { connections, fanout, lease, feed, presence } = core;
  const eviction = new Eviction({
    ...{ store, clock, log, connections, fanout },
    heartbeatMs: config.heartbeatMs,
    endGrace: (isRevoked) => presence.endGrace(isRevoked),
  });
  const unknownUsers = new UnknownUsers(
    { connections, log, rewriteUser: (userId) => rewriteUser(base, userId) },
    (userId) => presence.retry(userId),
  );
  onStop("fan-out", () => fanout.stop());
  onStop("eviction", () => eviction.stop());
  await lease.join();
  onStop("lease", () => lease.leave(config.drainGraceMs));
  await eviction.start();
  await feed.start();
  onStop("feed", () => feed.stop());
  return { ...core, eviction };
}

/** Writes the row of a user once more that the application has deleted since. */
function rewriteUser(
  { provisioning, log }: Base,
  userId: UserId,
): Promise<"written" | Disconnect> {
  const write = () =>
    provisioning?.rewrite(userId) ?? Promise.resolve(undefined);
  return disconnectUnlessWritten(userId, write, log);
}

function createAccess(
  { config, store, clock, log, ids, metrics }: Base,
  { connections, eviction }: Evicting,
): Access {
  const admission = new Admission(config.admission);
  const verifier = createVerifier(config.token, ids, {
    onFetched: () => metrics.recorder.keySetFetched(),
    onUnavailable: (err) => logVerificationError(log, err),
  });
  const { verify, known } = rejectingRevoked(
    cached(verifier),
    (tokenId) => eviction.isRevoked(tokenId),
  );
  const groupWriter = new GroupWriter({ store, log });
  const { drainMs } = config;
  const drain = new Drain({ connections, admission, clock, drainMs });
  return { admission, verify, known, groupWriter, drain };
}

function createSocketEndpoint(
  base: Base,
  core: Evicting,
  { admission, verify, known, groupWriter, drain }: Access,
): SocketEndpoint {
  const { config, clock, log, ids, metrics, provisioning, listening } = base;
  const { connections, roster, feed, fanout, eviction, presence } = core;
  return new SocketEndpoint({
    ...{ config, admission, verify, known, connections, roster, feed, fanout },
    ...{ clock, log, ids, metrics: metrics.recorder, groupWriter },
    provision: provisioning?.provision,
    draining: () => drain.isDraining,
    isRevoked: (tokenId) => eviction.isRevoked(tokenId),
    reread: (userId) => presence.reread(userId),
    upgrade: listening.engine.upgrade,
  });
}

function startDemo(
  { config, listening, clock, log, ids }: Base,
  databaseUrl: string | undefined,
): Demo {
  return createDemo({
    ...{ version: project.version, token: config.token, clock, log, ids },
    url: () => listening.url,
    addUsers: (...users) => addUsers(databaseUrl, ids, ...users),
    onlineSince: (limit) => onlineSince(databaseUrl, ids, limit),
    teams: config.demoTeams ? demoTeams(databaseUrl, ids) : undefined,
  });
}
