/**
 * The options of a client.
 *
 * @module
 */
import type {
  PlatformAbortSignal,
  PlatformSocketConstructor,
} from "./platform.ts";
import type { UserId } from "./protocol/user_id.ts";
import { kindOf, type TokenSource } from "./tokens.ts";

/** A class of WebSockets. Those of `ws` and of browsers are assignable to it. */
export type WebSocketClass = new (url: string, protocols: string[]) => {
  send(data: string): void;
  close(code?: number, reason?: string): void;
};

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
  /**
   * The class to make sockets from, for Node before 22: the one of the package `ws`. Default: the
   * `WebSocket` of the environment.
   */
  readonly WebSocket?: WebSocketClass;
}

/** @throws {TypeError} if it is neither a text nor a function. */
export function toTokenSource(token: unknown): TokenSource {
  if (typeof token === "string" || typeof token === "function") {
    return token as TokenSource;
  }
  const got = kindOf(token);
  throw new TypeError(
    `Cannot connect: expected a token, or a function, got ${got}`,
  );
}

/** @throws {TypeError} if it is no class. */
export function toSocketClass(value: unknown): PlatformSocketConstructor {
  if (typeof value === "function") return value as PlatformSocketConstructor;
  throw new TypeError(
    "Cannot connect: expected a WebSocket, as in browsers, Deno, and Node 22 or newer; " +
      "set the option WebSocket, for example to that of the package ws",
  );
}
