/**
 * A server between a page and the real one. It answers some paths itself, and can play the server's
 * end of sockets. Everything else passes.
 *
 * @module
 */
import {
  createServer,
  type IncomingMessage,
  request as forward,
  type ServerResponse,
} from "node:http";
import { type AddressInfo, connect, type Socket } from "node:net";
import type { Buffer } from "node:buffer";
import type { Duplex } from "node:stream";
import { type WebSocket, WebSocketServer } from "ws";
import type { ServerMessage } from "../../src/client/protocol/messages.ts";

/** A response; `"cut"`: the connection ends without one; `undefined`: the real server answers. */
type Answer = Response | "cut" | undefined;

export interface FrontOptions {
  /** The server behind it. */
  readonly url: string;
  /** Called for each request that is no socket, with its path without the query. */
  readonly answer?: (
    method: string,
    path: string,
  ) => Answer | Promise<Answer>;
  /** Plays the server for each socket that the page opens. */
  readonly play?: (socket: WebSocket, nth: number) => void;
}

export interface Front extends AsyncDisposable {
  /** Ends with a slash. */
  readonly url: string;
  /** How many sockets were opened so far. */
  readonly sockets: number;
  /** The paths of the requests so far, also of those that got no answer. */
  readonly paths: readonly string[];
  /** Ends every connection, and answers nothing until it is up again. */
  setDown(isDown: boolean): void;
}

export async function startFront(
  { url, answer = () => undefined, play }: FrontOptions,
): Promise<Front> {
  const { hostname, port } = new URL(url);
  const connections = new Set<Duplex>();
  const sockets = new WebSocketServer({ noServer: true });
  const paths: string[] = [];
  let opened = 0;
  let isDown = false;

  const server = createServer(async (request, response) => {
    const [path = ""] = (request.url ?? "").split("?");
    paths.push(path);
    const own = isDown ? "cut" : await answer(request.method ?? "", path);
    if (own === "cut") return void request.socket.destroy();
    if (own !== undefined) return await send(own, response);
    const { method, headers } = request;
    const target = { hostname, port, path: request.url, method, headers };
    const upstream = forward(target, (answered) => {
      response.writeHead(answered.statusCode ?? 502, answered.headers);
      answered.pipe(response);
    });
    upstream.on("error", () => request.socket.destroy());
    request.pipe(upstream);
  });
  server.on("connection", (socket: Socket) => {
    connections.add(socket);
    socket.on("close", () => connections.delete(socket));
  });
  server.on("upgrade", (request, socket: Duplex, head: Buffer) => {
    paths.push("/ws");
    if (isDown) return void socket.destroy();
    const nth = opened++;
    if (play === undefined) {
      return passSocket(request, socket, hostname, Number(port));
    }
    sockets.handleUpgrade(request, socket, head, (peer) => play(peer, nth));
  });
  await new Promise<void>((resolve) =>
    server.listen(0, "127.0.0.1", () => resolve())
  );
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    get sockets() {
      return opened;
    },
    paths,
    setDown: (next) => {
      isDown = next;
      if (!isDown) return;
      for (const connection of connections) connection.destroy();
    },
    [Symbol.asyncDispose]: async () => {
      for (const socket of sockets.clients) socket.terminate();
      for (const connection of connections) connection.destroy();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export function sendTo(socket: WebSocket, message: ServerMessage): void {
  socket.send(JSON.stringify(message));
}

/** Holds every request for a path back until `open` is called. */
export function gate(path: string): {
  readonly held: Promise<void>;
  readonly open: () => void;
  readonly answer: (method: string, path: string) => Promise<undefined>;
} {
  const { promise, resolve } = Promise.withResolvers<void>();
  const held = Promise.withResolvers<void>();
  return {
    ...{ held: held.promise, open: resolve },
    answer: async (_method, requested) => {
      if (requested !== path) return;
      held.resolve();
      await promise;
    },
  };
}

async function send(own: Response, response: ServerResponse): Promise<void> {
  response.writeHead(own.status, Object.fromEntries(own.headers));
  response.end(new Uint8Array(await own.arrayBuffer()));
}

/** Sends the request for a socket on as it came, and then every byte of both sides. */
function passSocket(
  { url, rawHeaders }: IncomingMessage,
  socket: Duplex,
  host: string,
  port: number,
): void {
  const upstream = connect(port, host, () => {
    let head = `GET ${url} HTTP/1.1\r\n`;
    for (let index = 0; index < rawHeaders.length; index += 2) {
      head += `${rawHeaders[index]}: ${rawHeaders[index + 1]}\r\n`;
    }
    upstream.write(`${head}\r\n`);
    socket.pipe(upstream).pipe(socket);
  });
  upstream.on("error", () => socket.destroy());
  upstream.on("close", () => socket.destroy());
  socket.on("error", () => upstream.destroy());
  socket.on("close", () => upstream.destroy());
}
