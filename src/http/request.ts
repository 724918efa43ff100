/**
 * What the routes read from a request: its token, and whether it is a WebSocket handshake.
 *
 * @module
 */

/** What a route gets beside the request: the client's address. Behind a trusted proxy, the proxy reports it. */
export interface HttpEnv {
  readonly Bindings: { readonly address: string };
}

/** The token from `Authorization: Bearer`. */
export function bearerToken(request: Request): string | undefined {
  const [, token] =
    /^Bearer +(\S+) *$/i.exec(request.headers.get("authorization") ?? "") ?? [];
  return token;
}

/** The token from `Authorization: Bearer`, else from `?token=`. */
export function requestToken(request: Request): string | undefined {
  return bearerToken(request) ??
    new URL(request.url).searchParams.get("token") ?? undefined;
}

export function isHandshake({ headers }: Request): boolean {
  return headers.get("upgrade")?.toLowerCase() === "websocket";
}
