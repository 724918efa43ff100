/**
 * The demo: a page, a few users, their tokens for anyone who asks, and simulated users.
 *
 * - `GET /`: the page. Its files are below `/demo/`.
 * - `GET /demo/users`: the demo's users, with their teams if it has teams.
 * - `POST /demo/teams`: moves a user between the teams.
 * - `GET /demo/token?user=ada`: a token for one of them. `/demo/token.txt`: the token alone.
 * - `GET /demo/since`: since when each user is online.
 * - `GET`, `POST`, `DELETE /demo/crowd`: reads, adds to, and clears the simulated users (`crowd.ts`).
 *
 * Anyone who can reach these routes can act as any demo user. So they exist only in demo mode,
 * which listens only on loopback, and they refuse requests that another web page can make a browser
 * send. Simulated users are real clients: each costs a socket on both sides.
 *
 * @module
 */
import { Hono, type MiddlewareHandler } from "@hono/hono";
import { bodyLimit } from "@hono/hono/body-limit";
import { signToken } from "../access/token/sign_token.ts";
import type { Clock } from "../base/clock.ts";
import type { Config } from "../config/config.ts";
import {
  CROWD_ADD_MAX,
  CROWD_USERS_MAX,
  DEMO_BODY_BYTES_MAX,
  DEMO_SINCE_ROWS_MAX,
} from "./limits.ts";
import type { Log } from "../base/log.ts";
import type { UserId, UserIds } from "../client/protocol/user_id.ts";
import { demoUserId } from "./demo_users.ts";
import { problem } from "../http/problem.ts";
import { Crowd, type CrowdDeps } from "./crowd.ts";
import { type DemoTeams, TEAMS } from "./demo_teams.ts";

/** The users that demo mode adds to its database, with the ids 1, 2, and so on. */
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
  ...["style.css", "faces.css", "activity.css", "teams.css"],
  ...["page", "dom", "session", "headline", "guide", "faces", "fit", "log"]
    .concat("entries", "announcer", "chart", "crowd", "snippets", "teams")
    .concat("time")
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
  /** The page says it. */
  readonly version: string;
  readonly token: Config["token"];
  readonly clock: Clock;
  readonly log: Log;
  readonly ids: UserIds;
  readonly url: CrowdDeps["url"];
  readonly addUsers: CrowdDeps["addUsers"];
  /** `undefined`: everybody sees everybody. */
  readonly teams: DemoTeams | undefined;
  /** At most `limit` online users, and since when each is online (ISO 8601). */
  readonly onlineSince: (
    limit: number,
  ) => Promise<readonly { readonly id: UserId; readonly since: string }[]>;
}

export interface Demo {
  readonly routes: Hono;
  /** Disconnects the simulated users. */
  stop(): Promise<void>;
}

/** @throws {Error} without a secret to sign tokens with. Demo mode always has one. */
export function createDemo(deps: DemoDeps): Demo {
  const { version, token, ids, onlineSince, addUsers, teams } = deps;
  const { key } = token;
  if (key.kind !== "secret") {
    throw new Error(
      "Cannot run the demo: expected a secret to sign tokens with",
    );
  }
  const sign = (userId: UserId) =>
    signToken({ ...token, key }, userId, TOKEN_TTL_SECONDS);
  const crowd = new Crowd({
    ...{ ...deps, sign },
    addUsers: async (usernames, first) => {
      await teams?.spread(
        usernames.map((_, index) => demoUserId(ids, first + index)),
      );
      await addUsers(usernames, first);
    },
  });
  const app = new Hono();
  app.use("/demo/*", guard);
  addFile(app, "/", "index.html", version);
  for (const name of PAGE) addFile(app, `/demo/${name}`, name, version);
  addPeople(app, ids, teams);
  app.get("/demo/since", shared(() => onlineSince(DEMO_SINCE_ROWS_MAX)));
  app.get("/demo/token", async (c) => {
    const answer = await tokenFor(c.req.query("user") ?? "", ids, sign);
    if (answer instanceof Response) return answer;
    return Response.json(answer, { headers: NO_STORE });
  });
  app.get("/demo/token.txt", async (c) => {
    const answer = await tokenFor(c.req.query("user") ?? "", ids, sign);
    if (answer instanceof Response) return answer;
    return new Response(answer.token, { headers: NO_STORE });
  });
  addCrowd(app, crowd);
  return { routes: app, stop: () => crowd.stop() };
}

/**
 * Protects the routes from other web pages in the same browser. A page whose host name resolves to
 * this machine (DNS rebinding) must not read tokens. A page of another origin must not change
 * anything: a browser sends some of its POST requests without a preflight.
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

/** `undefined` for the origin `null`, which a browser sends for a page with an opaque origin. */
function hostOf(origin: string): string | undefined {
  return URL.parse(origin)?.host;
}

