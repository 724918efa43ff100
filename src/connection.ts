/**
 * One socket of one user, from the moment its token was accepted until it is gone.
 *
 * It knows its state and how far its user has been told. It does not know what a message
 * means, nor who else is connected.
 *
 * @module
 */
import type { Close, UserId } from "./protocol.ts";

/** The part of a WebSocket that the core uses. */
export interface Socket {
  /** Bytes given to `send` that have not left the process. */
  readonly bufferedAmount: number;
  send(message: string): void;
  close(code: number, reason: string): void;
}

/**
 * - `joining`: in the hub, but not yet claimed in the store. It misses nothing: what happens
 *   meanwhile waits in the ring behind its cursor.
 * - `live`: is told everything.
 * - `closing`: we said close and the peer has not answered. Out of the hub, sent nothing.
 * - `gone`: the socket has ended.
 */
export type ConnectionState = "joining" | "live" | "closing" | "gone";

export class Connection {
  readonly userId: UserId;
  /** The position in the ring up to which this connection has been told. Owned by the fan-out. */
  cursor: number;
  /** Since when, and at how many unsent bytes, the peer takes nothing. Owned by the fan-out. */
  stalled: { readonly since: number; readonly bytes: number } | undefined;

  readonly #socket: Socket;
  #state: ConnectionState = "joining";

  constructor(userId: UserId, socket: Socket, cursor: number) {
    this.userId = userId;
    this.cursor = cursor;
    this.#socket = socket;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  /** The store holds the user's claim: from now on the connection is told. */
  confirm(): void {
    if (this.#state === "joining") this.#state = "live";
  }

  /** @throws whatever the socket throws; the caller answers for it. */
  send(message: string): void {
    this.#socket.send(message);
  }

  /** Asks the peer to leave. Nothing is sent any more, whether it answers or not. */
  close(close: Close, reason: string): void {
    if (this.#state === "closing" || this.#state === "gone") return;
    this.#state = "closing";
    this.#socket.close(close.code, reason);
  }

  /** The socket has ended. Safe to repeat: Deno may report it twice. */
  end(): void {
    this.#state = "gone";
  }
}
