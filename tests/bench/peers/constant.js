/**
 * A constant text on a socket engine: the least that a list of that size can cost.
 *
 * SOCKET_ENGINE: native or ws. BODY_BYTES: the size. ROUTER: Hono, or none, where the HTTP server
 * answers by itself.
 */
import { createServer } from "node:http";
import { Hono } from "@hono/hono";

const isNative = Deno.env.get("SOCKET_ENGINE") !== "ws";
const hasRouter = Deno.env.get("ROUTER") === "Hono";
const body = "x".repeat(Number(Deno.env.get("BODY_BYTES")));
const bytes = new TextEncoder().encode(body);
const headers = {
  etag: '"1"',
  "cache-control": "no-cache",
  "content-type": "application/json",
  vary: "Origin",
};
const app = new Hono();
// deno-lint-ignore require-await -- Rollcall's handler is async too
app.get("/users/online", async () => new Response(body, { headers }));

function listening(port) {
  Deno.stdout.writeSync(new TextEncoder().encode(`listening ${port}\n`));
}

async function answer(request, response) {
  const url = `http://${request.headers.host}${request.url}`;
  const answered = await app.fetch(new Request(url));
  const bytes = new Uint8Array(await answered.arrayBuffer());
  response.writeHead(answered.status, {
    ...Object.fromEntries(answered.headers),
    "content-length": bytes.length,
  });
  response.end(bytes);
}

if (isNative) {
  Deno.serve(
    {
      hostname: "127.0.0.1",
      port: 0,
      onListen: ({ port }) => listening(port),
    },
    hasRouter
      ? async (request) => await app.fetch(request)
      : () => new Response(body, { headers }),
  );
} else {
  const http = createServer(
    hasRouter ? answer : (_request, response) => {
      response.writeHead(200, { ...headers, "content-length": bytes.length });
      response.end(bytes);
    },
  );
  http.listen(0, "127.0.0.1", () => listening(http.address().port));
}
