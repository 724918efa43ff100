/**
 * A connection is one socket of one user, from the moment its token was accepted until the
 * socket is gone.
 *
 * It owns its state and what is known of its token. It does not know what a message means,
 * what was sent before (its subscriber in `fanout/` does), or which other connections exist.
 *
 * @module
 */
import type { Disconnect } from "../../client/protocol/disconnect.ts";
import type { UserId } from "../../client/protocol/user_id.ts";

/** The part of a WebSocket that the core uses. */
export interface Socket {
  /**
   * Whether messages can be sent. A socket may be neither open nor ended for any time: its engine
   * closes it, and its peer does not read.
   */
  readonly isOpen: boolean;
  /** Bytes given to `send` that have not left the process. */
  readonly bufferedAmount: number;
  send(message: string): void;
  close(code: number, reason: string): void;
}

/**
 * - `joining`: in the hub, but its user is not claimed in the store yet. Nothing is sent. It
 *   misses nothing: changes wait in the ring, behind the cursor of its subscriber.
 * - `live`: changes and messages are sent.
 * - `closing`: the server sent a close frame and the peer has not answered. Out of the hub;
 *   nothing is sent.
 * - `gone`: the socket has ended.
 */
export type ConnectionState = "joining" | "live" | "closing" | "gone";

/** What the core knows of a token. Times are in milliseconds, by the core's clock. */
export interface TokenFacts {
  /** When the token expires. */
  readonly endsAt: number;
  /** When the server received it. */
  readonly receivedAt: number;
  /** Its `jti`. */
  readonly tokenId?: string | undefined;
}

/** What a connection is made with. */
export interface ConnectionStart extends TokenFacts {
  /** The version of the protocol that the client speaks. */
  readonly version: 1 | 2;
  /** Frees the slot for another client while this socket waits for its peer to answer a close. */
  readonly slot?: { moveToClosing(): void } | undefined;
}

export class Connection {
  readonly userId: UserId;
  /** The version of the protocol that the client speaks. */
  readonly version: 1 | 2;
  readonly #socket: Socket;
  readonly #slot: { moveToClosing(): void } | undefined;
  #token: TokenFacts;
  #state: ConnectionState = "joining";

  constructor(userId: UserId, socket: Socket, start: ConnectionStart) {
    this.userId = userId;
    this.version = start.version;
    this.#socket = socket;
    this.#slot = start.slot;
    this.#token = start;
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** When its token expires, in milliseconds by the core's clock. */
  get endsAt(): number {
    return this.#token.endsAt;
  }

  /** When the server received its token, in milliseconds by the core's clock. */
  get tokenReceivedAt(): number {
    return this.#token.receivedAt;
  }

  /** The `jti` of its token. */
  get tokenId(): string | undefined {
    return this.#token.tokenId;
  }

  /** Whether its socket can send. */
  get isOpen(): boolean {
    return this.#socket.isOpen;
  }

  /** Bytes sent that have not left the process. */
  get bufferedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  /** The store holds the user's claim: a joining connection becomes live. */
  confirm(): void {
    if (this.#state === "joining") this.#state = "live";
  }

  /** Replaces the token by a later one of the same user. */
  extend(token: TokenFacts): void {
    this.#token = token;
  }

  /** @throws whatever the socket throws. The caller disconnects. */
  send(message: string): void {
    this.#socket.send(message);
  }

  /**
   * Sends a close frame. Nothing is sent after it, whether the peer answers or not. Never throws: a
   * socket that cannot be closed any more ends by itself.
   */
  close({ code, reason }: Disconnect): "closing" | "closed before" {
    const isOver = this.#state === "closing" || this.#state === "gone";
    if (isOver) return "closed before";
    this.#state = "closing";
    this.#slot?.moveToClosing();
    try {
      this.#socket.close(code, reason);
    } catch {
      // The caller may close a list of connections, and goes on with the next one.
    }
    return "closing";
  }

  /** The socket has ended. Safe to repeat: Deno may report it twice. */
  end(): void {
    this.#state = "gone";
  }
}
