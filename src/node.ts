/**
 * A node: every part of the server above the database, built from the bottom to the top.
 *
 * From the bottom: the store (`postgres/`), the core (`core/`), access (`access/`), WebSockets
 * (`socket/`), the demo (`demo/`), the routes and the HTTP server (`http/`). `telemetry/` measures
 * all of them. This is the only file that knows all parts. It decides nothing: it gives each part
 * the parts that it needs, starts them in this order, and stops them in the opposite one. Only the
 * port is taken first, before the node joins the others.
 *
 * @module
 */
import project from "../deno.json" with { type: "json" };
import { Admission } from "./access/admission.ts";
import { clientAddress } from "./access/client_address.ts";
import {
  coalesced,
  disconnectUnlessWritten,
  type Provision,
  type Provisioning,
} from "./access/provision.ts";
import { cached } from "./access/token/token_cache.ts";
import {
  createVerifier,
  rejectingRevoked,
  type Verify,
  type VerifyCached,
} from "./access/token/verifier.ts";
import { logVerificationError } from "./access/verify.ts";
import { type Clock, systemClock } from "./base/clock.ts";
import type { Log } from "./base/log.ts";
import type { Config } from "./config/config.ts";
import { hub } from "./core/connections/hub.ts";
import { type Core, type CoreDeps, createCore } from "./core/core.ts";
import type { Store } from "./core/store/store.ts";
import { INTEGER_IDS, type UserIds } from "./client/protocol/user_id.ts";
import { createDemo, type Demo } from "./demo/demo.ts";
import { addUsers, onlineSince } from "./demo/demo_users.ts";
import { Drain } from "./drain.ts";
import type { FindUsers } from "./http/known_users.ts";
import { type App, createApp } from "./http/app.ts";
import { starting } from "./http/problem.ts";
import { HTTP_STOP_MS, PART_STOP_MS } from "./limits.ts";
import { SocketEndpoint } from "./socket/socket_endpoint.ts";
import { loadSocketEngine, type SocketEngine } from "./socket_engine.ts";
import { stopWithin } from "./stop_within.ts";
import type { Overview } from "./postgres/overview.ts";
import { DatabaseWatch } from "./telemetry/database_watch.ts";
import { LoopMonitor } from "./telemetry/loop_monitor.ts";
import { measured } from "./telemetry/measured_store.ts";
import { PrometheusMetrics } from "./telemetry/prometheus.ts";

export interface Node {
  /** Where it listens, with a slash at the end. */
  readonly url: string;
  /** Drains, then stops every part. Never rejects. */
  stop(): Promise<void>;
}

/** A store with database connections of its own, that can also write rows of users. */
export interface NodeStore extends Store {
  readonly provision: Provision;
  readonly findUsers: FindUsers;
  readonly overview: Pick<
    Overview,
    "nodes" | "user" | "database" | "report"
  >;
  close(): Promise<void>;
}

/** What exists before the first part is built. */
interface Base {
  readonly config: Config;
  readonly store: NodeStore;
  readonly log: Log;
  readonly ids: UserIds;
  readonly clock: Clock;
  readonly metrics: PrometheusMetrics;
  readonly engine: SocketEngine;
  /** `undefined` if the operator does not want users to be written. */
  readonly provisioning: Provisioning | undefined;
  /** Registers how to stop a part. Parts stop in the reverse order of their registration. */
  readonly onStop: (
    part: string,
    stop: () => Promise<void>,
    ms?: number,
  ) => void;
}

/**
 * Starts a node. When it cannot start, it stops the parts that it started and rejects.
 *
 * @param store Belongs to the node from here on: the node closes it.
 * @param log Rate limited, because clients can cause lines.
 * @param ids The user ids of the store.
 * @param databaseUrl For demo mode, which writes and reads users by itself.
 * @throws {StartError} when it cannot listen on `HOST` and `PORT`.
 */
export async function startNode(
  config: Config,
  store: NodeStore,
  log: Log,
  ids: UserIds = INTEGER_IDS,
  databaseUrl?: string,
): Promise<Node> {
  useVectoredWrites();
  await using parts = new AsyncDisposableStack();
  const base: Base = {
    ...{ config, store, log, ids, clock: systemClock },
    metrics: new PrometheusMetrics(project.version),
    engine: await loadSocketEngine(config.socketEngine, systemClock),
    provisioning: config.autoProvision
      ? coalesced((...user) => store.provision(...user))
      : undefined,
    onStop: (part, stop, ms = PART_STOP_MS) =>
      parts.defer(() => stopWithin(ms, part, stop(), log)),
  };
  base.onStop("store", () => store.close());
  const server = await listen(base);
  try {
    const { app, stop } = await startParts(base, server.url, databaseUrl);
    server.serve(app);
    base.onStop("HTTP server", server.stop, HTTP_STOP_MS);
    base.onStop("sockets", () => base.engine.stop());
    const started = parts.move();
    return {
      url: server.url,
      stop: async () => {
        await stop();
        await started.disposeAsync();
      },
    };
  } catch (err) {
    await stopWithin(HTTP_STOP_MS, "HTTP server", server.stop(), log);
    throw err;
  }
}

