/** A server with one text of a given size, and nothing else. */
const body = "x".repeat(Number(Deno.env.get("BODY_BYTES")));
Deno.serve({
  hostname: "127.0.0.1",
  port: 0,
  onListen: ({ port }) => {
    Deno.stdout.writeSync(new TextEncoder().encode(`listening ${port}\n`));
  },
}, () => new Response(body, { headers: { "content-type": "application/json" } }));
