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
 * The parts: `link.ts` keeps a WebSocket connected, `replica.ts` applies its messages to the
 * copy, `reader.ts` holds the changes that one `for await` loop has not read, `throttle.ts`
 * limits the `watch` messages, `users.ts` checks ids, `socket_url.ts` checks the URL,
 * `connection_info.ts` names the states of the connection, `platform.ts` declares the Web APIs.
 * Nothing outside this folder and `protocol/` is needed.
 *
 * @example
 * ```ts
 * import { connect } from "@rollcall/server/client";
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
import { Link, TIMING, type Timing, type TokenSource } from "./link.ts";
import { platform, type PlatformAbortSignal } from "./platform.ts";
import { Reader } from "./reader.ts";
import { type PresenceChange, Replica, type Update } from "./replica.ts";
import { toSocketUrl } from "./socket_url.ts";
import { toWatchSet, type User } from "./users.ts";
import type { ErrorMessage, ServerMessage } from "../protocol/messages.ts";
import type { UserId } from "../protocol/user_id.ts";

export type {
  ConnectionInfo,
  ConnectionStatus,
  PresenceChange,
  TokenSource,
  User,
};
export type {
  ErrorCode,
  ErrorMessage,
  OnlineUserInfo,
} from "../protocol/messages.ts";
export type { UserId } from "../protocol/user_id.ts";

/** The events of a {@linkcode Rollcall}, and what each one delivers. */
export interface Events {
  /** A watched user came online. */
  readonly online: PresenceChange;
  /** A watched user went offline. */
  readonly offline: PresenceChange;
  /**
   * `users` was replaced as a whole, without an `online` or `offline` event for each difference:
   * with the first snapshot, when another watch set takes effect, and with each new count if the
   * server does not name the users.
   */
  readonly state: ReadonlyMap<UserId, User>;
  /** The state of the connection changed. */
  readonly connection: ConnectionInfo;
  /** @deprecated The former name of `connection`. See {@linkcode ConnectionStatus}. */
  readonly status: ConnectionStatus;
  /**
   * The server refused a request, or the token could not be refreshed. The connection stays
   * open. `code` is for programs: `watch_too_large`, `overloaded`, `token_expiring` ...
   */
  readonly error: ErrorMessage;
}

/** The options of {@linkcode connect}. */
export interface Options {
  /**
   * A JWT, or a function that returns one. The function is called for each connection, and again
   * before its last token expires. If it throws, it is called again later.
   */
  readonly token: TokenSource;
  /** Which users to watch at first. Default: `"*"`, all users. */
  readonly watch?: Iterable<UserId> | "*";
  /** Closes the client when it is aborted. */
  readonly signal?: PlatformAbortSignal;
}

/**
 * Connects, and stays connected until the client is closed.
 *
 * @example
 * ```ts
 * import { connect } from "@rollcall/server/client";
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
 * @throws {TypeError} for an invalid URL, user id or token. Later errors are never thrown: the
 *   events `connection` and `error` report them.
 */
export function connect(
  url: string | { readonly href: string },
  options: Options,
): Rollcall {
  return new Rollcall(url, options);
}

/** A client. {@linkcode connect} makes one. */
export class Rollcall implements AsyncIterable<PresenceChange> {
  readonly #link: Link;
  readonly #replica: Replica;
  readonly #listeners = new Map<keyof Events, Set<(event: never) => void>>();
  readonly #readers = new Set<Reader>();
  readonly #closing = new platform.AbortController();

  /** @internal */
  constructor(
    url: string | { readonly href: string },
    // JavaScript callers may omit the options; the error then names the token.
    { token, watch = "*", signal }: Options = {} as Options,
    timing: Timing = TIMING,
  ) {
    const socketUrl = toSocketUrl(url);
    if (typeof token !== "string" && typeof token !== "function") {
      throw new TypeError("Cannot connect: expected a token, or a function");
    }
    const replica = new Replica(
      toWatchSet(watch),
      (message) => this.#link.send(message),
    );
    this.#replica = replica;
    this.#link = new Link({
      ...{ token, timing },
      url: (wasRefused) => {
        const target = new platform.URL(socketUrl);
        replica.startConnection(target, wasRefused);
        return target;
      },
      onMessage: (data) => this.#receive(data),
      onConnection: (info) => this.#onConnection(info),
      onRefreshError: (message) =>
        this.#emit("error", { type: "error", code: "token_expiring", message }),
    });
    const until = { signal: this.#closing.signal };
    platform.addEventListener?.("online", () => this.#link.goOnline(), until);
    platform.addEventListener?.(
      "offline",
      () => this.#link.goOffline(),
      until,
    );
    signal?.addEventListener("abort", () => this.close(), until);
    // The caller can add its listeners before the first event.
    platform.queueMicrotask(() => {
      if (signal?.aborted) this.close();
      else void this.#link.open();
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

  /** @deprecated The former name of `connection`. See {@linkcode ConnectionStatus}. */
  get status(): ConnectionStatus {
    return toStatus(this.#link.info);
  }

  /** Calls `listener` for each event from now on. Returns a function that removes it. */
  on<Name extends keyof Events>(
    name: Name,
    listener: (event: Events[Name]) => void,
  ): () => void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => void listeners.delete(listener);
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
   * Closes the connection and ends all loops. Only `connection` events follow. Safe to repeat.
   * If the server never answers the close, the socket may keep a process from exiting.
   */
  close(): void {
    this.#link.close(1000, "closed by the application");
  }

  /**
   * The changes from now on, until the client is closed. A loop that is slower than the changes
   * gets the difference since it last read, not every change: at most one per user.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<PresenceChange> {
    const reader = new Reader((ended) => this.#readers.delete(ended));
    if (this.#closing.signal.aborted) reader.end();
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
  }

  #onError(error: ErrorMessage): void {
    if (error.code === "token_expiring") void this.#link.refresh();
    else this.#emit("error", error);
  }

  #onConnection(info: ConnectionInfo): void {
    if (info.state !== "connected") this.#replica.endConnection();
    if (info.state === "closed") this.#closing.abort();
    this.#emit("connection", info);
    this.#emit("status", toStatus(info));
    if (info.state === "closed") {
      for (const reader of this.#readers) reader.end();
    }
  }

  /** After `close`, only the events about the connection are emitted. */
  #emit<Name extends keyof Events>(name: Name, event: Events[Name]): void {
    const isAboutConnection = name === "connection" || name === "status";
    if (!isAboutConnection && this.#closing.signal.aborted) return;
    for (const listener of [...this.#listeners.get(name) ?? []]) {
      try {
        (listener as (event: Events[Name]) => void)(event);
      } catch (err) {
        // The error becomes an uncaught one, and the other listeners are still called.
        platform.queueMicrotask(() => {
          throw err;
        });
      }
    }
  }
}
