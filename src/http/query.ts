/**
 * A query value before it is decoded.
 *
 * In a list of ids each one is percent-encoded between commas, so the list has to be split first.
 *
 * @module
 */

/** The first value of a parameter as it stands in the URL. `undefined`: there is none. */
export function rawQueryValue(url: string, name: string): string | undefined {
  const { search } = new URL(url);
  for (const part of search.slice(1).split("&")) {
    const [key = "", ...value] = part.split("=");
    if (key === name) return value.join("=");
  }
  return undefined;
}