/** A file of the page, with the server's version in place of `__VERSION__`. */
function addFile(
  app: Hono,
  path: string,
  name: string,
  version: string,
): void {
  const url = new URL(`page/${name}`, import.meta.url);
  const type = TYPES[name.split(".").at(-1) ?? ""] ?? "";
  const headers = { ...PAGE_HEADERS, "content-type": type };
  app.get(path, async () => {
    const text = await Deno.readTextFile(url);
    return new Response(text.replace("__VERSION__", version), { headers });
  });
}

/** Shares one read between requests that overlap, so that tabs that reload together cause one query. */
function shared(read: () => Promise<unknown>): () => Promise<Response> {
  let reading: Promise<unknown> | undefined;
  return async () => {
    reading ??= read().finally(() => reading = undefined);
    return Response.json(await reading, { headers: NO_STORE });
  };
}

/** A token for a user of the demo, or the error. */
async function tokenFor(
  username: string,
  ids: UserIds,
  sign: (userId: UserId) => Promise<string>,
): Promise<Response | Readonly<Record<string, unknown>> & { token: string }> {
  const userId = idOf(username, ids);
  if (userId === undefined) return refuseUser(username);
  const expiresInSeconds = TOKEN_TTL_SECONDS;
  return { userId, username, token: await sign(userId), expiresInSeconds };
}

/** The id of a user of the demo. */
function idOf(username: unknown, ids: UserIds): UserId | undefined {
  const nth = DEMO_USERS.findIndex((name) => name === username) + 1;
  return nth === 0 ? undefined : demoUserId(ids, nth);
}

function refuseUser(username: unknown): Response {
  const message = `there is no demo user ${
    JSON.stringify(username)
  }; expected one of ${DEMO_USERS.join(", ")}`;
  return problem(404, "unknown_demo_user", message);
}

/** The demo's users, and, if there are teams, the teams of each, and the way to change them. */
function addPeople(
  app: Hono,
  ids: UserIds,
  teams: DemoTeams | undefined,
): void {
  const users = DEMO_USERS.map((username, index) => ({
    id: demoUserId(ids, index + 1),
    username,
  }));
  const answer = async () => {
    if (teams === undefined) return Response.json({ users });
    const sets = await teams.read(users.map(({ id }) => id));
    const inTeams = users.map((user, index) => ({
      ...{ ...user, teams: sets[index] ?? [] },
    }));
    return Response.json({ teams: TEAMS, users: inTeams }, {
      headers: NO_STORE,
    });
  };
  app.get("/demo/users", answer);
  if (teams === undefined) return;
  const refuse = () => {
    const message = `expected {"user": "ada", "teams": [...]}, with none, ${
      TEAMS.join(" or ")
    }, or both`;
    return problem(400, "bad_teams", message);
  };
  const limit = bodyLimit({ maxSize: DEMO_BODY_BYTES_MAX, onError: refuse });
  app.post("/demo/teams", limit, async (c) => {
    const body = await c.req.json().catch(() => undefined);
    const named: unknown = body?.teams;
    if (!Array.isArray(named)) return refuse();
    const chosen = TEAMS.filter((team) => named.includes(team));
    if (chosen.length !== named.length) return refuse();
    const userId = idOf(body.user, ids);
    if (userId === undefined) return refuseUser(body.user);
    await teams.move(userId, chosen);
    return await answer();
  });
}

function addCrowd(app: Hono, crowd: Crowd): void {
  const path = "/demo/crowd";
  const answer = () =>
    Response.json({ size: crowd.size, max: CROWD_USERS_MAX });
  const refuse = () => {
    const message =
      `expected {"add": n}, with a whole number n from 1 to ${CROWD_ADD_MAX}`;
    return problem(400, "bad_crowd", message);
  };
  const limit = bodyLimit({ maxSize: DEMO_BODY_BYTES_MAX, onError: refuse });
  app.get(path, answer);
  app.post(path, limit, async (c) => {
    const body = await c.req.json().catch(() => undefined);
    const count = body?.add;
    if (!Number.isInteger(count) || count < 1 || count > CROWD_ADD_MAX) {
      return refuse();
    }
    if (crowd.add(count) === "added") return answer();
    const message =
      `${crowd.size} of at most ${CROWD_USERS_MAX} users are simulated, cannot add ${count} more`;
    return problem(409, "crowd_full", message);
  });
  app.delete(path, () => {
    crowd.clear();
    return answer();
  });
}
