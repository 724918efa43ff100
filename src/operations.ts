/**
 * What operators see of a node, and what they can ask of it: metrics, the lag of the event loop,
 * the watch of the database, and the routes below `/admin`.
 *
 * No other part needs any of this to do its work.
 *
 * @module
 */
import type { Hono } from "@hono/hono";
import project from "../deno.json" with { type: "json" };
import { adminRoutes } from "./admin/admin.ts";
import { Cordon } from "./admin/cordon.ts";
import { hub } from "./core/connections/hub.ts";
import type { Core } from "./core/core.ts";
import type { HttpEnv } from "./http/request.ts";
import type { Access, Base } from "./node_parts.ts";
import { DatabaseWatch } from "./telemetry/database_watch.ts";
import { LoopMonitor } from "./telemetry/loop_monitor.ts";
import { recentWarnings } from "./telemetry/recent_warnings.ts";

export interface Operations {
  readonly loop: LoopMonitor;
  /** `undefined` without an `ADMIN_TOKEN`. */
  readonly admin: Hono<HttpEnv> | undefined;
}

export function startOperations(
  base: Base,
  core: Core,
  access: Access,
): Operations {
  const { config, store: { overview }, groupsReadable, metrics } = base;
  const { admission } = access;
  const loop = startLoopMonitor(base);
  const database = startDatabaseWatch(base);
  const observed = { ...core, ...access, groupsReadable, hub, loop, database };
  metrics.observe({ ...observed, limits: config });
  overview.report = () => ({
    connections: admission.slotsInUse,
    isCordoned: admission.isCordoned,
  });
  return { loop, admin: startAdmin(base, core, access, database) };
}

function startLoopMonitor({ onStop }: Base): LoopMonitor {
  const loop = new LoopMonitor();
  loop.start();
  onStop("loop monitor", () => Promise.resolve(loop.stop()));
  return loop;
}

function startDatabaseWatch(
  { store: { overview }, clock, log, onStop }: Base,
): DatabaseWatch {
  const read = () => overview.database();
  const database = new DatabaseWatch({ read, clock, log });
  database.start();
  onStop("database watch", () => Promise.resolve(database.stop()));
  return database;
}

function startAdmin(
  base: Base,
  core: Core,
  access: Access,
  database: DatabaseWatch,
): Hono<HttpEnv> | undefined {
  const { config: { adminToken, drainGraceMs }, store: { overview } } = base;
  if (adminToken === undefined) return undefined;
  const parts = { ...base, ...core, ...access, hub, database, overview };
  const cordon = new Cordon({ ...parts, drainGraceMs });
  base.onStop("cordon", () => Promise.resolve(cordon.end()));
  return adminRoutes({
    ...{ ...parts, adminToken, cordon, warnings: recentWarnings },
    version: project.version,
  });
}
