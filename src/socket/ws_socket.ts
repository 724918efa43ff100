/**
 * A socket of the `ws` engine: an `npm:ws` WebSocket over the TCP connection of a request.
 *
 * `ws` reads frames, and answers pings and closes. Texts are written past it: their frames are
 * shared by all readers, and what a socket is sent in one turn of the event loop is one write.
 * Frames are written whole, so the frames that `ws` writes itself go between them.
 *
 * A peer that sends what it must not, or too many control frames, is disconnected. Once the socket
 * closes, a peer that goes on sending is terminated.
 *
 * @module
 */
import process from "node:process";
import type { Duplex } from "node:stream";
import type { WebSocket } from "ws";
import { TokenBucket } from "../base/token_bucket.ts";
import {
  DISCONNECT,
  type Disconnect,
  withDetail,
} from "../client/protocol/disconnect.ts";
import type { EngineSocket, SocketListener } from "./engine.ts";
import {
  CLIENT_MESSAGE_BYTES_MAX,
  CONTROL_FRAMES_MAX,
  CONTROL_FRAMES_PER_SECOND_MAX,
  FRAMES_AFTER_CLOSE_MAX,
  IDLE_TIMEOUT_SECONDS,
} from "./limits.ts";
import { PING } from "./ws_frames.ts";

/** What a socket uses of its engine. */
export interface WsSocketEngine {
  /** The shared frame of a text. */
  frameOf(text: string): Uint8Array;
  /** Calls `flush` at the end of this turn of the event loop. */
  flushSoon(socket: WsSocket): void;
  ended(socket: WsSocket): void;
  /** Milliseconds. */
  now(): number;
}

export class WsSocket implements EngineSocket {
  readonly #engine: WsSocketEngine;
  readonly #ws: WebSocket;
  readonly #connection: Duplex;
  /** Frames to write at the end of this turn. */
  #unwritten: Uint8Array[] = [];
  #unwrittenBytes = 0;
  #heardAt: number;
  #isPinged = false;
  #controlFrames: TokenBucket | undefined;
  #framesAfterClose = 0;

  constructor(engine: WsSocketEngine, ws: WebSocket, connection: Duplex) {
    this.#engine = engine;
    this.#ws = ws;
    this.#connection = connection;
    this.#heardAt = engine.now();
  }

  listen(listener: SocketListener): void {
    const ws = this.#ws;
    ws.on("message", (data: Buffer, isBinary) => {
      if (this.#hear() === "open") {
        listener.received(isBinary ? data : data.toString());
      }
    });
    const onControl = () => {
      if (this.#hear() === "open" && this.#controlBudget.take() === "empty") {
        listener.violated(DISCONNECT.tooManyMessages);
      }
    };
    ws.on("ping", onControl);
    ws.on("pong", onControl);
    ws.on("error", (err) => {
      listener.violated(disconnectFor(err));
      // `ws` has sent a close frame. In the next tick it would go on reading, to discard what comes.
      process.nextTick(() => this.#connection.pause());
    });
    ws.on("close", (code, reason) => {
      this.#engine.ended(this);
      listener.ended(code, reason.toString());
    });
    listener.opened();
  }

  get isOpen(): boolean {
    return this.#ws.readyState === this.#ws.OPEN;
  }

  get bufferedAmount(): number {
    return this.#ws.bufferedAmount + this.#unwrittenBytes;
  }

  send(message: string): void {
    this.#write(this.#engine.frameOf(message));
  }

  close(code: number, reason: string): void {
    this.flush();
    this.#ws.close(code, reason);
  }

  /** Ends the socket without waiting for its peer. */
  terminate(): void {
    this.#ws.terminate();
  }

  /** Writes what was sent in this turn. */
  flush(): void {
    const frames = this.#unwritten;
    if (frames.length === 0) return;
    const [first] = frames;
    const bytes = frames.length === 1 && first !== undefined
      ? first
      : Buffer.concat(frames, this.#unwrittenBytes);
    this.#unwritten = [];
    this.#unwrittenBytes = 0;
    if (this.isOpen) this.#connection.write(bytes);
  }

  /** Pings a silent peer, and terminates one that has been silent for too long. */
  checkPeer(): void {
    const silentMs = this.#engine.now() - this.#heardAt;
    if (silentMs >= IDLE_TIMEOUT_SECONDS * 1_000) this.terminate();
    else if (silentMs >= IDLE_TIMEOUT_SECONDS * 500 && !this.#isPinged) {
      this.#isPinged = true;
      this.#write(PING);
    }
  }

  get #controlBudget(): TokenBucket {
    return this.#controlFrames ??= new TokenBucket(
      CONTROL_FRAMES_MAX,
      CONTROL_FRAMES_PER_SECOND_MAX,
      () => this.#engine.now(),
    );
  }

  #write(frame: Uint8Array): void {
    if (!this.isOpen) return;
    if (this.#unwritten.length === 0) this.#engine.flushSoon(this);
    this.#unwritten.push(frame);
    this.#unwrittenBytes += frame.byteLength;
  }

  /** Notes a frame of the peer. After our close its frames are counted and have no other effect. */
  #hear(): "open" | "closing" {
    this.#heardAt = this.#engine.now();
    this.#isPinged = false;
    if (this.isOpen) return "open";
    this.#framesAfterClose += 1;
    if (this.#framesAfterClose > FRAMES_AFTER_CLOSE_MAX) this.terminate();
    return "closing";
  }
}

/** Why `ws` closes a socket. Its close frame has the code, and no reason. */
function disconnectFor(err: Error): Disconnect {
  switch ((err as NodeJS.ErrnoException).code) {
    case "WS_ERR_UNSUPPORTED_MESSAGE_LENGTH":
    case "WS_ERR_UNSUPPORTED_DATA_PAYLOAD_LENGTH":
      return withDetail(DISCONNECT.messageTooLarge, CLIENT_MESSAGE_BYTES_MAX);
    case "WS_ERR_INVALID_UTF8":
      return DISCONNECT.invalidText;
    case "WS_ERR_TOO_MANY_BUFFERED_PARTS":
      return DISCONNECT.tooManyMessages;
    default:
      return DISCONNECT.invalidFrame;
  }
}