/** A server that has its port, and what it answers once the node has started. */
interface Listening {
  /** Where it listens, with a slash at the end. */
  readonly url: string;
  serve(app: App): void;
  readonly stop: () => Promise<void>;
}

/**
 * Takes the port. A node that cannot have it must not join the cluster: it would take part in the
 * work of the others, and its lease would have to be ended again. Until the node has started, every
 * request is answered with 503.
 */
async function listen(
  { config, clock, log, engine }: Base,
): Promise<Listening> {
  const addressOf = clientAddress(config.trustedProxies, (peer) => {
    log.warn({ peer }, "X-Forwarded-For of a peer outside TRUSTED_PROXIES");
  });
  let app: App = () => Promise.resolve(starting());
  const http = await engine.listen({
    ...{ ...config, clock, log },
    handle: (request, peer) => app(request, addressOf(peer, request.headers)),
  });
  return {
    url: http.url,
    serve: (started) => app = started,
    stop: () => http.stop(),
  };
}

/**
 * Starts every part, in the order of what they need.
 *
 * @returns What answers the requests, and what precedes the stop of the parts.
 */
async function startParts(
  base: Base,
  url: string,
  databaseUrl: string | undefined,
): Promise<{ readonly app: App; readonly stop: () => Promise<void> }> {
  const { log } = base;
  const core = await startCore(base);
  const loop = startLoopMonitor(base);
  const database = startDatabaseWatch(base);
  const access = createAccess(base, core);
  base.metrics.observe({
    ...core,
    ...access,
    hub,
    loop,
    database,
    limits: base.config,
  });
  const endpoint = createSocketEndpoint(base, core, access);
  const demo = base.config.demo
    ? startDemo(base, databaseUrl, () => url)
    : undefined;
  const app = createApp({
    ...{ ...base, ...core, ...access, loop, demo: demo?.routes },
    version: project.version,
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

/**
 * Deno reads this variable once, at the first upgrade. Without it, each socket keeps a buffer as
 * large as the largest message that was sent to it.
 */
function useVectoredWrites(): void {
  Deno.env.set("DENO_USE_WRITEV", "1");
}

/** When this resolves, the node has a lease and its roster is complete. */
async function startCore(base: Base): Promise<Core> {
  const { config, store, clock, log, ids, metrics, onStop } = base;
  const core = createCore({
    ...config,
    compareIds: ids.compare,
    rewriteUser: rewriteUser(base),
    store: measured(store, metrics.recorder),
    ...{ hub, clock, log, metrics: metrics.recorder },
  });
  const { fanout, eviction, lease, feed } = core;
  onStop("fan-out", () => fanout.stop());
  onStop("eviction", () => eviction.stop());
  await lease.join();
  onStop("lease", () => lease.leave(config.drainGraceMs));
  await eviction.start();
  await feed.start();
  onStop("feed", () => feed.stop());
  return core;
}

/** Writes the row of a user once more that the application has deleted since. */
function rewriteUser({ provisioning, log }: Base): CoreDeps["rewriteUser"] {
  return provisioning && ((userId) => {
    const write = () => provisioning.rewrite(userId);
    return disconnectUnlessWritten(userId, write, log);
  });
}

function startLoopMonitor({ onStop }: Base): LoopMonitor {
  const loop = new LoopMonitor();
  loop.start();
  onStop("loop monitor", () => Promise.resolve(loop.stop()));
  return loop;
}

function startDatabaseWatch(
  { store, clock, log, onStop }: Base,
): DatabaseWatch {
  const read = () => store.overview.database();
  const database = new DatabaseWatch({ read, clock, log });
  database.start();
  onStop("database watch", () => Promise.resolve(database.stop()));
  return database;
}

/** What decides whether a socket may open. */
interface Access {
  readonly admission: Admission;
  readonly verify: Verify;
  readonly known: VerifyCached["known"];
  readonly drain: Drain;
}

function createAccess(
  { config, clock, log, ids, metrics }: Base,
  { connections, eviction }: Core,
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
  const { drainMs } = config;
  const drain = new Drain({ connections, admission, clock, drainMs });
  return { admission, verify, known, drain };
}

function createSocketEndpoint(
  base: Base,
  core: Core,
  { admission, verify, known, drain }: Access,
): SocketEndpoint {
  const { config, clock, log, ids, metrics, provisioning, engine } = base;
  const { connections, roster, feed, fanout, eviction } = core;
  return new SocketEndpoint({
    ...{ config, admission, verify, known, connections, roster, feed, fanout },
    ...{ clock, log, ids, metrics: metrics.recorder },
    provision: provisioning?.provision,
    draining: () => drain.isDraining,
    isRevoked: (tokenId) => eviction.isRevoked(tokenId),
    upgrade: engine.upgrade,
  });
}

function startDemo(
  { config, clock, log, ids }: Base,
  databaseUrl: string | undefined,
  url: () => string,
): Demo {
  return createDemo({
    ...{ token: config.token, clock, log, ids, url },
    addUsers: (...users) => addUsers(databaseUrl, ids, ...users),
    onlineSince: (limit) => onlineSince(databaseUrl, ids, limit),
  });
}
