/**
 * Where a request carries its token.
 *
 * @module
 */

/** From `Authorization: Bearer`. */
export function bearerToken(request: Request): string | undefined {
  const [, token] =
    /^Bearer +(\S+) *$/i.exec(request.headers.get("authorization") ?? "") ?? [];
  return token;
}

/** From `Authorization: Bearer`, or else from `?token=`. */
export function requestToken(request: Request): string | undefined {
  return bearerToken(request) ??
    new URL(request.url).searchParams.get("token") ?? undefined;
}

export function isHandshake({ headers }: Request): boolean {
  return headers.get("upgrade")?.toLowerCase() === "websocket";
}
