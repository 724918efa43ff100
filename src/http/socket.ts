/**
 * The door for sockets: from a request for `/ws` to a connection that presence knows.
 *
 * Whatever can be refused by a status code is refused before the upgrade. A bad token is
 * not: browsers hide a refused handshake from the page, so the socket is opened and closed
 * with 1008 and a reason.
 *
 * @module
 */
import type { Admission, Ticket } from "../admission.ts";
import type { Verdict, Verify } from "../auth.ts";
import type { Clock } from "../clock.ts";
import type { Config } from "../config.ts";
import { Connection, UNTOLD } from "../connection.ts";
import type { Fanout } from "../fanout.ts";
import type { Feed } from "../feed.ts";
import {
  CLIENT_MESSAGE_BYTES_MAX,
  DISMISSAL_MS,
  HANDSHAKE_MS,
  IDLE_TIMEOUT_SECONDS,
} from "../limits.ts";
import type { Log } from "../log.ts";
import type { Measure } from "../measure.ts";
import type { Presence } from "../presence.ts";
import type { Provision } from "../provision.ts";
import { CLOSE, type Close, type UserId } from "../protocol.ts";
import { reasonOf } from "../reason.ts";
import type { Roster } from "../roster.ts";
import { ClientMessages, type MessageParts } from "./client_messages.ts";
import { problem, refused } from "./problem.ts";
import { readSocketRequest, type SocketRequest } from "./socket_request.ts";
import { verified } from "./verified.ts";

export interface DoorParts {
  readonly config: Pick<Config, "allowedOrigins" | "watchedUsersMax">;
  readonly admission: Admission;
  readonly verify: Verify;
  readonly presence: Presence;
  readonly roster: Roster;
  readonly feed: Pick<Feed, "catchUp">;
  readonly fanout: Pick<Fanout, "say" | "watch">;
  /** Makes the user's row, where that is wanted. */
  readonly provision: Provision | undefined;
  readonly clock: Clock;
  readonly log: Log;
  readonly measure: Measure;
  /** Once true, new sockets are refused. */
  readonly draining: () => boolean;
}

/** Who comes in, or how the socket is closed as soon as it is open. */
type Entrance =
  | {
    readonly userId: UserId;
    readonly endsAt: number;
    readonly tokenId: string | undefined;
  }
  | { readonly close: Close; readonly reason: string };

export class SocketDoor {
  readonly #parts: DoorParts;
  readonly #messageParts: MessageParts;

