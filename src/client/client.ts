/**
 * The client library: who is online, live, in browsers, Deno, and Node 22 or newer.
 *
 * `connect` returns a `Rollcall`. It holds a copy of the online users that is current as of one
 * `seq` of the server's feed. It reconnects by itself, resumes where it was, and reports only
 * what really changed: after a lost connection an application gets the differences. A user who
 * went offline and came back meanwhile is not among them.
 *
 * It costs one WebSocket, and memory for the users that are watched. A watch set is at most
 * 5,000 ids. Above the server's `MAX_STATE_USERS`, a client that watches everybody gets a
 * count instead of names.
 *
 * The parts: `link.ts` keeps a socket connected, with what it needs for that (`client_socket.ts`,
 * `tokens.ts`, `backoff.ts`, `reachability.ts`, `life_signs.ts`, `page_lifecycle.ts`). `replica.ts`
 * applies the messages to the copy, `reader.ts` holds the changes that one `for await` loop has not
 * read, `throttle.ts` limits the `watch` messages. `users.ts` checks ids and `socket_url.ts` the URL.
 * `options.ts` checks the options, `presence.ts` has what an application draws,
 * `connection_info.ts` names the states of the connection, `timing.ts` has every time,
 * `platform.ts` declares the Web APIs, and `protocol/` is what the server shares. `react.ts`, `vue.ts`
 * and `svelte.ts` are for those frameworks. Nothing outside this folder is needed.
 *
 * @example
 * ```ts
 * import { connect } from "@rollcall/client";
 *
 * const rollcall = connect("wss://presence.example/ws", { token: getToken });
 * rollcall.on("state", (users) => console.log(`${users.size} are online`));
 * for await (const { type, user } of rollcall) {
 *   console.log(`${user.username} is ${type} now`);
 *   if (user.username === "bob") rollcall.close();
 * }
 * ```
 *
 * @module
 */
import {
  type ConnectionInfo,
  type ConnectionStatus,
  toStatus,
} from "./connection_info.ts";
import { Link } from "./link.ts";
import { type Events, Listeners } from "./listeners.ts";
import { type Options, toSocketClass, toTokenSource } from "./options.ts";
import { followPage } from "./page_lifecycle.ts";
import { type Platform, platform } from "./platform.ts";
import { Reader } from "./reader.ts";
import {
  NOTHING_KNOWN,
  type Presence,
  PresenceCache,
  type PresenceChange,
} from "./presence.ts";
import { Replica, type Update } from "./replica.ts";
import { type Address, toSocketUrl } from "./socket_url.ts";
import { TIMING, type Timing } from "./timing.ts";
import type { TokenSource } from "./tokens.ts";
import { toWatchSet, type User } from "./users.ts";
import type {
  ClientMessage,
  ErrorMessage,
  ServerMessage,
} from "./protocol/messages.ts";
import type { UserId } from "./protocol/user_id.ts";

export type {
  Address,
  ConnectionInfo,
  ConnectionStatus,
  Events,
  Options,
  Presence,
  PresenceChange,
  TokenSource,
  User,
};
export type {
  ErrorCode,
  ErrorMessage,
  OnlineUserInfo,
} from "./protocol/messages.ts";
export type { UserId } from "./protocol/user_id.ts";

/** The close code and the reason after `close` and `leave`. */
const CLOSED = [1_000, "closed by the application"] as const;

/**
 * Connects, and stays connected until the client is closed.
 *
 * @example
 * ```ts
 * import { connect } from "@rollcall/client";
 *
 * const friends = connect("wss://presence.example/ws", {
 *   token: getToken,
 *   watch: [2, 3],
 *   signal: AbortSignal.timeout(60_000),
 * });
 * friends.on("connection", ({ state, reason }) => console.log(state, reason));
 * friends.on("state", (users) => {
 *   console.log(users.has(2) ? "bob is online" : "bob is offline");
 *   friends.close();
 * });
 * ```
 *
 * @param url The server's `/ws`: `wss:` or `https:` (or `ws:`, `http:`); relative in browsers.
 * @throws {TypeError} for an invalid URL, user id or token, for a URL that a browser does not
 *   open from this page, and where there is no `WebSocket`. Later errors are never thrown: the
 *   events `connection` and `error` report them.
 */
export function connect(url: Address, options: Options): Rollcall {
  return new Rollcall(url, options);
}

/** A client. {@linkcode connect} makes one. */
export class Rollcall implements AsyncIterable<PresenceChange> {
  readonly #link: Link;
  readonly #replica: Replica;
  readonly #presence: PresenceCache;
  /** What the last event `presence` delivered. */
  #emitted: Presence = NOTHING_KNOWN;
  readonly #listeners = new Listeners();
  readonly #readers = new Set<Reader>();
  /** Removes what the client added to the page and to the signal. */
  readonly #unfollow: () => void;

