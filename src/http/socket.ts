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
import type { Config } from "../config.ts";
import { Connection } from "../connection.ts";
import {
  CLIENT_MESSAGE_BYTES_MAX,
  HANDSHAKE_MS,
  IDLE_TIMEOUT_SECONDS,
} from "../limits.ts";
import type { Log } from "../log.ts";
import type { Presence } from "../presence.ts";
import {
  BEARER_SUBPROTOCOL_PREFIX,
  CLOSE,
  type Close,
  SUBPROTOCOL_V1,
  type UserId,
} from "../protocol.ts";
import type { Ring } from "../roster.ts";
import { problem, refused } from "./problem.ts";
import { requestToken } from "./request_token.ts";

export interface DoorParts {
  readonly config: Pick<Config, "allowedOrigins">;
  readonly admission: Admission;
  readonly verify: Verify;
  readonly presence: Presence;
  readonly ring: Ring;
  readonly log: Log;
  /** Once true, new sockets are refused. */
  readonly draining: () => boolean;
}

/** Who comes in, or how the socket is closed as soon as it is open. */
type Entrance =
  | { readonly userId: UserId }
  | { readonly close: Close; readonly reason: string };

export class SocketDoor {
  readonly #parts: DoorParts;

  constructor(parts: DoorParts) {
    this.#parts = parts;
  }

  /** Answers `GET /ws` from a client address. */
  async open(request: Request, address: string): Promise<Response> {
    const { admission } = this.#parts;
    const refusal = this.#refuse(request);
    if (refusal !== undefined) return refusal;
    const offer = readOffer(request.headers.get("sec-websocket-protocol"));
    if (offer === undefined) {
      return problem(
        400,
        "unknown_subprotocol",
        `none of the offered subprotocols is spoken here; offer ${SUBPROTOCOL_V1} or none`,
      );
    }
    const ticket = admission.enter(address);
    if ("status" in ticket) return refused(ticket);
    const token = offer.token ?? requestToken(request);
    let isOpening = false;
    try {
      const response = await this.#answer(
        request,
        token,
        offer.protocol,
        ticket,
        address,
      );
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

  async #answer(
    request: Request,
    token: string | undefined,
    protocol: string | undefined,
    ticket: Ticket,
    address: string,
  ): Promise<Response> {
    const { verify, admission, log } = this.#parts;
    let verdict: Verdict;
    try {
      verdict = await verify(token);
    } catch (err) {
      log.error({ err }, "cannot verify tokens");
      const headers = { "retry-after": "5" };
      return problem(
        503,
        "unavailable",
        "tokens cannot be verified now",
        headers,
      );
    }
    if (!verdict.ok) admission.failed(address);
    try {
      const { socket, response } = Deno.upgradeWebSocket(request, {
        idleTimeout: IDLE_TIMEOUT_SECONDS,
      });
      // Deno's own option takes offers with ", " between them and no others.
      if (protocol !== undefined) {
        response.headers.set("sec-websocket-protocol", protocol);
      }
      this.#attend(socket, verdict, ticket);
      return response;
    } catch (err) {
      if (!(err instanceof TypeError)) throw err;
      return problem(400, "bad_handshake", "this is not a WebSocket handshake");
    }
  }

  /** Ties a socket's events to a connection. Its ticket is given back when it is gone. */
  #attend(socket: WebSocket, verdict: Verdict, ticket: Ticket): void {
    const { presence, ring, draining, log } = this.#parts;
    let entrance = enter(verdict, ticket);
    let connection: Connection | undefined;
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
      } else if (draining()) {
        socket.close(CLOSE.goingAway.code, CLOSE.goingAway.meaning);
      } else {
        connection = new Connection(entrance.userId, socket, ring.head);
        presence.opened(connection);
      }
    };
    socket.onmessage = ({ data }) => {
      if (
        connection === undefined ||
        messageBytes(data) <= CLIENT_MESSAGE_BYTES_MAX
      ) return;
      const reason = `expected at most ${CLIENT_MESSAGE_BYTES_MAX} bytes`;
      presence.disconnect(connection, CLOSE.messageTooBig, reason);
    };
    socket.onclose = () => {
      clearTimeout(handshake);
      ticket.release();
      if (connection !== undefined) presence.closed(connection);
    };
    // `close` follows and says all that matters; without a handler Deno would report it as a fault.
    socket.onerror = (event) => event.preventDefault();
  }
}

function enter(verdict: Verdict, ticket: Ticket): Entrance {
  if (!verdict.ok) return { close: CLOSE.policy, reason: verdict.reason };
  if (ticket.claim(verdict.userId) === "claimed") {
    return { userId: verdict.userId };
  }
  return {
    close: CLOSE.tooManyConnections,
    reason: CLOSE.tooManyConnections.meaning,
  };
}

/**
 * What a client offers in `Sec-WebSocket-Protocol`: the version that is chosen, and a token.
 * `undefined` when it offers something and nothing that we speak: a browser would fail then.
 */
function readOffer(
  header: string | null,
): { protocol: string | undefined; token: string | undefined } | undefined {
  const offered = (header ?? "").split(",").map((name) => name.trim()).filter((
    name,
  ) => name);
  const protocol = offered.find((name) => name === SUBPROTOCOL_V1);
  if (protocol === undefined && offered.length > 0) return undefined;
  const bearer = offered.find((name) =>
    name.startsWith(BEARER_SUBPROTOCOL_PREFIX)
  );
  return { protocol, token: bearer?.slice(BEARER_SUBPROTOCOL_PREFIX.length) };
}

/** Bytes on the wire. Text is only measured where its length leaves a doubt. */
function messageBytes(data: string | ArrayBuffer): number {
  if (typeof data !== "string") return data.byteLength;
  const isCertain = data.length > CLIENT_MESSAGE_BYTES_MAX ||
    data.length * 3 <= CLIENT_MESSAGE_BYTES_MAX;
  return isCertain ? data.length : new TextEncoder().encode(data).length;
}
