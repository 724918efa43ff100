/**
 * The door for sockets: answers requests for `/ws`.
 *
 * What can be refused by a status code without waiting is refused so. The upgrade comes before
 * anything that waits, also before the token is verified: Deno never frees the descriptor of a
 * peer that leaves while a handler waits and upgrades afterwards. It also lets a bad token hear
 * why, because browsers hide a refused handshake from the page.
 *
 * @module
 */
import type { Admission, Slot } from "../access/admission.ts";
import type { Clock } from "../base/clock.ts";
import type { Config } from "../config/config.ts";
import { IDLE_TIMEOUT_SECONDS } from "./limits.ts";
import { TOKEN_CLOCK_TOLERANCE_SECONDS } from "../base/limits.ts";
import { DISCONNECT } from "../protocol/disconnect.ts";
import { authorize, type EntranceDeps } from "../access/authorize.ts";
import { cannotVerify, problem, refused } from "../http/problem.ts";
import { isHandshake } from "../http/request.ts";
import { readSocketRequest, type SocketRequest } from "./handshake.ts";
import { verified } from "../access/verify.ts";
import { SocketSession, type SocketSessionDeps } from "./session.ts";

export interface SocketEndpointDeps
  extends
    EntranceDeps,
    Omit<SocketSessionDeps, "endOf" | "now" | "watchedUsersMax"> {
  readonly config: Pick<Config, "allowedOrigins" | "watchedUsersMax">;
  readonly admission: Admission;
  readonly clock: Clock;
}

export class SocketEndpoint {
  readonly #deps: SocketEndpointDeps & SocketSessionDeps;

  constructor(deps: SocketEndpointDeps) {
    const { clock, config: { watchedUsersMax } } = deps;
    this.#deps = {
      ...deps,
      watchedUsersMax,
      endOf: (exp) =>
        clock.now() - Date.now() +
        (exp + TOKEN_CLOCK_TOLERANCE_SECONDS) * 1_000,
      now: () => clock.now(),
    };
  }

  /** Answers `GET /ws` from a client address. */
  async open(request: Request, address: string): Promise<Response> {
    const { admission, config } = this.#deps;
    const refusal = this.#refuse(request);
    if (refusal !== undefined) return refusal;
    const wanted = readSocketRequest(request, config.watchedUsersMax);
    if (wanted instanceof Response) return wanted;
    const slot = admission.acquire(address);
    if ("status" in slot) return refused(slot);
    let isOpening = false;
    try {
      // With no place left for a socket that only hears why, one has to wait after all.
      const refusal = admission.canRefuse
        ? undefined
        : await this.#refuseToken(wanted, address);
      const answer = refusal ?? this.#upgrade(request, wanted, address, slot);
      isOpening = answer.status === 101;
      return answer;
    } finally {
      if (!isOpening) slot.release();
    }
  }

  /** What is refused whoever asks. */
  #refuse(request: Request): Response | undefined {
    const { config: { allowedOrigins }, draining } = this.#deps;
    if (!isHandshake(request)) {
      const headers = { connection: "Upgrade", upgrade: "websocket" };
      const message = "open this address as a WebSocket";
      return problem(426, "upgrade_required", message, headers);
    }
    if (request.method !== "GET") {
      const message = "a WebSocket is opened with GET";
      return problem(405, "method_not_allowed", message, { allow: "GET" });
    }
    if (draining()) {
      const headers = { "retry-after": "1" };
      const message = "this node is going away, connect again";
      return problem(503, "draining", message, headers);
    }
    const origin = request.headers.get("origin");
    if (
      allowedOrigins !== "*" && origin !== null &&
      !allowedOrigins.includes(origin)
    ) {
      const message = "pages of this origin may not connect";
      return problem(403, "origin_not_allowed", message);
    }
    return undefined;
  }

  async #refuseToken(
    wanted: SocketRequest,
    address: string,
  ): Promise<Response | undefined> {
    const verdict = await verified(this.#deps, wanted, address);
    if (verdict === "unavailable") return cannotVerify();
    const headers = { "retry-after": "30" };
    if (!verdict.ok) {
      const message = `${verdict.why.reason}; too many such sockets are open`;
      return problem(401, "unauthorized", message, headers);
    }
    if (this.#deps.admission.hasPlaceFor(verdict.userId)) return undefined;
    const message = DISCONNECT.tooManyConnections.reason;
    return problem(429, "too_many_connections", message, headers);
  }

  #upgrade(
    request: Request,
    wanted: SocketRequest,
    address: string,
    slot: Slot,
  ): Response {
    try {
      const { socket, response } = Deno.upgradeWebSocket(request, {
        idleTimeout: IDLE_TIMEOUT_SECONDS,
      });
      // Deno's own option takes offers with ", " between them and no others.
      if (wanted.protocol !== undefined) {
        response.headers.set("sec-websocket-protocol", wanted.protocol);
      }
      const decide = () => authorize(this.#deps, wanted, address, slot);
      new SocketSession(this.#deps, socket, wanted, slot, decide);
      return response;
    } catch (err) {
      if (!(err instanceof TypeError)) throw err;
      return problem(400, "bad_handshake", "this is not a WebSocket handshake");
    }
  }
}
