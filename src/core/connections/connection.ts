/**
 * One socket of one user, from the moment its token was accepted until it is gone.
 *
 * It knows its state and how far its user has been told. It does not know what a message
 * means, nor who else is connected.
 *
 * @module
 */
import type { Disconnect } from "../../protocol/disconnect.ts";
import type { Status } from "../../protocol/messages.ts";
import type { UserId } from "../../protocol/user_id.ts";

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

/** A cursor before everything: what is told next must be a whole state. */
export const NEEDS_SNAPSHOT = -1;

/** What a connection that watches keeps. Owned by the audience and the fan-out. */
export interface Watching {
  readonly ids: ReadonlySet<UserId>;
  /**
   * Watched users who changed since it was told, with their first change. Whoever is now as
   * that change left them has changed; whoever is not is back where they were.
   */
  readonly changed: Map<UserId, Status>;
}

/** What version 2 keeps of a connection. */
export interface Sync {
  /** Nothing: it hears about everybody. */
  watching: Watching | undefined;
  /** It was told where it stands; one that resumed is told at once, also if nothing happened. */
  hasSnapshot: boolean;
  /** What is said of its messages before that. */
  queuedControl: string[] | undefined;
  /** The `ref` of the watch that what is told next answers. */
  ref: number | undefined;
  /** Too many are online to name them all; it is told how many. */
  isCounting: boolean;
  /** When it is told that its token ends soon, by the clock of the core. Owned by `TokenExpiry`. */
  warnAt: number | undefined;
}

/** What a connection is made with. */
export interface ConnectionStart {
  readonly version: 1 | 2;
  readonly cursor: number;
  /** When its token ends, by the clock of the core. */
  readonly endsAt: number;
  /** The `jti` of its token. */
  readonly tokenId?: string | undefined;
  /** Told when we close: what waits for its peer's answer takes no good client's place. */
  readonly slot?: { moveToClosing(): void } | undefined;
}

export class Connection {
  readonly userId: UserId;
  /** The position in the ring up to which this connection has been told. Owned by the fan-out. */
  cursor: number;
  /** Since when, and at how many unsent bytes, the peer takes nothing. Owned by the fan-out. */
  stalled: { readonly since: number; readonly bytes: number } | undefined;
  /** When it was last told anything, by the clock of the core. Version 2 only. */
  lastSentAt = -Infinity;
  /** Version 2 only. */
  readonly sync: Sync | undefined;

  readonly #socket: Socket;
  readonly #slot: { moveToClosing(): void } | undefined;
  #endsAt: number;
  #tokenId: string | undefined;
  #state: ConnectionState = "joining";

  constructor(
    userId: UserId,
    socket: Socket,
    { version, cursor, endsAt, tokenId, slot }: ConnectionStart,
  ) {
    this.userId = userId;
    this.cursor = cursor;
    this.#endsAt = endsAt;
    this.#tokenId = tokenId;
    this.#socket = socket;
    this.#slot = slot;
    this.sync = version === 1 ? undefined : {
      watching: undefined,
      hasSnapshot: false,
      queuedControl: undefined,
      ref: undefined,
      isCounting: false,
      warnAt: undefined,
    };
  }

  get state(): ConnectionState {
    return this.#state;
  }

  /** When its token ends, by the clock of the core. */
  get endsAt(): number {
    return this.#endsAt;
  }

  get bufferedBytes(): number {
    return this.#socket.bufferedAmount;
  }

  /** The store holds the user's claim: from now on the connection is told. */
  confirm(): void {
    if (this.#state === "joining") this.#state = "live";
  }

  /** The `jti` of its token. */
  get tokenId(): string | undefined {
    return this.#tokenId;
  }

  /** There is another token of the same user. */
  extend(endsAt: number, tokenId: string | undefined): void {
    this.#endsAt = endsAt;
    this.#tokenId = tokenId;
    if (this.sync !== undefined) this.sync.warnAt = undefined;
  }

  /** @throws whatever the socket throws; the caller answers for it. */
  send(message: string): void {
    this.#socket.send(message);
  }

  /** Asks the peer to leave. Nothing is sent any more, whether it answers or not. */
  close({ code, reason }: Disconnect): "closing" | "closed before" {
    if (this.#state === "closing" || this.#state === "gone") {
      return "closed before";
    }
    this.#state = "closing";
    this.#slot?.moveToClosing();
    this.#socket.close(code, reason);
    return "closing";
  }

  /** The socket has ended. Safe to repeat: Deno may report it twice. */
  end(): void {
    this.#state = "gone";
  }
}