  constructor(parts: DoorParts) {
    const { clock, verify, fanout, log, config: { watchedUsersMax } } = parts;
    this.#parts = parts;
    this.#messageParts = {
      ...{ verify, fanout, log, watchedUsersMax },
      endOf: (exp) => clock.now() + exp * 1_000 - Date.now(),
      now: () => clock.now(),
    };
  }

  /** Answers `GET /ws` from a client address. */
  async open(request: Request, address: string): Promise<Response> {
    const { admission, config } = this.#parts;
    const refusal = this.#refuse(request);
    if (refusal !== undefined) return refusal;
    const wanted = readSocketRequest(request, config.watchedUsersMax);
    if (wanted instanceof Response) return wanted;
    const ticket = admission.enter(address);
    if ("status" in ticket) return refused(ticket);
    let isOpening = false;
    try {
      const verdict = await verified(this.#parts, wanted.token, address);
      if (verdict instanceof Response) return verdict;
      if (!verdict.ok && ticket.refuse() === "full") {
        const headers = { "retry-after": "30" };
        const message = `${verdict.reason}; too many such sockets are open`;
        return problem(401, "unauthorized", message, headers);
      }
      if (verdict.ok && !await this.#reaches(wanted.since)) {
        const message = "this node does not know yet what you were told last";
        const headers = { "retry-after": "1" };
        return problem(503, "unavailable", message, headers);
      }
      if (verdict.ok && !await this.#provisions(verdict)) {
        const message = "users cannot be written now";
        const headers = { "retry-after": "5" };
        return problem(503, "unavailable", message, headers);
      }
      const response = this.#upgrade(request, wanted, verdict, ticket);
      isOpening = response.status === 101;
      return response;
    } finally {
      if (!isOpening) ticket.release();
    }
  }

  /** What is refused whoever asks. */
  #refuse(request: Request): Response | undefined {
    const { config: { allowedOrigins }, draining } = this.#parts;
    if (request.headers.get("upgrade")?.toLowerCase() !== "websocket") {
      return problem(
        426,
        "upgrade_required",
        "open this address as a WebSocket",
        {
          connection: "Upgrade",
          upgrade: "websocket",
        },
      );
    }
    if (draining()) {
      const headers = { "retry-after": "1" };
      return problem(
        503,
        "draining",
        "this node is going away, connect again",
        headers,
      );
    }
    const origin = request.headers.get("origin");
    if (
      allowedOrigins !== "*" && origin !== null &&
      !allowedOrigins.includes(origin)
    ) {
      return problem(
        403,
        "origin_not_allowed",
        "pages of this origin may not connect",
      );
    }
    return undefined;
  }

  /**
   * Another node may have told a client more than has reached this one; it must not go back in
   * time. A `seq` that the log does not reach either is of another history.
   */
  async #reaches(since = 0): Promise<boolean> {
    const { feed, roster } = this.#parts;
    return since <= roster.seq || await feed.catchUp() === "read";
  }

  async #provisions(
    { userId, username }: Extract<Verdict, { ok: true }>,
  ): Promise<boolean> {
    const { provision, log } = this.#parts;
    try {
      await provision?.(userId, username);
      return true;
    } catch (err) {
      log.warn({ userId, reason: reasonOf(err) }, "cannot write a user");
      return false;
    }
  }

  #upgrade(
    request: Request,
    wanted: SocketRequest,
    verdict: Verdict,
    ticket: Ticket,
  ): Response {
    try {
      const { socket, response } = Deno.upgradeWebSocket(request, {
        idleTimeout: IDLE_TIMEOUT_SECONDS,
      });
      // Deno's own option takes offers with ", " between them and no others.
      if (wanted.protocol !== undefined) {
        response.headers.set("sec-websocket-protocol", wanted.protocol);
      }
      this.#attend(socket, wanted, this.#enter(verdict, ticket), ticket);
      return response;
    } catch (err) {
      if (!(err instanceof TypeError)) throw err;
      return problem(400, "bad_handshake", "this is not a WebSocket handshake");
    }
  }

  /** Ties a socket's events to a connection. Its ticket is given back when it is gone. */
  #attend(
    socket: WebSocket,
    wanted: SocketRequest,
    entrance: Entrance,
    ticket: Ticket,
  ): void {
    const { presence, draining, log, measure } = this.#parts;
    let connection: Connection | undefined;
    let messages: ClientMessages | undefined;
    // A peer that leaves before the handshake is through causes no event at all.
    const handshake = setTimeout(() => {
      ticket.release();
      entrance = { close: CLOSE.overloaded, reason: "handshake took too long" };
    }, HANDSHAKE_MS);
    socket.onopen = () => {
      clearTimeout(handshake);
      if ("close" in entrance) {
        log.info(
          { code: entrance.close.code, reason: entrance.reason },
          "socket refused",
        );
        socket.close(entrance.close.code, entrance.reason);
        measure.closed(entrance.close.code);
      } else if (draining()) {
        socket.close(CLOSE.goingAway.code, CLOSE.goingAway.meaning);
      } else {
        connection = this.#admit(socket, wanted, entrance);
      }
    };
    let isRude = false;
    const dismiss = (rude: Connection, close: Close, reason: string) => {
      isRude = true;
      // Deno forgets the close frame while more of the peer's frames wait to be read.
      setTimeout(
        () => presence.disconnect(rude, close, reason),
        DISMISSAL_MS,
      );
    };
    socket.onmessage = ({ data }) => {
      if (connection === undefined || isRude) return;
      if (messageBytes(data) > CLIENT_MESSAGE_BYTES_MAX) {
        const reason = `expected at most ${CLIENT_MESSAGE_BYTES_MAX} bytes`;
        dismiss(connection, CLOSE.messageTooBig, reason);
      } else if (wanted.version === 2) {
        messages ??= new ClientMessages(this.#messageParts, connection);
        if (messages.take(data) === "taken") return;
        dismiss(connection, CLOSE.policy, "too many messages");
      }
    };
    socket.onclose = () => {
      clearTimeout(handshake);
      ticket.release();
      if (connection !== undefined) presence.closed(connection);
    };
    // `close` follows and says all that matters; without a handler Deno would report it as a fault.
    socket.onerror = (event) => event.preventDefault();
  }

  /** Makes an open socket a connection: whatever changes from here on, it is told. */
  #admit(
    socket: WebSocket,
    { version, since, watch }: SocketRequest,
    { userId, endsAt, tokenId }: Extract<Entrance, { userId: UserId }>,
  ): Connection {
    const { presence, roster, fanout } = this.#parts;
    const cursor = version === 1
      ? roster.ring.head
      : (since === undefined ? undefined : roster.positionAfter(since)) ??
        UNTOLD;
    const connection = new Connection(userId, socket, {
      ...{ version, cursor, endsAt, tokenId },
    });
    presence.opened(connection);
    if (watch !== "*" && fanout.watch(connection, watch, cursor) === "full") {
      const reason = "this node watches as many users as it can";
      presence.disconnect(connection, CLOSE.overloaded, reason);
    }
    return connection;
  }

  #enter(verdict: Verdict, ticket: Ticket): Entrance {
    if (!verdict.ok) return { close: CLOSE.policy, reason: verdict.reason };
    const { userId, exp, tokenId } = verdict;
    if (ticket.claim(userId) === "claimed") {
      return { userId, endsAt: this.#messageParts.endOf(exp), tokenId };
    }
    const close = CLOSE.tooManyConnections;
    return { close, reason: close.meaning };
  }
}

/** Bytes on the wire. Text is only measured where its length leaves a doubt. */
function messageBytes(data: string | ArrayBuffer): number {
  if (typeof data !== "string") return data.byteLength;
  const isCertain = data.length > CLIENT_MESSAGE_BYTES_MAX ||
    data.length * 3 <= CLIENT_MESSAGE_BYTES_MAX;
  return isCertain ? data.length : new TextEncoder().encode(data).length;
}
