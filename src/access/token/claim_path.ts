/**
 * Reads a token claim that a name or a path says where to find, such as `sub` or
 * `app_metadata.user_id`.
 *
 * A name with dots may be a path or a name: `https://hasura.io/jwt/claims` is a name. So a claim of
 * the whole name comes first, then the longest beginning that is the name of an object, with the
 * rest inside of it.
 *
 * @module
 */

/** The value, or `undefined` if there is none. Only what the token itself has counts. */
export function readClaim(claims: unknown, path: string): unknown {
  if (!isObject(claims)) return undefined;
  if (Object.hasOwn(claims, path)) return claims[path];
  for (
    let dot = path.lastIndexOf(".");
    dot > 0;
    dot = path.lastIndexOf(".", dot - 1)
  ) {
    const name = path.slice(0, dot);
    if (!Object.hasOwn(claims, name)) continue;
    const value = readClaim(claims[name], path.slice(dot + 1));
    if (value !== undefined) return value;
  }
  return undefined;
}

function isObject(value: unknown): value is Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
