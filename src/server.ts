/**
 * The server: the only file that names every part. It builds them in order and takes them
 * down in the opposite one.
 *
 * @module
 */
import project from "../deno.json" with { type: "json" };
import { Admission } from "./access/admission.ts";
import { createVerifier, rejectingRevoked } from "./access/token/verifier.ts";
import { clientAddress } from "./access/client_address.ts";
import { systemClock, within } from "./base/clock.ts";
import type { Config } from "./config/config.ts";
import { createCore } from "./core/core.ts";
import { DATA_DIRECTORY } from "./embedded/data_directory.ts";
import { createApp, type Readiness } from "./http/app.ts";
import { createDemo, DEMO_USERS } from "./demo/demo.ts";
import { SocketEndpoint } from "./socket/socket_endpoint.ts";
import { hub } from "./core/connections/hub.ts";
import {
  DRAIN_SETTLE_MS,
  HTTP_STOP_MS,
  ORDERLY_STOP_MS,
  PART_STOP_MS,
} from "./limits.ts";
import { type Log, rateLimited } from "./base/log.ts";
import { HttpServer } from "./http/http_server.ts";
import { LoopMonitor } from "./telemetry/loop_monitor.ts";
import { PrometheusMetrics } from "./telemetry/prometheus.ts";
import type { Connections } from "./core/connections/connections.ts";
import { coalesced, type Provision } from "./access/provision.ts";
import { DISCONNECT } from "./protocol/disconnect.ts";
import { migrateDatabase } from "./postgres/migrate.ts";
import { PostgresStore } from "./postgres/postgres_store.ts";
import type { Store } from "./core/store/store.ts";
import { addUsers, onlineSince } from "./demo/demo_users.ts";
import { cached } from "./access/token/token_cache.ts";

export interface Server {
  /** Where it listens. */
  readonly url: string;
  /** Drains, leaves and stops; over within ten seconds whatever a peer or the database does. */
  stop(): Promise<void>;
}

/** A store with connections of its own, that can make users. */
export interface ServerStore extends Store {
  readonly provision: Provision;
  close(): Promise<void>;
}

/** The database that a server uses, and how to stop it if it is our own. */
interface Database {
  readonly url: string | undefined;
  stop(): Promise<void>;
}

/** @throws {StartError} for a fault of the configuration or of what it names. */
export async function startServer(config: Config, log: Log): Promise<Server> {
  const database = await openDatabase(config, log);
  try {
    const applied = await migrateDatabase(database.url, log);
    if (applied.length > 0) log.info({ applied }, "schema updated");
    if (config.demo) await addUsers(database.url, DEMO_USERS);
    const store = new PostgresStore(database.url, rateLimited(log));
    const node = await startNode(config, store, log, database.url);
    return {
      url: node.url,
      stop: async () => {
        await settled(log, "node", ORDERLY_STOP_MS, node.stop());
        await database.stop();
      },
    };
  } catch (err) {
    await database.stop();
    throw err;
  }
}

async function openDatabase(config: Config, log: Log): Promise<Database> {
  if (config.database.kind === "external") {
    return { url: config.database.url, stop: async () => {} };
  }
  // Not loaded where it is not used: it needs write and run permission, and 60 MB.
  const { startEmbedded } = await import("./embedded/embedded.ts");
  return await startEmbedded(DATA_DIRECTORY, log);
}

/**
 * Deno reads this once, at the first upgrade. Without it each socket keeps a buffer as large as
 * the largest message that it was ever sent.
 */
function sendWithoutCopies(): void {
  Deno.env.set("DENO_USE_WRITEV", "1");
}

