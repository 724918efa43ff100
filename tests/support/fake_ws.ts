/**
 * Sockets of the engine `ws` without a network.
 *
 * @module
 */
import { EventEmitter } from "node:events";
import type { Duplex } from "node:stream";
import type { WebSocket } from "ws";
import { TextFrames } from "../../src/socket/ws_frames.ts";
import { WsSocket, type WsSocketEngine } from "../../src/socket/ws_socket.ts";

/** The part of an `npm:ws` WebSocket that a socket uses. */
export class FakeWs extends EventEmitter {
  readonly OPEN = 1;
  readyState = 1;
  bufferedAmount = 0;
  readonly calls: string[] = [];

  close(code: number, reason: string): void {
    this.readyState = 2;
    this.calls.push(`close ${code} ${reason}`);
  }

  terminate(): void {
    this.calls.push("terminate");
  }
}

/** An engine whose turns end when the test says so. */
export class FakeWsEngine implements WsSocketEngine {
  readonly frames = new TextFrames();
  /** Each write to a socket. */
  readonly writes: Uint8Array[] = [];
  readonly #shared = new Set<Uint8Array>();
  nowMs = 0;
  #unwritten: WsSocket[] = [];

  open(): { readonly socket: WsSocket; readonly ws: FakeWs } {
    const ws = new FakeWs();
    const connection = {
      write: (bytes: Uint8Array) => void this.writes.push(bytes),
      pause: () => {},
    };
    const socket = new WsSocket(
      this,
      ws as unknown as WebSocket,
      connection as unknown as Duplex,
    );
    return { socket, ws };
  }

  frameOf(text: string): Uint8Array {
    const frame = this.frames.of(text);
    this.#shared.add(frame);
    return frame;
  }

  /** Bytes written that are not a shared frame: they were copied for one socket. */
  get copiedBytes(): number {
    return this.writes.filter((bytes) => !this.#shared.has(bytes))
      .reduce((sum, { length }) => sum + length, 0);
  }

  /** Bytes of all frames, each of them once. */
  get frameBytes(): number {
    return [...this.#shared].reduce((sum, { length }) => sum + length, 0);
  }

  flushSoon(socket: WsSocket): void {
    this.#unwritten.push(socket);
  }

  ended(): void {}

  now(): number {
    return this.nowMs;
  }

  endTurn(): void {
    for (const socket of this.#unwritten.splice(0)) socket.flush();
  }
}
