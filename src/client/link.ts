/**
 * The link: one WebSocket after another, until the client is closed.
 *
 * It owns the socket and the state of the connection. After a close it does what the table of
 * close codes says. When to try again is `backoff.ts`, whether the server still answers is
 * `life_signs.ts`. It does not know what the messages mean.
 *
 * @module
 */
import { CLOSE, LEAVE } from "./protocol/close.ts";
import type { ClientMessage } from "./protocol/messages.ts";
import { Backoff } from "./backoff.ts";
import { ClientSocket, NO_CLOSE_FRAME } from "./client_socket.ts";
import type { ConnectionInfo } from "./connection_info.ts";
import type { Platform, PlatformSocketConstructor } from "./platform.ts";
import { LifeSigns } from "./life_signs.ts";
import { Reachability } from "./reachability.ts";
import { withQuery } from "./socket_url.ts";
import { Timer } from "./timer.ts";
import type { Timing } from "./timing.ts";
import { noToken, readToken, Tokens, type TokenSource } from "./tokens.ts";

export interface LinkDeps {
  readonly token: TokenSource;
  /** The URL of `/ws`. */
  readonly url: string;
  /** Returns the query for the next socket. `wasRefused`: the last socket never opened. */
  readonly query: (wasRefused: boolean) => string;
  /** If it throws, the connection ends and the next attempt follows. */
  readonly onMessage: (data: string) => void;
  readonly onConnection: (info: ConnectionInfo) => void;
  /** A token could not be refreshed. The connection stays open. */
  readonly onRefreshError: (message: string) => void;
  readonly platform: Platform;
  readonly socketClass: PlatformSocketConstructor;
  readonly timing: Timing;
}

const NO_NETWORK = "the browser has no network connection";
const FROZEN = "the browser froze the page";

const FINAL_CODES: readonly number[] = Object.values(CLOSE)
  .filter(({ reconnect }) => reconnect === "no").map(({ code }) => code);

export class Link {
  readonly #deps: LinkDeps;
  readonly #tokens: Tokens;
  readonly #backoff: Backoff;
  readonly #reachability: Reachability;
  readonly #lifeSigns: LifeSigns;
  /** How long the socket may take to open, or the delay before the next attempt. */
  readonly #timer: Timer;
  readonly #refreshTimer: Timer;
  #info: ConnectionInfo = { state: "connecting" };
  #socket: ClientSocket | undefined;
  /** The attempt to connect whose results count. `undefined` between two attempts. */
  #attempt: symbol | undefined;

