/**
 * The HTTP routes: which path is answered by what.
 *
 * | path                | answered by                                     |
 * | ------------------- | ----------------------------------------------- |
 * | `/ws`               | `socket/`                                       |
 * | `/users/online`     | `online_users.ts`                               |
 * | `/admin`, `/admin/*` | `admin/`, if there is an `ADMIN_TOKEN`          |
 * | `/healthz`          | `probes.ts`                                     |
 * | `/readyz`           | `probes.ts`                                     |
 * | `/metrics`          | `probes.ts`, with the text from `telemetry/`    |
 * | `/client.js`        | `client_files.ts`, and each file of the library |
 * | `/`                 | one line about the server                       |
 * | `/`, `/demo/*`      | `demo/`, in demo mode                           |
 *
 * A path that answers GET answers HEAD too. Other methods get 405 with the methods that are
 * allowed. Every error is JSON of one shape (`problem.ts`). An unexpected fault is an "internal
 * error" with the id of the request; the log has the details under this id.
 *
 * Cost: no middleware runs for any route. A middleware that sets headers would break the upgrade
 * of `/ws`, and setting headers on a finished response costs as much as the rest of the response. A
 * handshake is not routed at all: that would cost a `Request` and a tenth of the handshake.
 *
 * @module
 */
import { Hono } from "@hono/hono";
import { cors } from "@hono/hono/cors";
import type { Log } from "../base/log.ts";
import type { Config } from "../config/config.ts";
import type { LoopMonitor } from "../telemetry/loop_monitor.ts";
import { nameSpan } from "../telemetry/otel.ts";
import type { PrometheusMetrics } from "../telemetry/prometheus.ts";
import { clientFiles } from "./client_files.ts";
import { type OnlineUsersDeps, OnlineUsersEndpoint } from "./online_users.ts";
import { Probes, type ProbesDeps } from "./probes.ts";
import type { HttpServerDeps } from "./http_server.ts";
import { problem, problemCode } from "./problem.ts";
import {
  type HttpEnv,
  isHandshake,
  type RequestHead,
  type UpgradeRequest,
} from "./request.ts";
import { requestId } from "./request_id.ts";

export interface AppDeps extends OnlineUsersDeps, ProbesDeps {
  readonly config: Pick<
    Config,
    | "allowedOrigins"
    | "autoProvision"
    | "listBytesPerSecondMax"
    | "rosterAccess"
  >;
  readonly admission:
    & OnlineUsersDeps["admission"]
    & ProbesDeps["admission"];
  /** Answers `GET /ws` from a client address. */
  readonly openSocket: (
    request: RequestHead,
    address: string,
  ) => Promise<Response>;
  readonly loop: LoopMonitor;
  readonly metrics: PrometheusMetrics;
  readonly log: Log;
  /** Of the server. */
  readonly version: string;
  /** The administrators' routes, if there is an `ADMIN_TOKEN`. */
  readonly admin: Hono<HttpEnv> | undefined;
  /** The demo's routes, in demo mode. */
  readonly demo: Hono | undefined;
}

/** Answers a request from a client address. Never rejects. */
export type App = HttpServerDeps["handle"];

export function createApp(deps: AppDeps): App {
  const { log, metrics } = deps;
  const app = createRoutes(deps);
  const fail = (err: unknown, request: RequestHead) => {
    const id = requestId(request);
    const [target] = request.url.split("?");
    const about = { requestId: id, method: request.method, target, err };
    log.error(about, "request failed");
    const message = `internal error, see the log for ${id}`;
    return problem(500, "internal", message);
  };
  app.onError((err, c) => fail(err, c.req.raw));
  const hasHost = hostCheck();
  const answer = async (
    request: Request | UpgradeRequest,
    address: string,
    isHead: boolean,
  ) => {
    if (!hasHost(request)) {
      const message = "expected a host name in Host and in the request";
      return problem(400, "bad_host", message);
    }
    if (asksForSocket(request)) return await deps.openSocket(request, address);
    const whole = "toRequest" in request ? request.toRequest() : request;
    return await app.fetch(isHead ? asGet(whole) : whole, { address });
  };
  const paths = new Set(app.routes.map(({ path }) => path));
  return async (request, address) => {
    nameRequest(request, paths);
    const isHead = request.method === "HEAD" && !isHandshake(request);
    const response = await answer(request, address, isHead)
      .catch((err) => fail(err, request));
    const { status } = response;
    if (status >= 400) {
      metrics.recorder.requestRefused(status, problemCode(response));
    }
    return isHead ? await withoutBody(response) : response;
  };
}

