/**
 * A socket session is one WebSocket, from the answered upgrade request to the end of the socket.
 *
 * It waits for the socket to open and for the authorization, keeps the messages that the client
 * sends meanwhile, and passes the socket's events to its connection. It does not know how a token
 * is verified, or which messages the server sends.
 *
 * @module
 */
import type { Authorization, AuthorizedUser } from "../access/authorize.ts";
import type { Slot } from "../access/slot.ts";
import type { Deadlines } from "../base/deadlines.ts";
import { CLIENT_MESSAGES_MAX } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import type { Metrics } from "../base/metrics.ts";
import type { TokenBucket } from "../base/token_bucket.ts";
import { Connection } from "../core/connections/connection.ts";
import type { Connections } from "../core/connections/connections.ts";
import type { Fanout } from "../core/fanout/fanout.ts";
import type { Roster } from "../core/roster/roster.ts";
import { LEAVE } from "../client/protocol/close.ts";
import {
  DISCONNECT,
  type Disconnect,
  withDetail,
} from "../client/protocol/disconnect.ts";
import {
  ClientMessages,
  type ClientMessagesDeps,
  messageBudget,
} from "./client_messages.ts";
import type { Data, EngineSocket, SocketListener } from "./engine.ts";
import type { SocketRequest } from "./handshake.ts";
import { CLIENT_MESSAGE_BYTES_MAX, CLOSE_DELAY_MS } from "./limits.ts";

export interface SocketSessionDeps extends ClientMessagesDeps {
  readonly connections: Connections;
  readonly roster: Roster;
  readonly fanout:
    & ClientMessagesDeps["fanout"]
    & Pick<Fanout, "subscribeV1" | "subscribeV2">;
  readonly log: Log;
  readonly metrics: Metrics;
  /** Loses the sessions whose sockets do not open in time. */
  readonly handshakes: Pick<Deadlines<SocketSession>, "begin" | "end">;
  /** Whether the node drains. From then on no session gets a connection. */
  readonly draining: () => boolean;
}

/**
 * - `opening`: the upgrade is answered, and the socket has not opened.
 * - `authorizing`: the socket is open, and its messages wait for the authorization.
 * - `connected`: the user has a connection.
 * - `over`: the session closed the socket, or the socket ended. Messages and the authorization
 *   are ignored from here on.
 *
 * A token is a part of the request, so it is kept no longer than until the authorization.
 */
type State =
  | {
    readonly name: "opening";
    readonly request: SocketRequest;
    readonly authorize: () => Promise<Authorization>;
  }
  | {
    readonly name: "authorizing";
    readonly early: Data[];
    earlyBytes: number;
  }
  | {
    readonly name: "connected";
    readonly connection: Connection;
    /** Version 2, from the first message on. */
    messages: ClientMessages | undefined;
  }
  | { readonly name: "over"; readonly connection: Connection | undefined };

export class SocketSession implements SocketListener {
  readonly #deps: SocketSessionDeps;
  readonly #socket: EngineSocket;
  readonly #slot: Slot;
  readonly #version: 1 | 2;
  /**
   * The cursor of version 1, so that a slow authorization does not make the client miss changes.
   */
  readonly #headAtUpgrade: number;
  /** Version 1, from the first message on. */
  #budget: TokenBucket | undefined;
  #state: State;

  constructor(
    deps: SocketSessionDeps,
    socket: EngineSocket,
    request: SocketRequest,
    slot: Slot,
    authorize: () => Promise<Authorization>,
  ) {
    this.#deps = deps;
    this.#socket = socket;
    this.#slot = slot;
    this.#version = request.version;
    this.#headAtUpgrade = deps.roster.ring.head;
    this.#state = { name: "opening", request, authorize };
    socket.listen(this);
    if (this.#isOpening) deps.handshakes.begin(this);
  }

  get #isOpening(): boolean {
    return this.#state.name === "opening";
  }

  /** The handshake took too long. A peer that leaves during it may cause no event at all. */
  lose(): void {
    this.#deps.metrics.handshakeLost();
    this.#slot.lose();
    this.#state = { name: "over", connection: undefined };
  }

  opened(): void {
    const state = this.#state;
    if (state.name !== "opening") {
      return this.#close(DISCONNECT.handshakeTimedOut);
    }
    this.#deps.handshakes.end(this);
    this.#state = { name: "authorizing", early: [], earlyBytes: 0 };
    void this.#authorize(state.request, state.authorize);
  }

