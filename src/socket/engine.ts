/**
 * A socket engine answers the upgrade of a request, and carries messages between the peer and a
 * session.
 *
 * Everything above this interface is the same for all engines: admission, authorization, sessions,
 * budgets, drain and metrics. `native_socket.ts` is Deno's own engine.
 *
 * @module
 */
import type { Disconnect } from "../client/protocol/disconnect.ts";
import type { RequestHead } from "../http/request.ts";
import type { Socket } from "../core/connections/connection.ts";

/** A message from the peer. Bytes have no meaning in the protocol, so only their number matters. */
export type Data = string | { readonly byteLength: number };

/** What is called when something happens to a socket. */
export interface SocketListener {
  opened(): void;
  received(data: Data): void;
  /** The peer broke a rule of the engine, which may have sent a close frame with that code. */
  violated(why: Disconnect): void;
  /**
   * The socket has ended. Called at most once. Code and reason are from the peer's close frame.
   * Without one the code is 1006.
   */
  ended(code: number, reason: string): void;
}

/** A WebSocket whose upgrade is answered. It opens when the answer has been written. */
export interface EngineSocket extends Socket {
  /** Call it once, before anything is awaited, so that no event is lost. */
  listen(listener: SocketListener): void;
}

export interface Upgraded {
  readonly socket: EngineSocket;
  /** What the route returns. */
  readonly response: Response;
}

/**
 * Answers the upgrade of a request, and chooses this subprotocol. `undefined`: the handshake is
 * malformed, or the engine sees that its peer has left.
 */
export type Upgrade = (
  request: RequestHead,
  protocol: string | undefined,
) => Upgraded | undefined;
