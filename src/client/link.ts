/**
 * The link: one WebSocket after another, until the client is closed.
 *
 * It owns the socket, its timeouts, and the delay before the next attempt. After a close it
 * does what the table of close codes says. It does not know what the messages mean.
 *
 * @module
 */
import { CLOSE } from "../protocol/close.ts";
import {
  BEARER_SUBPROTOCOL_PREFIX,
  type ClientMessage,
  SUBPROTOCOL_V2,
} from "../protocol/messages.ts";
import type { ConnectionInfo } from "./connection_info.ts";
import {
  platform,
  type PlatformSocket,
  type PlatformUrl,
  type Timer,
} from "./platform.ts";

/** A token, or a function that returns one. */
export type TokenSource = string | (() => string | Promise<string>);

/** Every time in milliseconds, and the source of jitter. Tests set their own. */
export interface Timing {
  /**
   * The longest delay before the first retry. It doubles with each failure in a row. The delay
   * is a random part of it.
   */
  readonly backoffFirstMs: number;
  /** The longest delay before any retry. */
  readonly backoffMaxMs: number;
  /** A connection that was healthy for this long resets the backoff when it ends. */
  readonly stableMs: number;
  /** How long a token and the opening of the socket may take together. */
  readonly connectMs: number;
  /**
   * How long the server may send nothing. It sends a message at least every 25 s. This also
   * limits the first message: a large snapshot is delivered when its last byte has arrived.
   */
  readonly silenceMs: number;
  /** The delay before a token function that failed is called again to refresh a token. */
  readonly refreshRetryMs: number;
  readonly random: () => number;
}

export const TIMING: Timing = {
  backoffFirstMs: 1_000,
  backoffMaxMs: 30_000,
  stableMs: 10_000,
  connectMs: 15_000,
  silenceMs: 70_000,
  refreshRetryMs: 10_000,
  random: Math.random,
};

export interface LinkDeps {
  readonly token: TokenSource;
  /** Returns the URL for the next socket. `wasRefused`: the last socket never opened. */
  readonly url: (wasRefused: boolean) => PlatformUrl;
  /** If it throws, the connection ends and the next attempt follows. */
  readonly onMessage: (data: string) => void;
  readonly onConnection: (info: ConnectionInfo) => void;
  /** A token could not be refreshed. The connection stays open. */
  readonly onRefreshError: (message: string) => void;
  readonly timing: Timing;
}

/** "No close frame was received", RFC 6455, section 7.1.5. */
const NO_CLOSE_FRAME = 1_006;

const FINAL_CODES: readonly number[] = Object.values(CLOSE)
  .filter(({ reconnect }) => reconnect === "no").map(({ code }) => code);

export class Link {
  readonly #deps: LinkDeps;
  #info: ConnectionInfo = { state: "connecting" };
  #socket: PlatformSocket | undefined;
  /** The only timer of the current phase: a timeout, or the delay before the next attempt. */
  #timer: Timer | undefined;
  #refreshTimer: Timer | undefined;
  /** Failures in a row, for the backoff. */
  #failures = 0;
  #wasRefused = false;
  #healthySince = Infinity;

  constructor(deps: LinkDeps) {
    this.#deps = deps;
  }

  get info(): ConnectionInfo {
    return this.#info;
  }

