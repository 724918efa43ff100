/**
 * The native engine: `Deno.upgradeWebSocket`, and the standard `WebSocket` that it returns.
 *
 * Deno reads frames and answers pings by itself, and pings a silent peer. It bounds neither a
 * fragmented message nor a frame below 64 MiB, and it cannot terminate a socket.
 *
 * @module
 */
import type { RequestHead } from "../http/request.ts";
import type { EngineSocket, SocketListener, Upgraded } from "./engine.ts";
import { IDLE_TIMEOUT_SECONDS } from "./limits.ts";

/** Upgrades a request of `Deno.serve`. */
export function upgradeNative(
  request: RequestHead,
  protocol: string | undefined,
): Upgraded | undefined {
  if (!(request instanceof Request)) return undefined;
  try {
    const { socket, response } = Deno.upgradeWebSocket(request, {
      idleTimeout: IDLE_TIMEOUT_SECONDS,
    });
    // Deno's own `protocol` option reads only offers that are separated by exactly ", ".
    if (protocol !== undefined) {
      response.headers.set("sec-websocket-protocol", protocol);
    }
    return { socket: new NativeSocket(socket), response };
  } catch (err) {
    if (!(err instanceof TypeError)) throw err;
    return undefined;
  }
}

/**
 * It is the event listener itself, because a closure for each event costs more than all its fields.
 */
class NativeSocket implements EngineSocket, EventListenerObject {
  readonly #socket: WebSocket;
  #listener: SocketListener | undefined;

  constructor(socket: WebSocket) {
    this.#socket = socket;
  }

  listen(listener: SocketListener): void {
    this.#listener = listener;
    for (const type of ["open", "message", "error"]) {
      this.#socket.addEventListener(type, this);
    }
    // Deno may fire `close` twice.
    this.#socket.addEventListener("close", this, { once: true });
  }

  handleEvent(event: Event): void {
    const listener = this.#listener;
    if (event instanceof MessageEvent) listener?.received(event.data);
    else if (event.type === "open") listener?.opened();
    else if (event instanceof CloseEvent) {
      // Deno has 0 for a connection that was cut.
      listener?.ended(event.code || 1_006, event.reason);
    } else {
      // `close` follows with all that matters. Deno reports an `error` event that is not handled.
      event.preventDefault();
    }
  }

  get isOpen(): boolean {
    return this.#socket.readyState === WebSocket.OPEN;
  }

  get bufferedAmount(): number {
    return this.#socket.bufferedAmount;
  }

  send(message: string): void {
    this.#socket.send(message);
  }

  close(code: number, reason: string): void {
    this.#socket.close(code, reason);
  }
}
