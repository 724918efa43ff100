/**
 * The socket endpoint answers requests for `/ws`. It is the door of `socket/`.
 *
 * ## From request to end
 *
 * 1. A draining node answers 503, a foreign origin gets 403. `handshake.ts` reads the request. A
 *    malformed one is refused, and counts against the client's address and nothing else.
 * 2. Admission gives the request a slot, or refuses it with 429 or 503.
 * 3. The socket engine (`engine.ts`) upgrades the request, before the token is verified.
 * 4. `session.ts` owns the socket from here on. When the socket is open it asks `access/` to
 *    authorize the client. The answer is a connection in the core, or a close code.
 * 5. `client_messages.ts` handles what a version 2 client sends.
 * 6. When the socket ends, the session frees the slot and removes the connection.
 *
 * ## Why the upgrade comes first
 *
 * Deno never frees the descriptor of a peer that leaves while a handler waits and upgrades
 * afterwards. So nothing waits before the upgrade. It also means that a client with a bad token
 * receives a close code and a reason, which browsers hide when the handshake itself is refused.
 *
 * There is one exception. Sockets that were closed and whose peers have not answered have slots of
 * their own (`CLOSING_SLOTS_MAX`). When none of those is left, the token is verified before the
 * upgrade and a bad one is answered with 401: otherwise peers with bad tokens would take the slots
 * of good clients.
 *
 * ## What it costs
 *
 * A socket that is authorizing costs a slot, a descriptor and at most `CLIENT_MESSAGE_BYTES_MAX`
 * of early messages, for at most `AUTHORIZATION_MS`. A connected session adds three small objects
 * to the socket: itself, its state and its connection. It has no timer and no closure of its own.
 *
 * @module
 */
import type { Admission } from "../access/admission.ts";
import {
  authorizationDeadlines,
  authorize,
  type AuthorizeDeps,
} from "../access/authorize.ts";
import type { Slot } from "../access/slot.ts";
import { verifyToken } from "../access/verify.ts";
import type { Clock } from "../base/clock.ts";
import { Deadlines } from "../base/deadlines.ts";
import { TOKEN_CLOCK_TOLERANCE_SECONDS } from "../base/limits.ts";
import type { Config } from "../config/config.ts";
import { foreignOrigin } from "../http/foreign_origin.ts";
import { cannotVerify, problem, refused } from "../http/problem.ts";
import { isHandshake, type RequestHead } from "../http/request.ts";
import { DISCONNECT } from "../client/protocol/disconnect.ts";
import type { Upgrade } from "./engine.ts";
import { readSocketRequest, type SocketRequest } from "./handshake.ts";
import { HANDSHAKE_MS } from "./limits.ts";
import { SocketSession, type SocketSessionDeps } from "./session.ts";

export interface SocketEndpointDeps
  extends
    Omit<AuthorizeDeps, "deadlines">,
    Omit<
      SocketSessionDeps,
      "endOf" | "now" | "watchedUsersMax" | "handshakes"
    > {
  readonly config: Pick<Config, "allowedOrigins" | "watchedUsersMax">;
  readonly admission: Admission;
  readonly clock: Clock;
  /** Of the socket engine. */
  readonly upgrade: Upgrade;
}

export class SocketEndpoint {
  readonly #deps: SocketEndpointDeps & AuthorizeDeps & SocketSessionDeps;

  constructor(deps: SocketEndpointDeps) {
    const { clock, config: { watchedUsersMax } } = deps;
    this.#deps = {
      ...deps,
      watchedUsersMax,
      endOf: (exp) =>
        clock.now() - Date.now() +
        (exp + TOKEN_CLOCK_TOLERANCE_SECONDS) * 1_000,
      now: () => clock.now(),
      deadlines: authorizationDeadlines(deps.log),
      handshakes: new Deadlines(HANDSHAKE_MS, (session) => session.lose()),
    };
  }

  /**
   * Answers `GET /ws`.
   *
   * @param address The client's address, as `access/client_address.ts` reads it.
   * @returns The answer of the socket engine, or an error as JSON.
   */
  async open(request: RequestHead, address: string): Promise<Response> {
    const { admission, config } = this.#deps;
    const refusal = this.#refuse(request);
    if (refusal !== undefined) return refusal;
    const wanted = readSocketRequest(
      request,
      config.watchedUsersMax,
      this.#deps.ids,
    );
    if (wanted instanceof Response) {
      admission.recordFailure(address);
      return wanted;
    }
    const slot = admission.acquire(
      address,
      () => this.#deps.known(wanted.token) !== undefined,
    );
    if ("status" in slot) return refused(slot);
    let upgraded: Response | undefined;
    try {
      const refusal = admission.hasClosingSlot
        ? undefined
        : await this.#refuseToken(wanted, address);
      if (refusal !== undefined) return refusal;
      upgraded = this.#upgrade(request, wanted, slot);
      return upgraded ??
        problem(400, "bad_handshake", "expected a WebSocket handshake");
    } finally {
      if (upgraded === undefined) slot.release();
    }
  }

  /** Refuses what no handshake could change. */
  #refuse(request: RequestHead): Response | undefined {
    const { config: { allowedOrigins }, draining, log } = this.#deps;
    if (!isHandshake(request)) {
      const headers = { connection: "Upgrade", upgrade: "websocket" };
      const message = "expected a WebSocket handshake";
      return problem(426, "upgrade_required", message, headers);
    }
    if (draining()) {
      const headers = { "retry-after": "1" };
      const message = "this node is draining, reconnect";
      return problem(503, "draining", message, headers);
    }
    const origin = foreignOrigin(request, "/ws", allowedOrigins, log);
    if (origin !== undefined) {
      const message = `the origin ${origin} is not in ALLOWED_ORIGINS`;
      return problem(403, "origin_not_allowed", message);
    }
    return undefined;
  }

  /** Refuses by status code what authorization would refuse by close code. */
  async #refuseToken(
    wanted: SocketRequest,
    address: string,
  ): Promise<Response | undefined> {
    const verdict = await verifyToken(this.#deps, wanted, address);
    if (verdict === "unavailable") return cannotVerify();
    const headers = { "retry-after": "30" };
    if (!verdict.ok) {
      const message =
        `${verdict.why.reason}; too many refused sockets are still open`;
      return problem(401, "unauthorized", message, headers);
    }
    if (this.#deps.admission.hasSlotFor(verdict.userId)) return undefined;
    const { reason } = DISCONNECT.tooManyConnections;
    return problem(429, "too_many_connections", reason, headers);
  }

  /** `undefined`: the handshake is malformed, or its peer has left. */
  #upgrade(
    request: RequestHead,
    wanted: SocketRequest,
    slot: Slot,
  ): Response | undefined {
    const upgraded = this.#deps.upgrade(request, wanted.protocol);
    if (upgraded === undefined) return undefined;
    const { socket, response } = upgraded;
    const authorizeThis = () => authorize(this.#deps, wanted, slot);
    new SocketSession(this.#deps, socket, wanted, slot, authorizeThis);
    return response;
  }
}
