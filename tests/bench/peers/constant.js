/** A constant text behind the same router: the least that a list of that size can cost. */
import { Hono } from "@hono/hono";

const body = "x".repeat(Number(Deno.env.get("BODY_BYTES")));
const headers = {
  etag: '"1"',
  "cache-control": "no-cache",
  "content-type": "application/json",
  vary: "Origin",
};
const app = new Hono();
// deno-lint-ignore require-await -- Rollcall's handler is async too
app.get("/users/online", async () => new Response(body, { headers }));

Deno.serve({
  hostname: "127.0.0.1",
  port: 0,
  onListen: ({ port }) => {
    Deno.stdout.writeSync(new TextEncoder().encode(`listening ${port}\n`));
  },
}, async (request) => await app.fetch(request));
