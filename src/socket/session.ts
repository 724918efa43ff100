/**
 * A visit: one socket, from our answer to its end.
 *
 * It waits for the socket to open and for the decision who comes in, keeps what the client says
 * meanwhile, and ties the socket's events to its connection. It decides neither who may come in
 * nor who hears what.
 *
 * @module
 */
import type { Slot } from "../access/admission.ts";
import { Connection, NEEDS_SNAPSHOT } from "../core/connections/connection.ts";
import type { Fanout } from "../core/fanout/fanout.ts";
import {
  CLIENT_MESSAGE_BYTES_MAX,
  DISMISSAL_MS,
  HANDSHAKE_MS,
} from "./limits.ts";
import { CLIENT_MESSAGES_MAX } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import type { Metrics } from "../base/metrics.ts";
import type { Connections } from "../core/connections/connections.ts";
import {
  DISCONNECT,
  type Disconnect,
  withDetail,
} from "../protocol/disconnect.ts";
import type { UserId } from "../protocol/user_id.ts";
import type { Roster } from "../core/roster/roster.ts";
import type { TokenBucket } from "../base/token_bucket.ts";
import {
  ClientMessages,
  messageBudget,
  type MessageDeps,
} from "./client_messages.ts";
import type { Authorization } from "../access/authorize.ts";
import type { SocketRequest } from "./handshake.ts";

export interface SocketSessionDeps extends MessageDeps {
  readonly connections: Connections;
  readonly roster: Roster;
  readonly fanout: Pick<Fanout, "sendControl" | "watch">;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Once true, nobody comes in any more. */
  readonly draining: () => boolean;
}

type Data = string | ArrayBuffer;

/** Listens to its socket itself: a closure for each event would cost more than all else here. */
export class SocketSession implements EventListenerObject {
  readonly #deps: SocketSessionDeps;
  readonly #socket: WebSocket;
  readonly #version: 1 | 2;
  /** Until somebody comes in: a token is kept no longer than it is needed. */
  #wanted: SocketRequest | undefined;
  readonly #slot: Slot;
  /** Version 1 is told whatever changes from our answer on, however long the decision takes. */
  readonly #answeredAt: number;
  /** Said before the decision. */
  #early: Data[] | undefined;
  #earlyBytes = 0;
  #decide: (() => Promise<Authorization>) | undefined;
  #handshake: ReturnType<typeof setTimeout> | undefined;
  #connection: Connection | undefined;
  /** Version 1. */
  #budget: TokenBucket | undefined;
  /** Version 2. */
  #messages: ClientMessages | undefined;
  /** Nothing that the client says or that is decided matters any more. */
  #isOver = false;

