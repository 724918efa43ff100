/**
 * The HTTP server of the `ws` engine: `node:http`, run by Deno.
 *
 * It has the bounds that `Deno.serve` lacks: on the headers of a request, and on the time that a
 * peer takes to send one or to read the answer. A request for an upgrade keeps its TCP connection
 * (`node_request.ts`), so that the socket engine can take it. It does not know what a request asks
 * for.
 *
 * @module
 */
import { once } from "node:events";
import {
  createServer,
  type IncomingMessage,
  type Server,
  type ServerResponse,
  STATUS_CODES,
} from "node:http";
import { type AddressInfo, connect } from "node:net";
import { type Duplex, Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { ReadableStream as WebStream } from "node:stream/web";
import { messageOf } from "../base/message_of.ts";
import {
  cannotListen,
  type HttpServer,
  type HttpServerDeps,
  serverUrl,
} from "./http_server.ts";
import {
  HEADER_BYTES_MAX,
  HEADERS_MAX,
  HEADERS_TIMEOUT_MS,
  LISTENER_CHECK_MS,
  REQUEST_CHECK_MS,
  REQUEST_TIMEOUT_MS,
  RESPONSE_STALL_MS,
} from "./limits.ts";
import { NodeUpgrade, toRequest } from "./node_request.ts";
import { problem } from "./problem.ts";
import type { UpgradeRequest } from "./request.ts";

/** Options of `node:http` that its types do not have yet. */
const UPGRADES = {
  // Some clients offer HTTP/2 with each request, and expect an answer as usual.
  shouldUpgradeCallback: ({ headers }: IncomingMessage) =>
    headers.upgrade?.toLowerCase() === "websocket",
};

/** Where a server on all addresses is. `localhost` may be an address of the other family. */
const LOOPBACK: Readonly<Record<string, string>> = {
  "0.0.0.0": "127.0.0.1",
  "::": "::1",
};

export class NodeServer implements HttpServer {
  readonly #deps: HttpServerDeps;
  readonly #server: Server;
  readonly #stop = new AbortController();
  #address: AddressInfo = { address: "", family: "", port: 0 };
  #checking: Promise<void> | undefined;
  /**
   * Connections without a request in flight. Some never had one: browsers connect before they need
   * it.
   */
  readonly #waiting = new Set<Duplex>();

  private constructor(deps: HttpServerDeps) {
    this.#deps = deps;
    this.#server = createServer({
      ...UPGRADES,
      headersTimeout: HEADERS_TIMEOUT_MS,
      requestTimeout: REQUEST_TIMEOUT_MS,
      connectionsCheckingInterval: REQUEST_CHECK_MS,
      maxHeaderSize: HEADER_BYTES_MAX,
      // The routes check the host, with the same answer for all engines.
      requireHostHeader: false,
    });
    // `node:http` ignores the headers past this number, and `#handle` refuses the request.
    this.#server.maxHeadersCount = HEADERS_MAX + 1;
    this.#server.on("connection", (connection) => {
      this.#waiting.add(connection);
      connection.once("close", () => this.#waiting.delete(connection));
    });
    this.#server.on(
      "request",
      (incoming, outgoing) => void this.#answer(incoming, outgoing),
    );
    this.#server.on(
      "upgrade",
      (incoming, socket, head) =>
        void this.#answerUpgrade(new NodeUpgrade(incoming, socket, head)),
    );
  }

  /** @throws {StartError} when it cannot listen on the host and the port. */
  static async listen(deps: HttpServerDeps): Promise<NodeServer> {
    const server = new NodeServer(deps);
    try {
      await server.#listen(deps.port);
    } catch (cause) {
      throw cannotListen(deps, cause);
    }
    server.#checking = server.#keepListening();
    return server;
  }

  get url(): string {
    return serverUrl(this.#address.address, this.#address.port);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#checking;
    await new Promise<void>((resolve) => {
      this.#server.close(() => resolve());
      for (const connection of this.#waiting) connection.destroy();
    });
  }

  async #listen(port: number): Promise<void> {
    const { host, reusePort } = this.#deps;
    const listening = once(this.#server, "listening");
    this.#server.listen({ host, port, reusePort });
    await listening;
    this.#address = this.#server.address() as AddressInfo;
  }

  /**
   * Deno's listener goes deaf, without an event, when a connection cannot be accepted, for example
   * without a free file descriptor. So the server connects to itself now and then. It cannot do so
   * where the system may give the connection to another process.
   */
  async #keepListening(): Promise<void> {
    const { reusePort, clock, log } = this.#deps;
    const { signal } = this.#stop;
    while (!reusePort && !signal.aborted) {
      await clock.sleep(LISTENER_CHECK_MS, signal);
      if (signal.aborted || await this.#isAccepting()) continue;
      const reason = "no connection was accepted";
      log.error({ reason }, "the HTTP listener ended, listening again");
      this.#server.close();
      await this.#listen(this.#address.port).catch((err) =>
        log.error({ reason: messageOf(err) }, "cannot listen, trying again")
      );
    }
  }

  async #isAccepting(): Promise<boolean> {
    const { address, port } = this.#address;
    const host = LOOPBACK[address] ?? address;
    const probe = connect({ host, port });
    const timeout = AbortSignal.timeout(LISTENER_CHECK_MS);
    const signal = AbortSignal.any([this.#stop.signal, timeout]);
    probe.on("error", () => {});
    try {
      // A connection of another peer that is accepted meanwhile is as good.
      await once(this.#server, "connection", { signal });
      return true;
    } catch {
      return this.#stop.signal.aborted;
    } finally {
      probe.destroy();
    }
  }

  async #answer(
    incoming: IncomingMessage,
    outgoing: ServerResponse,
  ): Promise<void> {
    // A peer that does not read its answer is disconnected.
    outgoing.setTimeout(RESPONSE_STALL_MS, () => outgoing.destroy());
    const { socket } = incoming;
    this.#waiting.delete(socket);
    outgoing.once("close", () => {
      if (!socket.destroyed) this.#waiting.add(socket);
    });
    const response = await this.#handle(incoming, toRequest(incoming));
    if (response.body !== null && response.headers.has("content-length")) {
      return await sendInPieces(response, response.body, outgoing);
    }
    const { body, headers } = await bodyAndHeaders(response);
    outgoing.writeHead(response.status, headers);
    outgoing.end(body);
  }

  async #answerUpgrade(upgrade: NodeUpgrade): Promise<void> {
    const { incoming, socket } = upgrade;
    this.#waiting.delete(socket);
    // A peer that resets the connection ends it, and nothing else.
    socket.on("error", () => socket.destroy());
    const response = await this.#handle(incoming, upgrade);
    // The socket engine took the connection, or the peer has left.
    if (upgrade.take() === "taken" || socket.destroyed) return;
    const { body, headers } = await bodyAndHeaders(response);
    const lines = [...headers, ["connection", "close"]]
      .map(([name, value]) => `${name}: ${value}\r\n`).join("");
    const { status } = response;
    this.#endInTime(socket);
    const start = `HTTP/1.1 ${status} ${STATUS_CODES[status] ?? ""}\r\n`;
    socket.end(Buffer.concat([Buffer.from(`${start}${lines}\r\n`), body]));
  }

  /** Ends a connection after what is written to it, even if its peer neither reads nor closes. */
  #endInTime(socket: Duplex): void {
    const ended = new AbortController();
    socket.once("close", () => ended.abort());
    socket.once("finish", () => socket.destroy());
    void this.#deps.clock.sleep(RESPONSE_STALL_MS, ended.signal)
      .then(() => socket.destroy());
  }

  async #handle(
    incoming: IncomingMessage,
    request: Request | UpgradeRequest,
  ): Promise<Response> {
    if (incoming.rawHeaders.length > 2 * HEADERS_MAX) {
      const message = `expected at most ${HEADERS_MAX} headers`;
      return problem(431, "too_many_headers", message);
    }
    return await this.#deps.handle(
      request,
      incoming.socket.remoteAddress ?? "",
    );
  }
}

/**
 * Sends a long body as its peer reads it. The connection ends with it, because a body may end early,
 * and the peer would wait for the rest.
 */
async function sendInPieces(
  { status, headers }: Response,
  body: ReadableStream<Uint8Array<ArrayBuffer>>,
  outgoing: ServerResponse,
): Promise<void> {
  outgoing.writeHead(status, [...headers, ["connection", "close"]]);
  // It rejects if the peer leaves.
  await pipeline(Readable.fromWeb(body as WebStream), outgoing).catch(() => {});
}

/** A body without a length is small, so it is written in one piece. */
async function bodyAndHeaders(response: Response): Promise<{
  readonly body: Uint8Array;
  readonly headers: [name: string, value: string][];
}> {
  const body = new Uint8Array(await response.arrayBuffer());
  const headers = new Headers(response.headers);
  const hasBody = response.status >= 200 && response.status !== 204 &&
    response.status !== 304;
  if (hasBody && !headers.has("content-length")) {
    headers.set("content-length", String(body.byteLength));
  }
  return { body, headers: [...headers] };
}
