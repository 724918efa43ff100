/**
 * The client: who is online, live, in browsers, Deno and Node 22 or newer.
 *
 * It keeps a copy of who is online that is right as of one `seq`, comes back by itself after
 * whatever ends a connection, goes on where it was, and tells only what really changed. It
 * needs nothing but these files and `protocol.ts`.
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
import { type ConnectionStatus, Link, TIMING } from "./link.ts";
import type { Timing, TokenSource } from "./link.ts";
import { Reader } from "./reader.ts";
import { type Change, Replica } from "./replica.ts";
import { toWatchSet, type User } from "./users.ts";
import type { ErrorMessage, ServerMessage } from "../protocol/messages.ts";
import type { UserId } from "../protocol/user_id.ts";

export type { Change, ConnectionStatus, TokenSource, User };
export type { ErrorMessage } from "../protocol/messages.ts";
export type { UserId } from "../protocol/user_id.ts";

/** What `on` can be asked for, and what its listeners get. */
export interface Events {
  readonly online: Change;
  readonly offline: Change;
  /** `users` was made anew: at the beginning, or because others are watched. */
  readonly state: ReadonlyMap<UserId, User>;
  readonly status: ConnectionStatus;
  /** The server did not do what it was asked for, for example to watch so many users. */
  readonly error: ErrorMessage;
}

export interface Options {
  /** A function is called for each connection, and again before the token it gave expires. */
  readonly token: TokenSource;
  /** Whom to hear about at first. Default: everybody. */
  readonly watch?: Iterable<UserId> | "*";
  /** Closes the client. */
  readonly signal?: AbortSignal;
}

/**
 * Connects, and stays connected until it is closed.
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
 * friends.on("status", ({ state, reason }) => console.log(state, reason));
 * friends.on("state", (users) => {
 *   console.log(users.has(2) ? "bob is here" : "bob is not here");
 *   friends.close();
 * });
 * ```
 *
 * @param url The address of the server's `/ws`: `wss:` or `https:`, in browsers also relative.
 * @throws {TypeError} for a URL, user ids or a token that are none. Nothing else is thrown, now or later:
 *   what goes wrong is told by the `status` and `error` events.
 */
export function connect(url: string | URL, options: Options): Rollcall {
  return new Rollcall(url, options);
}

/** Made by {@linkcode connect}. */
export class Rollcall implements AsyncIterable<Change> {
  readonly #link: Link;
  readonly #replica: Replica;
  readonly #listeners = new Map<keyof Events, Set<(event: never) => void>>();
  readonly #readers = new Set<Reader>();
  readonly #closing = new AbortController();

  /** @internal */
  constructor(
    given: string | URL,
    // In JavaScript the options can be left out.
    { token, watch = "*", signal } = {} as Options,
    timing: Timing = TIMING,
  ) {
    const url = toSocketUrl(given);
    if (typeof token !== "string" && typeof token !== "function") {
      throw new TypeError("Cannot connect: expected a token, or a function");
    }
    const replica = new Replica(
      toWatchSet(watch),
      (watch) => this.#link.send(watch),
    );
    this.#replica = replica;
    this.#link = new Link({
      ...{ token, timing },
      url: (wasRefused) => {
        const target = new URL(url);
        replica.begin(target.searchParams, wasRefused);
        return target;
      },
      onMessage: (data) => this.#take(data),
      onStatus: (status) => this.#follow(status),
      onFault: (message) =>
        this.#emit("error", { type: "error", code: "token_expiring", message }),
    });
    const until = { signal: this.#closing.signal };
    globalThis.addEventListener?.("online", () => this.#link.resume(), until);
    globalThis.addEventListener?.("offline", () => this.#link.pause(), until);
    signal?.addEventListener("abort", () => this.close(), until);
    // The caller adds its listeners first.
    queueMicrotask(() => {
      if (signal?.aborted) this.close();
      else void this.#link.open();
    });
  }

  /** Who is online, of those that are watched. It follows the server and cannot be changed. */
  get users(): ReadonlyMap<UserId, User> {
    return this.#replica.users;
  }

  /** How many are online; more than `users` holds where they are too many to be named. */
  get count(): number {
    return this.#replica.count;
  }

  get status(): ConnectionStatus {
    return this.#link.status;
  }

  /** Calls back for each event from now on. Returns a function that ends it. */
  on<Name extends keyof Events>(
    name: Name,
    listener: (event: Events[Name]) => void,
  ): () => void {
    const listeners = this.#listeners.get(name) ?? new Set();
    this.#listeners.set(name, listeners.add(listener));
    return () => void listeners.delete(listener);
  }

  /**
   * Hears about these users only, or with `"*"` about everybody, as soon as the server agrees.
   * Who enters or leaves `users` by this did not come or go: a `state` event tells of it, and no
   * other. If it is too many for the server an `error` event tells so, and all stays as it was.
   *
   * @throws {TypeError} for what is no user id, and for more than 5,000 of them.
   */
  watch(ids: Iterable<UserId> | "*"): void {
    this.#replica.watch(toWatchSet(ids));
  }

  /**
   * Ends the connection and everything else; nothing is told any more but the status. Safe to
   * repeat. A server that never answers the close may keep a process from ending by itself.
   */
  close(): void {
    this.#link.close(1000, "closed by you");
  }

  /**
   * The changes from now on, until the client is closed. A slow reader gets what is different
   * since its last turn, not every coming and going.
   */
  [Symbol.asyncIterator](): AsyncIterableIterator<Change> {
    const reader = new Reader((ended) => this.#readers.delete(ended));
    if (this.#closing.signal.aborted) reader.end();
    else this.#readers.add(reader);
    return reader;
  }

  #take(data: string): void {
    let message: ServerMessage;
    let news;
    try {
      message = JSON.parse(data);
      news = this.#replica.take(message);
    } catch (err) {
      this.#replica.distrust();
      throw err;
    }
    if (message.type === "error") this.#takeError(message);
    if (news.isRight) this.#link.settle();
    for (const change of news.changes) {
      for (const reader of this.#readers) reader.push(change);
      this.#emit(change.type, change);
    }
    if (news.isAnew) {
      for (const reader of this.#readers) reader.reset(this.users);
      this.#emit("state", this.users);
    }
  }

  #takeError(error: ErrorMessage): void {
    if (error.code === "token_expiring") void this.#link.refresh();
    else this.#emit("error", error);
  }

  #follow(status: ConnectionStatus): void {
    if (status.state !== "connected") this.#replica.end();
    if (status.state === "closed") this.#closing.abort();
    this.#emit("status", status);
    if (status.state === "closed") {
      for (const reader of this.#readers) reader.end();
    }
  }

  /** A listener that throws is its application's to hear of, and harms nobody else. */
  #emit<Name extends keyof Events>(name: Name, event: Events[Name]): void {
    if (name !== "status" && this.#closing.signal.aborted) return;
    for (const listener of [...this.#listeners.get(name) ?? []]) {
      try {
        (listener as (event: Events[Name]) => void)(event);
      } catch (err) {
        queueMicrotask(() => {
          throw err;
        });
      }
    }
  }
}

function toSocketUrl(given: string | URL): URL {
  const { location } = globalThis as { location?: { href: string } };
  if (!URL.canParse(given, location?.href)) {
    throw new TypeError(`Cannot connect to "${given}": expected a URL`);
  }
  const url = new URL(given, location?.href);
  url.hash = "";
  url.protocol = url.protocol.replace(/^http/, "ws");
  if (/^wss?:$/.test(url.protocol)) return url;
  throw new TypeError(`Cannot connect to "${given}": expected wss: or https:`);
}
