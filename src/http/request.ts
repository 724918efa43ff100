/**
 * What the routes read from a request: its token, and whether it is a WebSocket handshake.
 *
 * @module
 */
import { rawQuery } from "./query.ts";

/** What a route gets beside the request: the client's address. Behind a trusted proxy, the proxy reports it. */
export interface HttpEnv {
  readonly Bindings: { readonly address: string };
}

/** A request without its body. A request for an upgrade has none. */
export interface RequestHead {
  readonly method: string;
  readonly url: string;
  readonly headers: Pick<Headers, "get">;
}

/** A request for an upgrade, of a server that has no `Request` for it yet. */
export interface UpgradeRequest extends RequestHead {
  /** Makes a `Request` of it, which costs more than all that an upgrade reads of it. */
  toRequest(): Request;
}

/** The token from `Authorization: Bearer`. */
export function bearerToken({ headers }: RequestHead): string | undefined {
  const [, token] =
    /^Bearer +(\S+) *$/i.exec(headers.get("authorization") ?? "") ?? [];
  return token;
}

/**
 * The token from `Authorization: Bearer`, else from `?token=`.
 *
 * @param query Of the request, where it was parsed before.
 */
export function requestToken(
  request: RequestHead,
  query?: URLSearchParams,
): string | undefined {
  return bearerToken(request) ??
    (query ?? new URLSearchParams(rawQuery(request.url))).get("token") ??
    undefined;
}

export function isHandshake({ headers }: RequestHead): boolean {
  return headers.get("upgrade")?.toLowerCase() === "websocket";
}
