/**
 * The query of a request.
 *
 * In a list of ids each one is percent-encoded between commas, so the list has to be split before
 * it is decoded.
 *
 * @module
 */

/** The query as it stands in the URL, without the question mark. To parse the URL costs much more. */
export function rawQuery(url: string): string {
  const [target = ""] = url.split("#", 1);
  const at = target.indexOf("?");
  return at < 0 ? "" : target.slice(at + 1);
}

/** The first value of a parameter as it stands in the query. `undefined`: there is none. */
export function rawQueryValue(query: string, name: string): string | undefined {
  for (const part of query.split("&")) {
    if (part === name) return "";
    if (part.startsWith(`${name}=`)) return part.slice(name.length + 1);
  }
  return undefined;
}
