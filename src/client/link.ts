/**
 * The link: one socket after another, for as long as it is wanted.
 *
 * It obeys the table of close codes, waits longer after each fault, pauses while the browser
 * is offline, and gives up a connection that went silent. It does not know what the
 * messages say.
 *
 * @module
 */
import {
  BEARER_SUBPROTOCOL_PREFIX,
  type ClientMessage,
  SUBPROTOCOL_V2,
} from "../protocol/messages.ts";
import { CLOSE } from "../protocol/close.ts";

/**
 * - `connecting`: asking for a token, or waiting for the first answer.
 * - `connected`: what is known is right, and stays so.
 * - `waiting`: a connection ended, and the next one is tried in `retryMs`.
 * - `paused`: the browser is offline.
 * - `closed`: for good, by you or because coming back would not help: `code` and `reason` say which.
 */
export interface ConnectionStatus {
  readonly state: "connecting" | "connected" | "waiting" | "paused" | "closed";
  /** Why the last connection ended: a code of the table in `protocol.ts`, or a browser's own. */
  readonly code?: number;
  readonly reason?: string;
  readonly retryMs?: number;
}

/** A token, or a function that gets one. */
export type TokenSource = string | (() => string | Promise<string>);

/** Time, in milliseconds, and chance. Tests set their own. */
export interface Timing {
  /** A retry waits for a random part of a time that doubles from the first to the longest. */
  readonly retryFirstMs: number;
  readonly retryLongestMs: number;
  /** A connection that was good for so long was a good one: the next fault is the first. */
  readonly steadyMs: number;
  /** For a token and an open socket. */
  readonly patienceMs: number;
  /**
   * The server says something every 25 s. After so long a silence the connection is dead. Also
   * for its first answer, of which nothing shows before all of it is here.
   */
  readonly silenceMs: number;
  /** Before a token function that failed is asked again. */
  readonly refreshAgainMs: number;
  readonly random: () => number;
}

export const TIMING: Timing = {
  retryFirstMs: 1_000,
  retryLongestMs: 30_000,
  steadyMs: 10_000,
  patienceMs: 15_000,
  silenceMs: 70_000,
  refreshAgainMs: 10_000,
  random: Math.random,
};

export interface LinkParts {
  readonly token: TokenSource;
  /** Where to connect to, now. `wasRefused`: the last socket ended before it was open. */
  readonly url: (wasRefused: boolean) => URL;
  /** Whatever it throws ends the connection: the server cannot be understood. */
  readonly onMessage: (data: string) => void;
  readonly onStatus: (status: ConnectionStatus) => void;
  /** Something that does not end the connection. */
  readonly onFault: (message: string) => void;
  readonly timing: Timing;
}

/** RFC 6455, section 7.1.5: there was no close frame. */
const CUT = 1_006;

const FINAL_CODES: readonly number[] = Object.values(CLOSE)
  .filter(({ reconnect }) => reconnect === "no").map(({ code }) => code);

export class Link {
  readonly #parts: LinkParts;
  #status: ConnectionStatus = { state: "connecting" };
  #socket: WebSocket | undefined;
  /** For an answer, for the end of a silence, or for the next try. */
  #timer: ReturnType<typeof setTimeout> | undefined;
  /** For another try to get a later token. */
  #refreshTimer: ReturnType<typeof setTimeout> | undefined;
  #failures = 0;
  #wasRefused = false;
  #goodSince = Infinity;

  constructor(parts: LinkParts) {
    this.#parts = parts;
  }

  get status(): ConnectionStatus {
    return this.#status;
  }

