/**
 * What administrators can see and do, with the `ADMIN_TOKEN`. This is the door of `admin/`.
 *
 * - `GET /admin`: a page that shows the status. It has no data, so it needs no token.
 * - `GET /admin/status`: the status as JSON (`status.ts`).
 * - `POST /admin/disconnect`: disconnects a user, or revokes a token (`disconnect.ts`).
 * - `POST /admin/cordon` and `/admin/uncordon`: this node takes no newcomers (`cordon.ts`).
 *
 * Every request but those for the page and its files needs the token in `Authorization`
 * (`authenticate.ts`). A browser never sends that by itself, so no other page can make it act. The
 * page keeps the token in memory alone, and runs no script but its own.
 *
 * @module
 */
import { Hono } from "@hono/hono";
import { z } from "zod";
import type { Log } from "../base/log.ts";
import { problem } from "../http/problem.ts";
import type { HttpEnv } from "../http/request.ts";
import { requestId } from "../http/request_id.ts";
import { type AuthenticateDeps, refuseStranger } from "./authenticate.ts";
import type { Cordon } from "./cordon.ts";
import { disconnect, type DisconnectDeps } from "./disconnect.ts";
import { ADMIN_BODY_BYTES_MAX, CLOSES_PER_MINUTE_MAX } from "./limits.ts";
import { isEmpty, readJson } from "./read_json.ts";
import { answerStatus, type StatusDeps } from "./status.ts";

export interface AdminDeps
  extends AuthenticateDeps, DisconnectDeps, StatusDeps {
  readonly admission:
    & AuthenticateDeps["admission"]
    & StatusDeps["admission"];
  readonly cordon: Cordon;
}

const SCRIPT = "text/javascript; charset=utf-8";

/** Each path of the page, with its file and type. */
const FILES = [
  ["/admin", "index.html", "text/html; charset=utf-8"],
  ["/admin/style.css", "style.css", "text/css; charset=utf-8"],
  ["/admin/page.js", "page.js", SCRIPT],
  ["/admin/draw.js", "draw.js", SCRIPT],
  ["/admin/judge.js", "judge.js", SCRIPT],
] as const;

const PAGE_HEADERS = {
  "cache-control": "no-store",
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "cross-origin-opener-policy": "same-origin",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

const cordonSchema = z.strictObject({
  closesPerMinute: z.int().min(1).max(CLOSES_PER_MINUTE_MAX).optional(),
});

/** The routes below `/admin`. */
export function adminRoutes(deps: AdminDeps): Hono<HttpEnv> {
  const { cordon, log } = deps;
  const app = new Hono<HttpEnv>();
  for (const [path, name, type] of FILES) {
    const url = new URL(`page/${name}`, import.meta.url);
    const headers = { ...PAGE_HEADERS, "content-type": type };
    app.get(
      path,
      async () => new Response(await Deno.readTextFile(url), { headers }),
    );
  }
  const restricted = (
    answer: (request: Request, address: string) => Promise<Response>,
  ) =>
  async ({ req, env }: { req: { raw: Request }; env: HttpEnv["Bindings"] }) =>
    refuseStranger(req.raw, env.address, deps) ??
      await answer(req.raw, env.address);
  app.get(
    "/admin/status",
    restricted((request) => {
      const { searchParams } = new URL(request.url);
      return answerStatus(deps, searchParams.get("user") ?? undefined);
    }),
  );
  app.post(
    "/admin/disconnect",
    restricted((request, address) => disconnect(request, address, deps)),
  );
  app.post(
    "/admin/cordon",
    restricted((request, address) => begin(cordon, log, request, address)),
  );
  app.post(
    "/admin/uncordon",
    restricted((request, address) => {
      log.info({ requestId: requestId(request), address }, "uncordoned");
      cordon.end();
      return Promise.resolve(Response.json({ status: "serving" }));
    }),
  );
  return app;
}

async function begin(
  cordon: Cordon,
  log: Log,
  request: Request,
  address: string,
): Promise<Response> {
  const { data } = cordonSchema.safeParse(
    isEmpty(request) ? {} : await readJson(request),
  );
  if (data === undefined) {
    const message =
      `expected no body, or {"closesPerMinute": n} with a whole number n from 1 to ${CLOSES_PER_MINUTE_MAX}, of at most ${ADMIN_BODY_BYTES_MAX} bytes, and a content-length`;
    return problem(400, "bad_cordon", message);
  }
  const { closesPerMinute = 0 } = data;
  const about = { requestId: requestId(request), address };
  log.info({ ...about, closesPerMinute }, "cordoned");
  cordon.begin(closesPerMinute);
  return Response.json({ status: "cordoned", closesPerMinute });
}