  constructor(
    deps: SocketSessionDeps,
    socket: WebSocket,
    wanted: SocketRequest,
    slot: Slot,
    decide: () => Promise<Authorization>,
  ) {
    this.#deps = deps;
    this.#socket = socket;
    this.#version = wanted.version;
    this.#wanted = wanted;
    this.#slot = slot;
    this.#answeredAt = deps.roster.ring.head;
    this.#decide = decide;
    // A peer that leaves before our answer is sent causes no event at all.
    this.#handshake = setTimeout(() => {
      deps.metrics.handshakeLost();
      this.#end();
    }, HANDSHAKE_MS);
    for (const type of ["open", "message", "error"]) {
      socket.addEventListener(type, this);
    }
    // Deno may say so twice.
    socket.addEventListener("close", this, { once: true });
  }

  handleEvent(event: Event): void {
    if (event instanceof MessageEvent) this.#hear(event.data);
    else if (event.type === "open") this.#open();
    else if (event instanceof CloseEvent) this.#leave(event.code);
    // `close` follows and says all that matters; unhandled, Deno would report it as a fault.
    else event.preventDefault();
  }

  #open(): void {
    clearTimeout(this.#handshake);
    this.#handshake = undefined;
    const decide = this.#decide;
    this.#decide = undefined;
    if (this.#isOver || decide === undefined) {
      this.#close(DISCONNECT.handshakeTimedOut);
    } else void this.#enter(decide);
  }

  /** The socket has ended. */
  #leave(code: number): void {
    const { log, metrics } = this.#deps;
    const { userId, state } = this.#connection ?? {};
    if (!this.#isOver && state !== "closing") {
      metrics.closed(knownCode(code), "client");
    }
    log.debug({ userId, code }, "disconnected");
    this.#end();
  }

  /** The socket is gone. Safe to repeat. */
  #end(): void {
    clearTimeout(this.#handshake);
    this.#isOver = true;
    this.#slot.release();
    if (this.#connection !== undefined) {
      this.#deps.connections.closed(this.#connection);
    }
  }

  async #enter(decide: () => Promise<Authorization>): Promise<void> {
    const authorization = await decide();
    if (this.#isOver) return;
    if ("disconnect" in authorization) {
      this.#isOver = true;
      this.#close(authorization.disconnect);
    } else if (this.#deps.draining()) {
      this.#isOver = true;
      this.#close(DISCONNECT.serverGoingAway);
    } else {
      this.#connection = this.#admit(authorization);
      for (const data of this.#early ?? []) this.#hear(data);
      this.#early = undefined;
    }
  }

  /** Makes an open socket a connection. */
  #admit(
    { userId, exp, tokenId }: Extract<Authorization, { userId: UserId }>,
  ): Connection {
    const { connections, roster, fanout, endOf, log } = this.#deps;
    const version = this.#version;
    const { requestId, since, watch = "*" } = this.#wanted ?? {};
    this.#wanted = undefined;
    log.debug({ requestId, userId, version }, "connected");
    const cursor = version === 1
      ? this.#answeredAt
      : (since === undefined ? undefined : roster.positionAfter(since)) ??
        NEEDS_SNAPSHOT;
    const connection = new Connection(userId, this.#socket, {
      ...{ version, cursor, endsAt: endOf(exp), tokenId },
      slot: this.#slot,
    });
    connections.open(connection);
    if (
      watch !== "*" &&
      fanout.watch(connection, watch, { since: cursor }) === "full"
    ) {
      this.#isOver = true;
      connections.disconnect(connection, DISCONNECT.watchLimitReached);
    }
    return connection;
  }

  #hear(data: Data): void {
    if (this.#isOver) return;
    const bytes = messageBytes(data);
    if (bytes > CLIENT_MESSAGE_BYTES_MAX) {
      this.#dismiss(
        withDetail(DISCONNECT.messageTooLarge, CLIENT_MESSAGE_BYTES_MAX),
      );
    } else if (this.#take(data, bytes) === "too many") {
      this.#dismiss(DISCONNECT.tooManyMessages);
    }
  }

  #take(data: Data, bytes: number): "taken" | "too many" {
    if (this.#version === 1) {
      // It has nothing to say, and may say so.
      this.#budget ??= messageBudget(this.#deps.now);
      return this.#budget.take() === "taken" ? "taken" : "too many";
    }
    if (this.#connection !== undefined) {
      this.#messages ??= new ClientMessages(this.#deps, this.#connection);
      return this.#messages.take(data);
    }
    this.#early ??= [];
    this.#early.push(data);
    this.#earlyBytes += bytes;
    const isTooMany = this.#early.length > CLIENT_MESSAGES_MAX ||
      this.#earlyBytes > CLIENT_MESSAGE_BYTES_MAX;
    return isTooMany ? "too many" : "taken";
  }

  #dismiss(why: Disconnect): void {
    this.#isOver = true;
    this.#early = undefined;
    // Deno forgets the close frame while more of the peer's frames wait to be read.
    setTimeout(() => {
      if (this.#connection === undefined) this.#close(why);
      else this.#deps.connections.disconnect(this.#connection, why);
    }, DISMISSAL_MS);
  }

  /** Ends a socket that is no connection. */
  #close({ code, reason }: Disconnect): void {
    this.#slot.moveToClosing();
    this.#socket.close(code, reason);
    this.#deps.metrics.closed(code, "server");
  }
}

/** A client may send any code, and no two need be the same. Deno has 0 for a connection that was cut. */
function knownCode(code: number): number {
  if (code === 0) return 1_006;
  return code >= 1_000 && code <= 1_015 ? code : 4_000;
}

/** Bytes on the wire. Text is only measured where its length leaves a doubt. */
function messageBytes(data: Data): number {
  if (typeof data !== "string") return data.byteLength;
  const isCertain = data.length > CLIENT_MESSAGE_BYTES_MAX ||
    data.length * 3 <= CLIENT_MESSAGE_BYTES_MAX;
  return isCertain ? data.length : new TextEncoder().encode(data).length;
}