  constructor(deps: LinkDeps) {
    const { token, url, platform, timing } = this.#deps = deps;
    this.#tokens = new Tokens(token, platform, timing);
    this.#backoff = new Backoff(platform, timing);
    this.#reachability = new Reachability(url, platform);
    this.#timer = new Timer(platform, timing);
    this.#refreshTimer = new Timer(platform, timing);
    this.#lifeSigns = new LifeSigns({
      ...{ platform, timing },
      ping: () => this.send({ type: "ping" }),
      onSilence: () => this.#onSilence(),
    });
  }

  get info(): ConnectionInfo {
    return this.#info;
  }

  async open(): Promise<void> {
    if (this.#isClosed) return;
    this.#drop();
    const attempt = this.#attempt = Symbol();
    const { retryMs: _, ...previous } = this.#info;
    this.#report({ ...previous, state: "connecting" });
    try {
      if (attempt !== this.#attempt) return;
      this.#startConnectTimer();
      const mayOpen = await this.#reachability.mayOpen();
      if (attempt !== this.#attempt) return;
      if (!mayOpen) {
        return this.#retry(this.#reachability.reason, NO_CLOSE_FRAME);
      }
      this.#timer.stop();
      const given = await this.#tokens.get();
      if (attempt !== this.#attempt) return;
      const token = readToken(given);
      if (token !== undefined) this.#openSocket(token);
      else this.close(CLOSE.policy.code, noToken(given));
    } catch (err) {
      if (attempt !== this.#attempt) return;
      this.#retry(`cannot connect: ${messageOf(err)}`);
    }
  }

  get #isClosed(): boolean {
    return this.#info.state === "closed";
  }

  /** The state becomes `connected`: the messages so far make the client's copy current. */
  markHealthy(): void {
    if (this.#info.state !== "connecting") return;
    this.#backoff.markHealthy();
    this.#tokens.accepted();
    this.#report({ state: "connected" });
    void this.#reachability.learnToAsk();
  }

  /** Sends a message, or drops it if the socket is not open. */
  send(message: ClientMessage): void {
    this.#socket?.send(message);
  }

  /**
   * Gets a new token and sends it over the open connection. After an error it tries again. If
   * no new token arrives in time the server closes the connection, and the next one gets a new
   * token. A token that is a plain string cannot be refreshed.
   */
  async refresh(): Promise<void> {
    if (!this.#tokens.canChange) return;
    this.#refreshTimer.stop();
    const socket = this.#socket;
    try {
      const given = await this.#tokens.get();
      // A later connection has a token of its own.
      if (socket !== this.#socket) return;
      const token = readToken(given);
      if (token === undefined) throw new TypeError(noToken(given));
      this.send({ type: "refresh", token });
    } catch (err) {
      if (socket !== this.#socket) return;
      this.refreshLater();
      const message = `cannot refresh the token: ${messageOf(err)}`;
      this.#deps.onRefreshError(message);
    }
  }

  /** A token was not refreshed: tries again after a while. */
  refreshLater(): void {
    const { refreshRetryMs } = this.#deps.timing;
    this.#refreshTimer.start(refreshRetryMs, () => void this.refresh());
  }

  /** The page is about to run no more code: ends the connection until `wake`. */
  sleep(): void {
    const { state, reason } = this.#info;
    if (state === "closed" || state === "offline" && reason === FROZEN) return;
    this.#drop();
    this.#report({ state: "offline", reason: FROZEN });
  }

  /**
   * A connection may be possible again, or the user looks at the page: connects now instead of
   * later. A connection that looks open is asked whether it is.
   */
  wake(): void {
    const { state } = this.#info;
    if (state === "offline" || state === "reconnecting") {
      this.#backoff.reset();
      void this.open();
    } else this.doubt();
  }

  /** The connection may be broken: finds out, if it looks open. */
  doubt(): void {
    // The first message may be a large one that is still on its way.
    if (this.#info.state === "connected") this.#lifeSigns.ask();
  }

  /** Closes the link; it never connects again. Safe to repeat. */
  close(code: number, reason: string): void {
    if (this.#isClosed) return;
    this.#drop();
    this.#tokens.stop();
    this.#report({ state: "closed", code, reason });
  }

  /** Like `close`, and tells the server that this client does not come back. */
  leave(code: number, reason: string): void {
    this.#socket?.close(LEAVE.code, LEAVE.reason);
    this.close(code, reason);
  }

  #openSocket(token: string): void {
    const { url, query, socketClass } = this.#deps;
    const target = withQuery(url, query(this.#reachability.hasFailed));
    try {
      this.#socket = new ClientSocket(socketClass, target, token, {
        onOpen: () => this.#onOpen(),
        onMessage: (data) => this.#receive(data),
        onUnopened: () => {
          this.#reachability.failed();
          this.#retry(this.#reachability.reason, NO_CLOSE_FRAME);
        },
        onClose: (code, reason) => this.#onClose(code, reason),
      });
    } catch (err) {
      // The address and the page's policy will be the same at the next attempt.
      const reason = `cannot open a socket: ${messageOf(err)}`;
      return this.close(CLOSE.policy.code, reason);
    }
    this.#startConnectTimer();
  }

  #startConnectTimer(): void {
    this.#timer.start(this.#deps.timing.connectMs, () => {
      if (this.#socket !== undefined) this.#reachability.failed();
      this.#retry("timed out while connecting");
    });
  }

  #onOpen(): void {
    this.#reachability.opened();
    this.#timer.stop();
    this.#lifeSigns.start();
  }

  #onClose(code: number, reason: string): void {
    const wasConnected = this.#info.state === "connected";
    if (FINAL_CODES.includes(code)) this.close(code, reason);
    else if (code === CLOSE.tokenExpired.code) {
      if (this.#tokens.refused() === "retry") this.#retry(reason, code);
      else this.close(code, reason);
    } else if (code === CLOSE.goingAway.code && reason === "" && wasConnected) {
      // Firefox closes every socket when a navigation begins, also one to a download.
      this.#backoff.reset();
      this.#retry("the browser closed the connection", code);
    } else if (code === NO_CLOSE_FRAME) this.#retry("connection lost", code);
    else this.#retry(reason, code);
  }

  #onSilence(): void {
    const isConnected = this.#info.state === "connected";
    const what = isConnected
      ? "timed out: the server is silent"
      : "timed out while waiting for the first message";
    this.#retry(what);
  }

  #receive(data: string): void {
    this.#lifeSigns.received();
    try {
      this.#deps.onMessage(data);
    } catch (err) {
      this.#retry(describeError(err));
    }
  }

  /** Drops the socket and tries again later. */
  #retry(reason: string, code?: number): void {
    const isOnline = this.#deps.platform.navigator?.onLine !== false;
    this.#drop();
    const retryMs = this.#backoff.next(isOnline);
    this.#timer.start(retryMs, () => void this.open());
    const why = code === undefined ? { reason } : { code, reason };
    if (isOnline) this.#report({ state: "reconnecting", ...why, retryMs });
    else this.#report({ state: "offline", reason: NO_NETWORK, retryMs });
  }

  /** Closes the socket and forgets it, with the attempt and the timers. */
  #drop(): void {
    this.#timer.stop();
    this.#refreshTimer.stop();
    this.#lifeSigns.stop();
    const socket = this.#socket;
    this.#socket = this.#attempt = undefined;
    socket?.close();
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
