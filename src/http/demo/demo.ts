/**
 * The demo: a page to look at, some users, and their tokens for the asking.
 *
 * Only in demo mode, which listens on loopback alone.
 *
 * @module
 */
import { Hono } from "@hono/hono";
import { signToken } from "../../auth.ts";
import type { Config } from "../../config.ts";
import { problem } from "../problem.ts";

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

const FILES = [
  { path: "/", file: "index.html", type: "text/html; charset=utf-8" },
  {
    path: "/demo/style.css",
    file: "style.css",
    type: "text/css; charset=utf-8",
  },
  {
    path: "/demo/page.js",
    file: "page.js",
    type: "text/javascript; charset=utf-8",
  },
] as const;

const PAGE_HEADERS = {
  "cache-control": "no-cache",
  "content-security-policy":
    "default-src 'none'; script-src 'self'; style-src 'self'; connect-src 'self'; img-src data:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
  "referrer-policy": "no-referrer",
  "x-content-type-options": "nosniff",
};

export function createDemo(token: Config["token"]): Hono {
  const { key } = token;
  if (key.kind !== "secret") {
    throw new Error("Cannot run the demo: it signs with a secret");
  }
  const app = new Hono();
  // A page elsewhere whose name was made to point at this machine must not read tokens.
  app.use("/demo/*", async (c, next) => {
    const { hostname } = new URL(c.req.url);
    if (LOOPBACK_NAMES.includes(hostname)) return await next();
    return problem(
      403,
      "not_loopback",
      `the demo answers at ${LOOPBACK_NAMES.join(", ")} only`,
    );
  });
  for (const { path, file, type } of FILES) {
    const url = new URL(file, import.meta.url);
    app.get(path, async () =>
      new Response(await Deno.readTextFile(url), {
        headers: { ...PAGE_HEADERS, "content-type": type },
      }));
  }
  app.get(
    "/demo/users",
    () =>
      Response.json({
        users: DEMO_USERS.map((username, index) => ({
          id: index + 1,
          username,
        })),
      }),
  );
  app.get("/demo/token", async (c) => {
    const username = c.req.query("user") ?? "";
    const userId = DEMO_USERS.indexOf(username) + 1;
    if (userId === 0) {
      const message = `there is no demo user ${
        JSON.stringify(username)
      }; expected one of ${DEMO_USERS.join(", ")}`;
      return problem(404, "unknown_demo_user", message);
    }
    const signed = await signToken(
      { ...token, key },
      userId,
      TOKEN_TTL_SECONDS,
    );
    return Response.json({
      userId,
      username,
      token: signed,
      expiresInSeconds: TOKEN_TTL_SECONDS,
    }, {
      headers: { "cache-control": "no-store" },
    });
  });
  return app;
}