  async open(): Promise<void> {
    if (this.#isClosed) return;
    if (isOffline()) return this.goOffline();
    const { retryMs: _, ...previous } = this.#info;
    this.#report({ ...previous, state: "connecting" });
    if (this.#isClosed) return;
    const { connectMs } = this.#deps.timing;
    const onTimeout = () => this.#retry("timed out while connecting");
    const attempt = this.#startTimer(connectMs, onTimeout);
    try {
      const token = await this.#getToken();
      if (attempt !== this.#timer) return;
      if (isToken(token)) this.#openSocket(token);
      else this.close(CLOSE.policy.code, "expected a JWT as the token");
    } catch (err) {
      if (attempt !== this.#timer) return;
      this.#retry(`cannot connect: ${messageOf(err)}`);
    }
  }

  get #isClosed(): boolean {
    return this.#info.state === "closed";
  }

  /** The state becomes `connected`: the messages so far make the client's copy current. */
  markHealthy(): void {
    if (this.#info.state !== "connecting") return;
    this.#healthySince = Date.now();
    this.#report({ state: "connected" });
  }

  /** Sends a message, or drops it if the socket is not open. */
  send(message: ClientMessage): void {
    if (this.#socket?.readyState === platform.WebSocket.OPEN) {
      this.#socket.send(JSON.stringify(message));
    }
  }

  /**
   * Gets a new token and sends it over the open connection. After an error it tries again. If
   * no new token arrives in time the server closes the connection, and the next one gets a new
   * token. A token that is a plain string cannot be refreshed.
   */
  async refresh(): Promise<void> {
    if (typeof this.#deps.token === "string") return;
    const { onRefreshError, timing } = this.#deps;
    const socket = this.#socket;
    try {
      const token = await this.#getToken();
      if (socket !== this.#socket) return;
      if (!isToken(token)) throw new TypeError("expected a JWT");
      this.send({ type: "refresh", token });
    } catch (err) {
      // A later connection has a token of its own.
      if (socket !== this.#socket) return;
      platform.clearTimeout(this.#refreshTimer);
      const again = () => void this.refresh();
      this.#refreshTimer = platform.setTimeout(again, timing.refreshRetryMs);
      onRefreshError(`cannot refresh the token: ${messageOf(err)}`);
    }
  }

  /** The browser has no network: drops the connection, which may seem open for minutes. */
  goOffline(): void {
    if (this.#isClosed) return;
    this.#dropSocket();
    this.#report({
      state: "offline",
      reason: "the browser has no network connection",
    });
  }

  /** The browser has a network again: connects at once. */
  goOnline(): void {
    const { state } = this.#info;
    if (state !== "offline" && state !== "reconnecting") return;
    this.#failures = 0;
    this.#dropSocket();
    void this.open();
  }

  /** Closes the link; it never connects again. Safe to repeat. */
  close(code: number, reason: string): void {
    if (this.#isClosed) return;
    this.#dropSocket();
    this.#report({ state: "closed", code, reason });
  }

  async #getToken(): Promise<string> {
    const { token } = this.#deps;
    return typeof token === "string" ? token : await token();
  }

  #openSocket(token: string): void {
    const { url, timing } = this.#deps;
    const protocols = [SUBPROTOCOL_V2, BEARER_SUBPROTOCOL_PREFIX + token];
    const socket = new platform.WebSocket(
      url(this.#wasRefused).href,
      protocols,
    );
    this.#socket = socket;
    this.#wasRefused = true;
    // Events of a socket that was dropped are ignored.
    const ifCurrent = <E>(handle: (event: E) => void) => (event: E) => {
      if (socket === this.#socket) handle(event);
    };
    socket.onopen = ifCurrent(() => {
      this.#wasRefused = false;
      const reason = "timed out while waiting for the first message";
      this.#startTimer(timing.silenceMs, () => this.#retry(reason));
    });
    socket.onmessage = ifCurrent(({ data }) => this.#receive(String(data)));
    socket.onclose = ifCurrent(({ code, reason }) => {
      if (FINAL_CODES.includes(code)) this.close(code, reason);
      // Without a close frame, Deno reports 0; browsers and Node report 1006.
      else if (code === 0 || code === NO_CLOSE_FRAME) {
        this.#retry("connection lost", NO_CLOSE_FRAME);
      } else this.#retry(reason, code);
    });
    socket.onerror = ifCurrent(() => {
      // If the socket cannot open, Node 22 fires `error` and no `close`.
      if (this.#wasRefused) {
        this.#retry("cannot reach the server", NO_CLOSE_FRAME);
      }
    });
  }

  #receive(data: string): void {
    try {
      this.#deps.onMessage(data);
    } catch (err) {
      return this.#retry(describeError(err));
    }
    if (this.#info.state !== "connected") return;
    const onTimeout = () => this.#retry("timed out: the server is silent");
    this.#startTimer(this.#deps.timing.silenceMs, onTimeout);
  }

  /** Drops the socket and tries again later. Full jitter spreads clients that failed together. */
  #retry(reason: string, code?: number): void {
    const { random, backoffFirstMs, backoffMaxMs, stableMs } =
      this.#deps.timing;
    if (Date.now() - this.#healthySince >= stableMs) this.#failures = 0;
    this.#healthySince = Infinity;
    this.#dropSocket();
    const longestMs = backoffFirstMs * 2 ** this.#failures;
    const retryMs = random() * Math.min(backoffMaxMs, longestMs);
    this.#failures += 1;
    this.#startTimer(retryMs, () => void this.open());
    const why = code === undefined ? { reason } : { code, reason };
    this.#report({ state: "reconnecting", ...why, retryMs });
  }

  /** Closes the socket and forgets it, with its timers. */
  #dropSocket(): void {
    platform.clearTimeout(this.#timer);
    platform.clearTimeout(this.#refreshTimer);
    const socket = this.#socket;
    this.#socket = this.#timer = undefined;
    socket?.close();
  }

  #startTimer(ms: number, then: () => void): Timer {
    platform.clearTimeout(this.#timer);
    return this.#timer = platform.setTimeout(then, ms);
  }

  #report(info: ConnectionInfo): void {
    this.#info = info;
    this.#deps.onConnection(info);
  }
}

function messageOf(err: unknown): string {
  return err instanceof Error ? err.message : String(err);
}

/** A `TypeError` or `SyntaxError` means a malformed message. Other errors are reported as they are. */
function describeError(err: unknown): string {
  const message = messageOf(err);
  const isMalformed = err instanceof TypeError || err instanceof SyntaxError;
  return isMalformed ? `cannot read the server's message: ${message}` : message;
}

/**
 * Whether the value can be a JWT. Any other text cannot be offered as a subprotocol, and the
 * browser's error message would contain it.
 */
function isToken(value: unknown): value is string {
  return typeof value === "string" && /^[\w.~-]+$/.test(value);
}

/** Always false outside browsers: only a browser knows. */
function isOffline(): boolean {
  return platform.navigator?.onLine === false;
}
