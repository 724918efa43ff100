/**
 * The client socket: one WebSocket, which behaves alike in browsers, Deno and Node.
 *
 * It does not know what a close means for the client: `link.ts` does.
 *
 * @module
 */
import {
  BEARER_SUBPROTOCOL_PREFIX,
  type ClientMessage,
  SUBPROTOCOL_V2,
} from "./protocol/messages.ts";
import type { PlatformSocket, PlatformSocketConstructor } from "./platform.ts";

/** None of these is called after `close`, and nothing is called after the last two. */
export interface SocketListeners {
  readonly onOpen: () => void;
  readonly onMessage: (data: string) => void;
  /** The socket did not open. Browsers do not say why. */
  readonly onUnopened: () => void;
  readonly onClose: (code: number, reason: string) => void;
}

/** `WebSocket.OPEN`. */
const OPEN = 1;

/** "No close frame was received", RFC 6455, section 7.1.5. */
export const NO_CLOSE_FRAME = 1_006;

export class ClientSocket {
  readonly #socket: PlatformSocket;
  #listeners: SocketListeners | undefined;
  #hasOpened = false;

  /** @throws what the environment's `WebSocket` throws, for example if a page must not open it. */
  constructor(
    socketClass: PlatformSocketConstructor,
    url: string,
    token: string,
    listeners: SocketListeners,
  ) {
    const protocols = [SUBPROTOCOL_V2, BEARER_SUBPROTOCOL_PREFIX + token];
    const socket = this.#socket = new socketClass(url, protocols);
    this.#listeners = listeners;
    socket.onopen = () => {
      this.#hasOpened = true;
      this.#listeners?.onOpen();
    };
    socket.onmessage = ({ data }) => this.#listeners?.onMessage(String(data));
    socket.onclose = ({ code, reason }) => this.#onEnd(code, reason);
    socket.onerror = () => {
      // If the socket cannot open, Node 22 fires `error` and no `close`.
      if (!this.#hasOpened) this.#onEnd(NO_CLOSE_FRAME, "");
    };
  }

  /** Sends a message, or drops it if the socket is not open. */
  send(message: ClientMessage): void {
    if (this.#socket.readyState !== OPEN) return;
    this.#socket.send(JSON.stringify(message));
  }

  close(code?: number, reason?: string): void {
    this.#listeners = undefined;
    this.#socket.close(code, reason);
  }

  #onEnd(code: number, reason: string): void {
    const listeners = this.#listeners;
    this.#listeners = undefined;
    if (!this.#hasOpened) listeners?.onUnopened();
    // Without a close frame, Deno reports 0; browsers and Node report 1006.
    else listeners?.onClose(code === 0 ? NO_CLOSE_FRAME : code, reason);
  }
}
