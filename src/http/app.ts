/**
 * The HTTP routes.
 *
 * `/ws` stays outside of every middleware: one that touches headers breaks the upgrade.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { type Context, Hono } from "@hono/hono";
import { cors } from "@hono/hono/cors";
import type { Admission } from "../access/admission.ts";
import type { Verify } from "../access/token/verifier.ts";
import type { Config } from "../config/config.ts";
import { FILTER_IDS_MAX } from "./limits.ts";
import { LOOP_STUCK_MS } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import type { LoopMonitor } from "../telemetry/loop_monitor.ts";
import type { PrometheusMetrics } from "../telemetry/prometheus.ts";
import type { OnlineUsers } from "../protocol/messages.ts";
import type { Roster } from "../core/roster/roster.ts";
import type { Store } from "../core/store/store.ts";
import { disconnect } from "./admin.ts";
import { clientFiles } from "./client_files.ts";
import { cannotVerify, problem, refused } from "./problem.ts";
import { requestId } from "./request_id.ts";
import { isHandshake, requestToken } from "./request.ts";
import { readUserIds } from "./user_ids.ts";
import { verified } from "../access/verify.ts";

/** Whether the node can do its work, part by part: `"ok"` or what is wrong. */
export type Readiness = Readonly<
  Record<"database" | "notifications" | "lease" | "drain" | "load", string>
>;

export interface AppDeps {
  readonly config: Pick<
    Config,
    "adminToken" | "allowedOrigins" | "rosterAccess"
  >;
  readonly store: Pick<Store, "revoke">;
  readonly roster: Roster;
  readonly verify: Verify;
  readonly admission: Admission;
  /** Answers `GET /ws`. */
  readonly openSocket: (
    request: Request,
    address: string,
  ) => Promise<Response>;
  readonly readiness: () => Readiness;
  readonly loop: LoopMonitor;
  readonly metrics: PrometheusMetrics;
  readonly log: Log;
  /** The demo's routes, in demo mode. */
  readonly demo: Hono | undefined;
}

/** What `Deno.serve` knows of a request beside the request itself. */
interface Env {
  readonly Bindings: { readonly address: string };
}

export function createApp(
  deps: AppDeps,
): (request: Request, address: string) => Promise<Response> {
  const { config, openSocket, log, demo, metrics } = deps;
  const app = new Hono<Env>();
  app.get("/ws", (c) => openSocket(c.req.raw, c.env.address));
  const { allowedOrigins } = config;
  const origin = allowedOrigins === "*" ? "*" : [...allowedOrigins];
  app.options("/users/online", cors({ origin, allowMethods: ["GET"] }));
  app.get("/users/online", async (c) => {
    const headers = allowOrigin(c, allowedOrigins);
    const answer = await refuseList(c, deps) ??
      onlineUsers(c, deps.roster, headers);
    if (answer.ok || answer.status === 304) return answer;
    for (const [name, value] of headers) answer.headers.set(name, value);
    return answer;
  });
  const { adminToken } = config;
  if (adminToken !== undefined) {
    app.post(
      "/admin/disconnect",
      (c) => disconnect(c.req.raw, c.env.address, { ...deps, adminToken }),
    );
  }
  app.get("/healthz", () => healthy(deps.loop));
  app.get("/metrics", async () => {
    const headers = { "content-type": metrics.contentType };
    return new Response(await metrics.text(), { headers });
  });
  app.get("/readyz", () => ready(deps.readiness()));
  for (const { path, read } of clientFiles()) app.get(path, read);
  if (demo !== undefined) app.route("/", demo);

  refuseOtherMethods(app);
  app.notFound((c) =>
    problem(404, "not_found", `there is nothing at ${c.req.path.slice(0, 100)}`)
  );
  const fail = (err: unknown, request: Request) => {
    const id = requestId(request);
    const [target] = request.url.split("?");
    const about = { requestId: id, method: request.method, target, err };
    log.error(about, "request failed");
    const message = `internal error, see the log for ${id}`;
    return problem(500, "internal", message);
  };
  app.onError((err, c) => fail(err, c.req.raw));
  let known = "";
  const answer = async (request: Request, address: string) => {
    const { url } = request;
    if (known === "" || !url.startsWith(known)) {
      // Deno puts there what the client says, as it is.
      const origin = /^https?:\/\/[\w.:[\]-]+\//i.exec(url)?.[0] ?? "";
      if (!URL.canParse(origin)) {
        const message = "expected a host name in Host and in the request";
        return problem(400, "bad_host", message);
      }
      known = origin;
    }
    if (request.method !== "HEAD" || isHandshake(request)) {
      return await app.fetch(request, { address });
    }
    return await withoutBody(app.fetch(asGet(request), { address }));
  };
  return async (request, address) => {
    const response = await answer(request, address)
      .catch((err) => fail(err, request));
    if (response.status >= 400) {
      metrics.recorder.requestRefused(response.status);
    }
    return response;
  };
}