  /** @internal */
  constructor(
    url: Address,
    // JavaScript callers may omit the options; the error then names the token.
    options: Options = {} as Options,
    timing: Timing = TIMING,
    host: Platform = platform,
  ) {
    const socketUrl = toSocketUrl(url, host);
    const { watch = "*", signal, WebSocket = host.WebSocket } = options;
    const token = toTokenSource(options.token);
    const socketClass = toSocketClass(WebSocket);
    const send = (message: ClientMessage) => this.#link.send(message);
    const replica = this.#replica = new Replica(toWatchSet(watch), send, host);
    this.#presence = new PresenceCache(replica);
    const link = this.#link = new Link({
      ...{ token, timing, url: socketUrl, platform: host, socketClass },
      query: (wasRefused) => replica.startConnection(wasRefused),
      onMessage: (data) => this.#receive(data),
      onConnection: (info) => this.#onConnection(info),
      onRefreshError: (message) =>
        this.#emit("error", { type: "error", code: "token_expiring", message }),
    });
    const unfollowPage = followPage(host, {
      onSleep: () => link.sleep(),
      onWake: () => link.wake(),
      onNetworkLost: () => link.doubt(),
    });
    const close = () => this.close();
    signal?.addEventListener("abort", close);
    this.#unfollow = () => {
      unfollowPage();
      signal?.removeEventListener("abort", close);
    };
    // The caller can add its listeners before the first event.
    host.queueMicrotask(() => {
      if (signal?.aborted) this.close();
      else void link.open();
    });
  }

  /** The watched users who are online, by id. The map is read-only and changes in place. */
  get users(): ReadonlyMap<UserId, User> {
    return this.#replica.users;
  }

  /** How many users are online. Larger than `users.size` if the server sends a count and no names. */
  get count(): number {
    return this.#replica.count;
  }

  /** The state of the connection, as the last `connection` event delivered it. */
  get connection(): ConnectionInfo {
    return this.#link.info;
  }

  /** These three as one value that never changes. It is the same one until something changes. */
  get presence(): Presence {
    return this.#presence.read(this.#link.info);
  }

  /** @deprecated The former name of `connection`. See {@linkcode ConnectionStatus}. */
  get status(): ConnectionStatus {
    return toStatus(this.#link.info);
  }

  /** Calls `listener` for each event from now on. Returns a function that removes it. */
  on<Name extends keyof Events>(
    name: Name,
    listener: (event: Events[Name]) => void,
  ): () => void {
    return this.#listeners.add(name, listener);
  }

  /**
   * Watches these users only, or all users with `"*"`, as soon as the server accepts it. A user
   * who enters or leaves `users` because of this did not come online or go offline: the only
   * event is `state`. If the server refuses the watch set, the event is `error`, and the watch set
   * before it stays.
   *
   * @throws {TypeError} if an element is not a user id, and for more than 5,000 ids.
   */
  watch(ids: Iterable<UserId> | "*"): void {
    this.#replica.watch(toWatchSet(ids));
  }

  /**
   * Closes the connection and ends all loops. Only `connection` and `presence` events follow. Safe
   * to repeat. If the server never answers the close, the socket may keep a process from exiting.
   */
  close(): void {
    this.#link.close(...CLOSED);
  }

  /**
   * Like `close`, for a user who leaves, for example by logging out: without another connection
   * the user is offline at once. After `close` the server waits for `OFFLINE_GRACE_MS`, in case the
   * user returns.
   */
  leave(): void {
    this.#link.leave(...CLOSED);
  }

  /**
   * The changes from now on, until the client is closed. A loop that is slower than the changes
   * gets the difference since it last read, not every change: at most one per user.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<PresenceChange> {
    const reader = new Reader((ended) => this.#readers.delete(ended));
    if (this.#isClosed) reader.end();
    else this.#readers.add(reader);
    return reader;
  }

  #receive(data: string): void {
    let message: ServerMessage;
    let update: Update;
    try {
      message = JSON.parse(data);
      update = this.#replica.apply(message);
    } catch (err) {
      this.#replica.requireSnapshot();
      throw err;
    }
    if (message.type === "error") this.#onError(message);
    if (update.isCurrent) this.#link.markHealthy();
    for (const change of update.changes) {
      for (const reader of this.#readers) reader.push(change);
      this.#emit(change.type, change);
    }
    if (update.isReset) {
      for (const reader of this.#readers) reader.reset(this.users);
      this.#emit("state", this.users);
    }
    this.#emitPresence();
  }

  get #isClosed(): boolean {
    return this.#link.info.state === "closed";
  }

  #onError(error: ErrorMessage): void {
    const { code, ref } = error;
    if (code === "token_expiring") return void this.#link.refresh();
    // A server of an earlier version does not know "ping".
    if (code === "bad_message" && ref === undefined) return;
    if (code === "bad_token") this.#link.refreshLater();
    this.#emit("error", error);
  }

  #onConnection(info: ConnectionInfo): void {
    const isClosed = info.state === "closed";
    if (info.state !== "connected") this.#replica.endConnection();
    if (isClosed) this.#unfollow();
    const isCurrent = () => info === this.#link.info;
    this.#listeners.emit("connection", info, isCurrent);
    this.#listeners.emit("status", toStatus(info), isCurrent);
    this.#emitPresence();
    if (isClosed) { for (const reader of this.#readers) reader.end(); }
  }

  #emitPresence(): void {
    if (!this.#listeners.has("presence")) return;
    const { presence } = this;
    if (presence === this.#emitted) return;
    this.#emitted = presence;
    const isCurrent = () => presence === this.#emitted;
    this.#listeners.emit("presence", presence, isCurrent);
  }

  /** After `close`, only the events about the connection are emitted. */
  #emit<Name extends keyof Events>(name: Name, event: Events[Name]): void {
    this.#listeners.emit(name, event, () => !this.#isClosed);
  }
}