/** Without tracing it finds no span, so the path is looked for only where there is one. */
function nameRequest(
  { method, url }: RequestHead,
  paths: ReadonlySet<string>,
): void {
  nameSpan(method, () => {
    const path = URL.parse(url)?.pathname ?? "";
    return paths.has(path) ? path : undefined;
  });
}

function createRoutes(deps: AppDeps): Hono<HttpEnv> {
  const { config, openSocket, version, admin, demo } = deps;
  const { allowedOrigins } = config;
  const app = new Hono<HttpEnv>();
  app.get("/ws", (c) => openSocket(c.req.raw, c.env.address));
  const origin = allowedOrigins === "*" ? "*" : [...allowedOrigins];
  app.options("/users/online", cors({ origin, allowMethods: ["GET"] }));
  const onlineUsers = new OnlineUsersEndpoint(deps);
  app.get("/users/online", (c) => onlineUsers.answer(c));
  if (admin !== undefined) app.route("/", admin);
  const probes = new Probes(deps);
  app.get("/healthz", () => probes.health());
  app.get("/readyz", () => probes.readiness());
  app.get("/metrics", () => probes.metrics());
  for (const { path, read } of clientFiles()) {
    app.get(path, (c) => read(c.req.raw));
  }
  if (demo === undefined) app.get("/", () => new Response(about(version)));
  else app.route("/", demo);
  refuseOtherMethods(app);
  app.notFound((c) =>
    problem(404, "not_found", `there is nothing at ${c.req.path.slice(0, 100)}`)
  );
  return app;
}

/** For a person who opens the server's address in a browser. */
function about(version: string): string {
  return `Rollcall ${version}, a presence server. Clients connect to /ws. Documentation: README.md in its repository.\n`;
}

/** Answers 405 on every path for the methods that it has no route for. */
function refuseOtherMethods(app: Hono<HttpEnv>): void {
  const allowed = new Map<string, Set<string>>();
  for (const { path, method } of app.routes) {
    if (method === "ALL") continue;
    const methods = allowed.get(path) ?? new Set();
    allowed.set(path, methods.add(method));
    if (method === "GET") methods.add("HEAD");
  }
  for (const [path, methods] of allowed) {
    const allow = [...methods].join(", ");
    app.all(path, (c) => {
      const message = `${c.req.method} is not allowed here, use ${allow}`;
      return problem(405, "method_not_allowed", message, { allow });
    });
  }
}

/**
 * Returns a check that a request has a valid host. Deno puts the `Host` header in front of the path
 * and does not check it, so a host with `/`, `?` or `#` would change the path. The host of the URL
 * is another one where the target of the request is a whole URL.
 */
function hostCheck(): (request: RequestHead) => boolean {
  // Nearly all requests name the same host, so the last valid one saves most of the work.
  let lastHost: string | null | undefined;
  let lastOrigin = "";
  return ({ url, headers }) => {
    const host = headers.get("host");
    if (host === lastHost && url.startsWith(lastOrigin)) return true;
    const origin = /^https?:\/\/[\w.:[\]-]+\//i.exec(url)?.[0] ?? "";
    const isHost = host === null || /^[\w.:[\]-]*$/.test(host);
    if (!isHost || !URL.canParse(origin)) return false;
    [lastHost, lastOrigin] = [host, origin];
    return true;
  };
}

/** Nearly every handshake is this one, so it does not take the way through the router. */
function asksForSocket(request: RequestHead): boolean {
  const { method, url } = request;
  if (method !== "GET" || !isHandshake(request)) return false;
  const [path] = url.slice(url.indexOf("/", "https://".length)).split("?", 1);
  return path === "/ws";
}

/** A new request, because a copy would read the signal of the old one, and Deno warns of that. */
function asGet({ url, headers }: Request): Request {
  return new Request(url, { headers });
}

/** The answer to HEAD: that to GET with its length and without its body. Hono would say length 0. */
async function withoutBody(response: Response): Promise<Response> {
  const { status, headers } = response;
  const { byteLength } = await response.arrayBuffer();
  if (byteLength > 0) headers.set("content-length", String(byteLength));
  return new Response(null, { status, headers });
}