/** Not a copy: that would ask for the signal of the request, which Deno warns of. */
function asGet({ url, headers }: Request): Request {
  return new Request(url, { headers });
}

/** What HEAD is told of an answer to GET; Hono would give it a length of 0. */
async function withoutBody(
  answer: Response | Promise<Response>,
): Promise<Response> {
  const response = await answer;
  const { status, headers } = response;
  const { byteLength } = await response.arrayBuffer();
  if (byteLength > 0) headers.set("content-length", String(byteLength));
  return new Response(null, { status, headers });
}

/** Every path answers with 405 to methods that it has no route for. */
function refuseOtherMethods(app: Hono<Env>): void {
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

/** Whoever may not have the list hears why. */
async function refuseList(
  c: Context<Env>,
  deps: AppDeps,
): Promise<Response | undefined> {
  const { config, admission } = deps;
  if (config.rosterAccess === "public") return undefined;
  const throttled = admission.throttled(c.env.address);
  if (throttled !== undefined) return refused(throttled);
  const verdict = await verified(deps, {
    token: requestToken(c.req.raw),
    requestId: requestId(c.req.raw),
  }, c.env.address);
  if (verdict === "unavailable") return cannotVerify();
  if (verdict.ok) return undefined;
  const headers = { "www-authenticate": "Bearer" };
  return problem(401, "unauthorized", verdict.why.reason, headers);
}

function onlineUsers(
  c: Context<Env>,
  roster: Roster,
  origin: readonly [string, string][],
): Response {
  const ids = c.req.query("ids");
  const filter = ids === undefined
    ? undefined
    : readUserIds(ids, FILTER_IDS_MAX) ?? "invalid";
  if (filter === "invalid") {
    return problem(
      400,
      "bad_ids",
      `ids must be up to ${FILTER_IDS_MAX} user ids with commas between them`,
    );
  }
  const text = filter === undefined ? roster.json() : JSON.stringify(
    { online_users: roster.users(filter) } satisfies OnlineUsers,
  );
  // The seq alone does not tell databases apart, nor names; the hash alone would do.
  const etag = `"${roster.seq}-${digestOf(text)}"`;
  // At once: headers that are set on a response cost as much as the rest of it.
  const headers: [string, string][] = [
    ...origin,
    ["etag", etag],
    ["cache-control", "no-cache"],
  ];
  if (isKnown(etag, c.req.header("if-none-match"))) {
    return new Response(null, { status: 304, headers });
  }
  headers.push(["content-type", "application/json"]);
  return new Response(text, { headers });
}

/** Hono's middleware does so for the preflight; here it would turn the body into a stream. */
function allowOrigin(
  c: Context<Env>,
  allowedOrigins: Config["allowedOrigins"],
): [string, string][] {
  const headers: [string, string][] = [["vary", "Origin"]];
  const origin = c.req.header("origin");
  const isAllowed = origin !== undefined &&
    (allowedOrigins === "*" || allowedOrigins.includes(origin));
  if (isAllowed) {
    headers.push(
      ["access-control-allow-origin", origin],
      ["access-control-expose-headers", "ETag"],
    );
  }
  return headers;
}

let last = { text: "", digest: "" };

/** The whole list is asked for again and again, and is one and the same string until it changes. */
function digestOf(text: string): string {
  if (last.text !== text) {
    const hash = createHash("sha256").update(text).digest("base64url");
    last = { text, digest: hash.slice(0, 16) };
  }
  return last.digest;
}

/** RFC 9110, section 13.1.2: a list of tags, each possibly weak, or `*`. */
function isKnown(etag: string, ifNoneMatch = ""): boolean {
  const tags = ifNoneMatch.split(",").map((tag) =>
    tag.trim().replace(/^W\//, "")
  );
  return tags.includes(etag) || tags.includes("*");
}

/** A process whose event loop hangs cannot do its work, although it may still answer. */
function healthy(loop: LoopMonitor): Response {
  if (loop.lagMs < LOOP_STUCK_MS) return Response.json({ status: "ok" });
  const message = `the event loop was stuck for ${Math.round(loop.lagMs)} ms`;
  return problem(503, "stuck", message);
}

function ready(checks: Readiness): Response {
  const faults = Object.entries(checks).filter(([, state]) => state !== "ok");
  if (faults.length === 0) return Response.json({ status: "ready", checks });
  const message = faults.map(([part, state]) => `${part}: ${state}`).join("; ");
  return Response.json({ error: { code: "not_ready", message }, checks }, {
    status: 503,
  });
}