  async open(): Promise<void> {
    if (this.#status.state === "closed") return;
    if (isOffline()) return this.pause();
    const { retryMs: _, ...why } = this.#status;
    this.#setStatus({ ...why, state: "connecting" });
    if (this.#isClosed) return;
    const giveUp = () => this.#retry("no answer in time");
    const attempt = this.#wait(this.#parts.timing.patienceMs, giveUp);
    try {
      const token = await this.#getToken();
      if (attempt !== this.#timer) return;
      if (isToken(token)) this.#attend(token);
      else this.close(CLOSE.policy.code, "expected a JWT as the token");
    } catch (err) {
      if (attempt !== this.#timer) return;
      this.#retry(`cannot connect: ${messageOf(err)}`);
    }
  }

  get #isClosed(): boolean {
    return this.#status.state === "closed";
  }

  /** What was said so far makes what is known right. */
  settle(): void {
    if (this.#status.state !== "connecting") return;
    this.#goodSince = Date.now();
    this.#setStatus({ state: "connected" });
  }

  send(message: ClientMessage): void {
    if (this.#socket?.readyState === WebSocket.OPEN) {
      this.#socket.send(JSON.stringify(message));
    }
  }

  /**
   * Sends a later token, if there is a function to get one from, which is asked again if it
   * fails. Without it in time the connection ends, and the next one asks again.
   */
  async refresh(): Promise<void> {
    if (typeof this.#parts.token === "string") return;
    const { onFault, timing } = this.#parts;
    const socket = this.#socket;
    try {
      const token = await this.#getToken();
      if (socket !== this.#socket) return;
      if (!isToken(token)) throw new TypeError("expected a JWT");
      this.send({ type: "refresh", token });
    } catch (err) {
      // Who is connected anew has another token, and no use for this one.
      if (socket !== this.#socket) return;
      clearTimeout(this.#refreshTimer);
      const again = () => void this.refresh();
      this.#refreshTimer = setTimeout(again, timing.refreshAgainMs);
      onFault(`cannot get another token: ${messageOf(err)}`);
    }
  }

  /** There is no network; a connection that may be left would only pretend. */
  pause(): void {
    if (this.#status.state === "closed") return;
    this.#drop();
    this.#setStatus({ state: "paused", reason: "this browser is offline" });
  }

  /** There is a network again. */
  resume(): void {
    const { state } = this.#status;
    if (state !== "paused" && state !== "waiting") return;
    this.#failures = 0;
    this.#drop();
    void this.open();
  }

  /** For good. Safe to repeat. */
  close(code: number, reason: string): void {
    if (this.#status.state === "closed") return;
    this.#drop();
    this.#setStatus({ state: "closed", code, reason });
  }

  async #getToken(): Promise<string> {
    const { token } = this.#parts;
    return typeof token === "string" ? token : await token();
  }

  #attend(token: string): void {
    const { url, onMessage, timing } = this.#parts;
    const protocols = [SUBPROTOCOL_V2, BEARER_SUBPROTOCOL_PREFIX + token];
    const socket = new WebSocket(url(this.#wasRefused), protocols);
    this.#socket = socket;
    this.#wasRefused = true;
    socket.onopen = () => {
      if (socket !== this.#socket) return;
      this.#wasRefused = false;
      this.#wait(timing.silenceMs, () => this.#retry("no answer in time"));
    };
    socket.onmessage = ({ data }) => {
      if (socket !== this.#socket) return;
      try {
        onMessage(String(data));
      } catch (err) {
        return this.#retry(faultOf(err));
      }
      if (this.#status.state === "connected") {
        this.#wait(timing.silenceMs, () => this.#retry("silence"));
      }
    };
    socket.onclose = ({ code, reason }) => {
      if (socket !== this.#socket) return;
      if (FINAL_CODES.includes(code)) this.close(code, reason);
      // Deno has 0 for a connection that was cut, browsers and Node have 1006.
      else if (code !== 0 && code !== CUT) this.#retry(reason, code);
      else this.#retry("the connection was cut", CUT);
    };
    socket.onerror = () => {
      // Of a socket that does not open, Node 22 says this and nothing more.
      if (socket !== this.#socket || !this.#wasRefused) return;
      this.#retry("the server does not answer", CUT);
    };
  }

  /** Full jitter: clients that were cut off together do not come back together. */
  #retry(reason: string, code?: number): void {
    const { random, retryFirstMs, retryLongestMs, steadyMs } =
      this.#parts.timing;
    if (Date.now() - this.#goodSince >= steadyMs) this.#failures = 0;
    this.#goodSince = Infinity;
    this.#drop();
    const longestMs = retryFirstMs * 2 ** this.#failures;
    const retryMs = random() * Math.min(retryLongestMs, longestMs);
    this.#failures += 1;
    this.#wait(retryMs, () => void this.open());
    const why = code === undefined ? { reason } : { code, reason };
    this.#setStatus({ state: "waiting", ...why, retryMs });
  }

  /** Forgets the connection: nothing of it is heard any more. */
  #drop(): void {
    clearTimeout(this.#timer);
    clearTimeout(this.#refreshTimer);
    const socket = this.#socket;
    this.#socket = this.#timer = undefined;
    socket?.close();
  }

  #wait(ms: number, then: () => void): ReturnType<typeof setTimeout> {
    clearTimeout(this.#timer);
    return this.#timer = setTimeout(then, ms);
  }

  #setStatus(status: ConnectionStatus): void {
    this.#status = status;
    this.#parts.onStatus(status);
  }
}

export function messageOf(err: unknown): string {
  return err instanceof Error ? err.message : String(err);
}

/** Of what a message led to: it may be that it was understood all too well. */
function faultOf(err: unknown): string {
  const isNonsense = err instanceof TypeError || err instanceof SyntaxError;
  const message = messageOf(err);
  return isNonsense ? `cannot understand the server: ${message}` : message;
}

/** What no token is can be no subprotocol either, and a browser's fault would quote it. */
function isToken(value: unknown): value is string {
  return typeof value === "string" && /^[\w.~-]+$/.test(value);
}

/** Only browsers know. */
function isOffline(): boolean {
  const { navigator } = globalThis as { navigator?: { onLine?: boolean } };
  return navigator?.onLine === false;
}
