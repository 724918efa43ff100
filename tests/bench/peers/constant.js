/** One text of a given size behind the same router: what a list of that size must cost at least. */
import { Hono } from "@hono/hono";

const body = "x".repeat(Number(Deno.env.get("BODY_BYTES")));
const headers = {
  etag: '"1"',
  "cache-control": "no-cache",
  "content-type": "application/json",
  vary: "Origin",
};
const app = new Hono();
// deno-lint-ignore require-await -- as a handler that may have to wait
app.get("/users/online", async () => new Response(body, { headers }));

Deno.serve({
  hostname: "127.0.0.1",
  port: 0,
  onListen: ({ port }) => {
    Deno.stdout.writeSync(new TextEncoder().encode(`listening ${port}\n`));
  },
}, async (request) => await app.fetch(request));
