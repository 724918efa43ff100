/**
 * Where a request carries its token.
 *
 * @module
 */

/** From `Authorization: Bearer`, or else from `?token=`. */
export function requestToken(request: Request): string | undefined {
  const [, token] =
    /^Bearer +(\S+) *$/i.exec(request.headers.get("authorization") ?? "") ?? [];
  return token ?? new URL(request.url).searchParams.get("token") ?? undefined;
}