/** Everything above the store, which it closes in the end. Demo mode needs the database's URL. */
export async function startNode(
  config: Config,
  store: ServerStore,
  log: Log,
  databaseUrl?: string,
): Promise<Server> {
  sendWithoutCopies();
  await using building = new AsyncDisposableStack();
  const stopLater = (part: string, ms: number, stop: () => Promise<void>) =>
    building.defer(() => settled(log, part, ms, stop()));
  const clock = systemClock;

  stopLater("store", PART_STOP_MS, () => store.close());

  const metrics = new PrometheusMetrics(project.version);
  const core = createCore({
    ...config,
    ...{ hub, store, clock, log: rateLimited(log), metrics: metrics.recorder },
  });
  const { connections, roster, feed, lease } = core;
  const { presence, fanout, eviction } = core;
  stopLater("fan-out", PART_STOP_MS, () => fanout.stop());
  stopLater("eviction", PART_STOP_MS, () => eviction.stop());

  await lease.join();
  stopLater("lease", PART_STOP_MS, () => lease.leave(config.drainGraceMs));
  await eviction.start();
  await feed.start();
  stopLater("feed", PART_STOP_MS, () => feed.stop());

  let draining = false;
  const verify = rejectingRevoked(
    cached(createVerifier(config.token)),
    (tokenId) => eviction.isRevoked(tokenId),
  );
  const admission = new Admission(config.admission);
  const endpoint = new SocketEndpoint({
    ...{ config, admission, verify, connections, roster, feed, fanout },
    ...{ clock, log: rateLimited(log), metrics: metrics.recorder },
    provision: config.autoProvision
      ? coalesced((...user) => store.provision(...user))
      : undefined,
    draining: () => draining,
    isRevoked: (tokenId) => eviction.isRevoked(tokenId),
  });
  const readiness = (): Readiness => ({
    database: lease.renewing ? "ok" : "the last heartbeat was not answered",
    notifications: feed.listening ? "ok" : "not connected",
    lease: lease.held ? "ok" : "ended",
    drain: draining ? "this node is going away" : "ok",
    load: admission.slotsInUse < config.admission.connectionsMax
      ? "ok"
      : "as many sockets as it takes",
  });
  const loop = new LoopMonitor();
  loop.start();
  building.defer(() => loop.stop());
  metrics.observe({ ...core, hub, admission, loop });
  const demo = config.demo
    ? createDemo({
      ...{ token: config.token, clock, log, url: () => url },
      addUsers: (...users) => addUsers(databaseUrl, ...users),
      onlineSince: (limit) => onlineSince(databaseUrl, limit),
    })
    : undefined;
  const handle = createApp({
    ...{ config, store, roster, admission, verify },
    openSocket: (request, address) => endpoint.open(request, address),
    ...{ readiness, loop, metrics, log: rateLimited(log) },
    demo: demo?.routes,
  });
  const addressOf = clientAddress(config.trustedProxies);
  const http = new HttpServer({
    ...{ ...config, clock, log: rateLimited(log) },
    handle: (request, peer) =>
      handle(request, addressOf(peer, request.headers)),
  });
  stopLater("http", HTTP_STOP_MS, () => http.stop());

  const url = `http://${
    hostInUrl(http.address.hostname)
  }:${http.address.port}/`;
  const deps = building.move();
  return {
    url,
    stop: async () => {
      draining = true;
      // What is claimed stays claimed from here on; leaving settles all of it at once.
      await settled(log, "presence", PART_STOP_MS, presence.stop());
      if (demo !== undefined) {
        await settled(log, "demo", PART_STOP_MS, demo.stop());
      }
      await sendAway(connections, config.drainMs);
      // Deno would end the last ones in its own words.
      const settleBy = clock.now() + DRAIN_SETTLE_MS;
      while (admission.sockets > 0 && clock.now() < settleBy) {
        await clock.sleep(10);
      }
      await deps.disposeAsync();
    },
  };
}

/** Spreads the closing, so that the clients' return does not hit the other nodes at once. */
async function sendAway(
  connections: Connections,
  drainMs: number,
): Promise<void> {
  const all = [...connections.hub.connections()];
  const startedAt = systemClock.now();
  for (const [index, connection] of all.entries()) {
    const dueMs = startedAt + drainMs * index / all.length -
      systemClock.now();
    if (dueMs > 0) await systemClock.sleep(dueMs);
    connections.disconnect(connection, DISCONNECT.serverGoingAway);
  }
}

/** Waits for a part to stop, but not for ever, and not in vain if it fails. */
async function settled(
  log: Log,
  part: string,
  ms: number,
  stopping: Promise<void>,
): Promise<void> {
  try {
    await within(ms, `stopping the ${part}`, stopping);
  } catch (err) {
    log.warn({ part, err }, "a part did not stop in order");
  }
}

/** An address as a person can open it. */
function hostInUrl(hostname: string): string {
  if (hostname === "0.0.0.0" || hostname === "::") return "localhost";
  return hostname.includes(":") ? `[${hostname}]` : hostname;
}