  async #authorize(
    request: SocketRequest,
    authorize: () => Promise<Authorization>,
  ): Promise<void> {
    const authorization = await authorize();
    const state = this.#state;
    if (state.name !== "authorizing") return;
    if ("disconnect" in authorization) {
      this.#close(authorization.disconnect);
    } else if (this.#deps.draining()) {
      this.#close(DISCONNECT.serverGoingAway);
    } else {
      this.#connect(request, authorization);
      for (const data of state.early) this.received(data);
    }
  }

  /** Makes the user's connection. */
  #connect(
    { requestId, since, watch }: SocketRequest,
    { userId, exp, tokenId }: AuthorizedUser,
  ): void {
    const { connections, fanout, endOf, now, log, metrics } = this.#deps;
    const version = this.#version;
    log.debug({ requestId, userId, version }, "connected");
    const connection = new Connection(userId, this.#socket, {
      ...{ version, endsAt: endOf(exp), receivedAt: now(), tokenId },
      slot: this.#slot,
    });
    this.#state = { name: "connected", connection, messages: undefined };
    connections.open(connection);
    metrics.connected(version);
    if (version === 1) fanout.subscribeV1(connection, this.#headAtUpgrade);
    else if (fanout.subscribeV2(connection, { since, watch }) === "full") {
      this.#close(DISCONNECT.watchLimitReached);
    }
  }

  received(data: Data): void {
    if (this.#state.name === "over") return;
    const bytes = messageBytes(data);
    if (bytes > CLIENT_MESSAGE_BYTES_MAX) {
      this.#closeSoon(
        withDetail(DISCONNECT.messageTooLarge, CLIENT_MESSAGE_BYTES_MAX),
      );
    } else if (this.#receive(data, bytes) === "too many") {
      this.#closeSoon(DISCONNECT.tooManyMessages);
    }
  }

  #receive(data: Data, bytes: number): "received" | "too many" {
    if (this.#version === 1) {
      // A message of version 1 has no meaning, but it is allowed.
      this.#budget ??= messageBudget(this.#deps.now);
      return this.#budget.take() === "taken" ? "received" : "too many";
    }
    const state = this.#state;
    if (state.name === "connected") {
      const { connection } = state;
      const { address } = this.#slot;
      state.messages ??= new ClientMessages(this.#deps, connection, address);
      return state.messages.receive(data);
    }
    if (state.name !== "authorizing") return "received";
    state.early.push(data);
    state.earlyBytes += bytes;
    const isTooMany = state.early.length > CLIENT_MESSAGES_MAX ||
      state.earlyBytes > CLIENT_MESSAGE_BYTES_MAX;
    return isTooMany ? "too many" : "received";
  }

  get #connection(): Connection | undefined {
    return "connection" in this.#state ? this.#state.connection : undefined;
  }

  #closeSoon(why: Disconnect): void {
    const connection = this.#connection;
    this.#state = { name: "over", connection };
    // Deno loses the close frame while it has unread frames of the peer.
    setTimeout(() => this.#closeNow(connection, why), CLOSE_DELAY_MS);
  }

  #close(why: Disconnect): void {
    const connection = this.#connection;
    this.#state = { name: "over", connection };
    this.#closeNow(connection, why);
  }

  #closeNow(connection: Connection | undefined, why: Disconnect): void {
    const { connections, metrics } = this.#deps;
    if (connection !== undefined) {
      return connections.disconnect(connection, why);
    }
    this.#slot.moveToClosing();
    this.#socket.close(why.code, why.reason);
    metrics.closed(why, "server");
  }

  violated(why: Disconnect): void {
    if (this.#state.name !== "over") this.#close(why);
  }

  ended(code: number, reason: string): void {
    const { log, metrics } = this.#deps;
    const connection = this.#connection;
    const isClosing = this.#state.name === "over" ||
      connection?.state === "closing";
    const isForGood = code === LEAVE.code && reason === LEAVE.reason;
    if (!isClosing) {
      const why = isForGood ? LEAVE : { code: knownCode(code), reason: "" };
      metrics.closed(why, "client");
    }
    log.debug({ userId: connection?.userId, code }, "disconnected");
    this.#end(isForGood);
  }

  /** The socket has ended, or never opens. Safe to repeat. */
  #end(isForGood = false): void {
    const { connections } = this.#deps;
    const connection = this.#connection;
    if (this.#isOpening) this.#deps.handshakes.end(this);
    this.#state = { name: "over", connection };
    this.#slot.release();
    if (connection !== undefined) connections.closed(connection, isForGood);
  }
}

/**
 * The code as the metrics count it. A client may send any code, so all codes of applications are
 * one: otherwise a client could make any number of time series.
 */
function knownCode(code: number): number {
  return code >= 1_000 && code <= 1_015 ? code : 4_000;
}

/**
 * Bytes of a message on the wire. A character is 1 to 3 bytes, so text is encoded only if its
 * length alone does not show whether it is too large.
 */
function messageBytes(data: Data): number {
  if (typeof data !== "string") return data.byteLength;
  const isCertain = data.length > CLIENT_MESSAGE_BYTES_MAX ||
    data.length * 3 <= CLIENT_MESSAGE_BYTES_MAX;
  return isCertain ? data.length : new TextEncoder().encode(data).length;
}
