/**
 * The `ws` engine: `npm:ws` on the TCP connections of `http/node_server.ts`.
 *
 * It bounds every peer: the bytes and fragments of a message, the control frames in a second, the
 * time to answer a close, and the time without a frame. A peer past a bound is disconnected, and
 * terminated where it does not answer. This file upgrades requests, writes what was sent in a turn,
 * and checks for silent peers; `ws_socket.ts` is one socket.
 *
 * @module
 */
import { WebSocketServer } from "ws";
import type { Clock } from "../base/clock.ts";
import { forEachSliced } from "../base/sliced.ts";
import { takeUpgrade } from "../http/node_request.ts";
import type { RequestHead } from "../http/request.ts";
import type { Upgraded } from "./engine.ts";
import {
  CLIENT_FRAGMENTS_MAX,
  CLIENT_MESSAGE_BYTES_MAX,
  CLIENT_PIECES_MAX,
  CLOSE_ANSWER_MS,
  PEER_CHECK_MS,
} from "./limits.ts";
import { TextFrames } from "./ws_frames.ts";
import { WsSocket, type WsSocketEngine } from "./ws_socket.ts";

/** Options of `ws` that its types do not have yet. */
const BOUNDS = {
  maxFragments: CLIENT_FRAGMENTS_MAX,
  maxBufferedChunks: CLIENT_PIECES_MAX,
  closeTimeout: CLOSE_ANSWER_MS,
};

/** The response to an upgrade, which nobody reads. */
const ANSWERED = new Response();

export class WsEngine implements WsSocketEngine {
  readonly #clock: Clock;
  readonly #frames = new TextFrames();
  readonly #sockets = new Set<WsSocket>();
  readonly #stop = new AbortController();
  readonly #checking: Promise<void>;
  readonly #server = new WebSocketServer({
    ...BOUNDS,
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: CLIENT_MESSAGE_BYTES_MAX,
  });
  /** The subprotocol of the upgrade that is being answered. */
  #protocol: string | undefined;
  /** Sockets that were sent something in this turn. */
  #unwritten: WsSocket[] = [];

  constructor(clock: Clock) {
    this.#clock = clock;
    this.#server.on("headers", (headers) => {
      if (this.#protocol === undefined) return;
      headers.push(`Sec-WebSocket-Protocol: ${this.#protocol}`);
    });
    this.#checking = this.#checkRepeatedly();
  }

  /** Upgrades a request of `http/node_server.ts`. */
  upgrade(
    request: RequestHead,
    protocol: string | undefined,
  ): Upgraded | undefined {
    const raw = takeUpgrade(request);
    if (raw === undefined) return undefined;
    const { incoming, head } = raw;
    // The offers were read before, by rules that allow more than those of `ws`.
    delete incoming.headers["sec-websocket-protocol"];
    this.#protocol = protocol;
    let socket: WsSocket | undefined;
    this.#server.handleUpgrade(incoming, raw.socket, head, (ws) => {
      socket = new WsSocket(this, ws, raw.socket);
      this.#sockets.add(socket);
    });
    // `ws` has answered a malformed handshake, and ended a connection whose peer has left.
    return socket && { socket, response: ANSWERED };
  }

  /** Ends all sockets. */
  async stop(): Promise<void> {
    this.#stop.abort();
    for (const socket of this.#sockets) socket.terminate();
    await this.#checking;
  }

  frameOf(text: string): Uint8Array {
    return this.#frames.of(text);
  }

  flushSoon(socket: WsSocket): void {
    if (this.#unwritten.length === 0) queueMicrotask(() => this.#flush());
    this.#unwritten.push(socket);
  }

  ended(socket: WsSocket): void {
    this.#sockets.delete(socket);
  }

  now(): number {
    return this.#clock.now();
  }

  #flush(): void {
    const sockets = this.#unwritten;
    this.#unwritten = [];
    for (const socket of sockets) socket.flush();
  }

  async #checkRepeatedly(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.#clock.sleep(PEER_CHECK_MS, signal);
      const check = (socket: WsSocket) => socket.checkPeer();
      await forEachSliced(this.#sockets, check, this.#clock, signal);
    }
  }
}
