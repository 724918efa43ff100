import { equal, match, ok } from "node:assert/strict";
import { TOKEN_BYTES_MAX } from "../../../src/access/token/limits.ts";
import { problem } from "../../../src/http/problem.ts";
import {
  FILTER_IDS_MAX,
  HEADERS_MAX,
  RESPONSE_STALL_MS,
} from "../../../src/http/limits.ts";
import { NodeServer } from "../../../src/http/node_server.ts";
import type { RequestHead } from "../../../src/http/request.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { rememberingLog } from "../../support/fakes.ts";
import { until } from "../../support/until.ts";

/** More than the system keeps for a peer that reads nothing. */
const BYTES_OF_A_LIST = 32 * 1_048_576;

/** Pieces of a list. */
const PIECES = 1_024;
const PIECE_BYTES = 65_536;

const HANDSHAKE = ["Connection: Upgrade", "Upgrade: websocket"];

/** A server that answers with the method, or with a long list, unless a test says otherwise. */
async function listen(
  answer = ({ method, url }: RequestHead): Response | Promise<Response> =>
    url.endsWith("/list")
      ? new Response(new Uint8Array(BYTES_OF_A_LIST))
      : problem(405, "method_not_allowed", method),
) {
  const clock = new FakeClock();
  const log = rememberingLog();
  const server = await NodeServer.listen({
    ...{ host: "127.0.0.1", port: 0, reusePort: false, clock, log },
    handle: (request) => Promise.resolve(answer(request)),
  });
  const send = async (text: string) => {
    const { hostname, port } = new URL(server.url);
    const conn = await Deno.connect({ hostname, port: Number(port) });
    await conn.write(new TextEncoder().encode(text));
    return conn;
  };
  return {
    ...{ clock, send },
    connect: (line: string, ...headers: string[]) =>
      send([line, "Host: localhost", ...headers, "", ""].join("\r\n")),
    [Symbol.asyncDispose]: () => server.stop(),
  };
}

/** What the server sends until it ends the connection or has sent an object of JSON. */
async function answerOf(conn: Deno.Conn): Promise<string> {
  let text = "";
  const buffer = new Uint8Array(65_536);
  while (!text.endsWith("}")) {
    const size = await conn.read(buffer);
    if (size === null) break;
    text += new TextDecoder().decode(buffer.subarray(0, size));
  }
  return text;
}

/** Waits until the server accepts no byte more. */
async function isDestroyed(conn: Deno.Conn): Promise<void> {
  await until("the server destroys the connection", async () => {
    const size = await conn.write(Uint8Array.of(0)).catch(() => 0);
    return size === 0;
  });
}

Deno.test("the routes answer TRACE, also in an upgrade", async () => {
  await using server = await listen();
  for (const headers of [[], HANDSHAKE]) {
    using conn = await server.connect("TRACE / HTTP/1.1", ...headers);
    match(await answerOf(conn), /405[^]+"message":"TRACE"/);
  }
});

Deno.test("[L1] a request with too many headers is refused, and none is ignored", async () => {
  await using server = await listen();
  const others = Array.from({ length: HEADERS_MAX }, (_, n) => `X-${n}: y`);
  for (const [headers, status] of [[others.slice(1), 405], [others, 431]]) {
    using conn = await server.connect("GET / HTTP/1.1", ...headers as string[]);
    equal(Number((await answerOf(conn)).split(" ")[1]), status);
  }
});

Deno.test("a request may name as many users as the list takes, each by a UUID", async () => {
  await using server = await listen();
  const ids = Array(FILTER_IDS_MAX).fill(crypto.randomUUID()).join(",");
  const token = `Authorization: Bearer ${"x".repeat(TOKEN_BYTES_MAX)}`;
  using conn = await server.connect(`GET /?ids=${ids} HTTP/1.1`, token);
  match(await answerOf(conn), /405/);
});

Deno.test("an offer of HTTP/2 is answered like a request without it", async () => {
  await using server = await listen();
  const headers = ["Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c"];
  using conn = await server.connect("GET / HTTP/1.1", ...headers);
  match(await answerOf(conn), /Connection: keep-alive[^]+"message":"GET"/);
});

Deno.test("[L1] a refused handshake is over, even if its peer does not close", async () => {
  await using server = await listen();
  using conn = await server.connect("GET / HTTP/1.1", ...HANDSHAKE);
  match(await answerOf(conn), /connection: close/);
  await isDestroyed(conn);
});

Deno.test("[L1] a peer that does not read the answer to its handshake is disconnected", async () => {
  await using server = await listen();
  using conn = await server.connect("GET /list HTTP/1.1", ...HANDSHAKE);
  // The answer is under way.
  await conn.read(new Uint8Array(1));
  await server.clock.advance(RESPONSE_STALL_MS);
  await isDestroyed(conn);
});

/** A server that answers with pieces: as many as it says, or fewer. */
async function listenWithPieces(pieces = PIECES) {
  const state = { sent: 0, isCanceled: false };
  const body = new ReadableStream({
    pull: (controller) => {
      controller.enqueue(new Uint8Array(PIECE_BYTES));
      state.sent += 1;
      if (state.sent === pieces) controller.close();
    },
    cancel: () => void (state.isCanceled = true),
  }, { highWaterMark: 0 });
  const headers = { "content-length": String(PIECES * PIECE_BYTES) };
  return { state, server: await listen(() => new Response(body, { headers })) };
}

Deno.test("[L1] a list in pieces costs what its peer reads, and ends when its peer leaves", async () => {
  const { server, state } = await listenWithPieces();
  await using _ = server;
  using conn = await server.connect("GET / HTTP/1.1");
  await conn.read(new Uint8Array(1));
  ok(state.sent < PIECES / 2, `${state.sent} pieces`);
  conn.close();
  await until("the list is canceled", () => state.isCanceled);
});

Deno.test("a list that ends early ends the connection", async () => {
  const { server } = await listenWithPieces(2);
  await using _ = server;
  using conn = await server.connect("GET / HTTP/1.1");
  const answer = await answerOf(conn);
  match(answer, /connection: close/);
  ok(answer.length < 3 * PIECE_BYTES);
});

Deno.test("a stop waits for the requests in flight, and for no other connection", async () => {
  const { promise: response, resolve } = Promise.withResolvers<Response>();
  let requests = 0;
  const server = await listen(() => {
    requests += 1;
    return response;
  });
  using _silent = await server.send("");
  using _half = await server.send("GET / HTTP/1.1\r\n");
  using conn = await server.connect("GET / HTTP/1.1");
  await until("the request is in flight", () => requests === 1);
  let isStopped = false;
  const stopped = server[Symbol.asyncDispose]().then(() => isStopped = true);
  resolve(problem(404, "not_found", "x".repeat(100_000)));
  match(await answerOf(conn), /x{100000}"/);
  await until("the server has stopped", () => isStopped);
  await stopped;
});
