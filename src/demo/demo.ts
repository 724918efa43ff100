/**
 * The demo: a page to look at, some users, their tokens for the asking, and a crowd to order.
 *
 * Only in demo mode, which listens on loopback alone.
 *
 * @module
 */
import { Hono, type MiddlewareHandler } from "@hono/hono";
import { bodyLimit } from "@hono/hono/body-limit";
import { signToken } from "../access/token/verifier.ts";
import type { Clock } from "../base/clock.ts";
import type { Config } from "../config/config.ts";
import {
  CROWD_ADD_MAX,
  CROWD_USERS_MAX,
  DEMO_BODY_BYTES_MAX,
  DEMO_SINCE_ROWS_MAX,
} from "./limits.ts";
import type { Log } from "../base/log.ts";
import type { UserId } from "../protocol/user_id.ts";
import { problem } from "../http/problem.ts";
import { Crowd, type CrowdDeps } from "./crowd.ts";

/** The users that demo mode puts into its database. */
export const DEMO_USERS: readonly string[] = [
  "ada",
  "bob",
  "chen",
  "dora",
  "emre",
  "fatima",
];

const LOOPBACK_NAMES = ["127.0.0.1", "localhost", "[::1]"];

const TOKEN_TTL_SECONDS = 12 * 3_600;

const PAGE = [
  "style.css",
  ...["page", "dom", "session", "roster", "log", "chart", "crowd", "snippets"]
    .map((name) => `${name}.js`),
];

const TYPES: Readonly<Record<string, string>> = {
  html: "text/html; charset=utf-8",
  css: "text/css; charset=utf-8",
  js: "text/javascript; charset=utf-8",
};

const PAGE_HEADERS = {
  "cache-control": "no-cache",
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

const NO_STORE = { "cache-control": "no-store" };

export interface DemoDeps {
  readonly token: Config["token"];
  readonly clock: Clock;
  readonly log: Log;
  /** Of this server, when it listens. */
  readonly url: () => string;
  /** Puts users into the database that are not there yet. */
  readonly addUsers: CrowdDeps["addUsers"];
  readonly onlineSince: (
    limit: number,
  ) => Promise<readonly { readonly id: UserId; readonly since: string }[]>;
}

export interface Demo {
  readonly routes: Hono;
  /** Sends the simulated users away. */
  stop(): Promise<void>;
}

export function createDemo(deps: DemoDeps): Demo {
  const { token, onlineSince } = deps;
  const { key } = token;
  if (key.kind !== "secret") {
    throw new Error("Cannot run the demo: it signs with a secret");
  }
  const sign = (userId: UserId) =>
    signToken({ ...token, key }, userId, TOKEN_TTL_SECONDS);
  const crowd = new Crowd({ ...deps, sign });
  const app = new Hono();
  app.use("/demo/*", guard);
  addFile(app, "/", "index.html");
  for (const name of PAGE) addFile(app, `/demo/${name}`, name);
  app.get("/demo/users", () => {
    const users = DEMO_USERS.map((username, index) => ({
      id: index + 1,
      username,
    }));
    return Response.json({ users });
  });
  app.get("/demo/since", shared(() => onlineSince(DEMO_SINCE_ROWS_MAX)));
  app.get("/demo/token", (c) => giveToken(c.req.query("user") ?? "", sign));
  addCrowd(app, crowd);
  return { routes: app, stop: () => crowd.stop() };
}

/**
 * A page elsewhere whose name was made to point at this machine must not read tokens, and no
 * other page may send anything: a request that a browser sends without asking first is one too.
 */
const guard: MiddlewareHandler = async (c, next) => {
  const { hostname, host } = new URL(c.req.url);
  if (!LOOPBACK_NAMES.includes(hostname)) {
    const message = `the demo answers at ${LOOPBACK_NAMES.join(", ")} only`;
    return problem(403, "not_loopback", message);
  }
  const origin = c.req.header("origin");
  const isRead = ["GET", "HEAD"].includes(c.req.method);
  if (isRead || origin === undefined || hostOf(origin) === host) {
    return await next();
  }
  const message = "pages of this origin may not change the demo";
  return problem(403, "origin_not_allowed", message);
};

/** Nothing for the origin `null` of a page that hides its own. */
function hostOf(origin: string): string | undefined {
  return URL.parse(origin)?.host;
}

function addFile(app: Hono, path: string, name: string): void {
  const url = new URL(`page/${name}`, import.meta.url);
  const type = TYPES[name.split(".").at(-1) ?? ""] ?? "";
  app.get(path, async () =>
    new Response(await Deno.readTextFile(url), {
      headers: { ...PAGE_HEADERS, "content-type": type },
    }));
}

/** Those who ask while an answer is on its way get the same one: tabs that reload together are one query. */
function shared(read: () => Promise<unknown>): () => Promise<Response> {
  let underWay: Promise<unknown> | undefined;
  return async () => {
    underWay ??= read().finally(() => underWay = undefined);
    return Response.json(await underWay, { headers: NO_STORE });
  };
}

async function giveToken(
  username: string,
  sign: (userId: UserId) => Promise<string>,
): Promise<Response> {
  const userId = DEMO_USERS.indexOf(username) + 1;
  if (userId === 0) {
    const message = `there is no demo user ${
      JSON.stringify(username)
    }; expected one of ${DEMO_USERS.join(", ")}`;
    return problem(404, "unknown_demo_user", message);
  }
  return Response.json({
    userId,
    username,
    token: await sign(userId),
    expiresInSeconds: TOKEN_TTL_SECONDS,
  }, { headers: NO_STORE });
}

function addCrowd(app: Hono, crowd: Crowd): void {
  const path = "/demo/crowd";
  const tell = () => Response.json({ size: crowd.size, max: CROWD_USERS_MAX });
  const refuse = () => {
    const message =
      `expected {"add": n} with a whole number from 1 to ${CROWD_ADD_MAX}`;
    return problem(400, "bad_crowd", message);
  };
  const limit = bodyLimit({ maxSize: DEMO_BODY_BYTES_MAX, onError: refuse });
  app.get(path, tell);
  app.post(path, limit, async (c) => {
    const body = await c.req.json().catch(() => undefined);
    const count = body?.add;
    if (!Number.isInteger(count) || count < 1 || count > CROWD_ADD_MAX) {
      return refuse();
    }
    if (crowd.add(count) === "added") return tell();
    const message =
      `${crowd.size} users are simulated, and ${CROWD_USERS_MAX} are the most; ${count} more do not fit.`;
    return problem(409, "crowd_full", message);
  });
  app.delete(path, () => {
    crowd.empty();
    return tell();
  });
}
