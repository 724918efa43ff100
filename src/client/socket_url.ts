/**
 * The URL for the sockets, from the one that the application gives.
 *
 * @module
 */
import type { Platform } from "./platform.ts";

/** An absolute URL, or one that is relative to the page. A `URL` is one too. */
export type Address = string | { readonly href: string };

/** Browsers let a page from https: connect to its own machine without TLS. Safari does not. */
const LOOPBACK =
  /^ws:\/\/(localhost|[^/?:]*\.localhost|127(\.\d+){3}|\[::1\])(?=[:/?]|$)/i;

/**
 * An absolute `ws:` or `wss:` URL without a fragment, which a WebSocket may not have.
 *
 * @throws {TypeError} if there is none, and for one that a browser does not open from this page.
 */
export function toSocketUrl(address: Address, platform: Platform): string {
  const given = typeof address === "string" ? address : address.href;
  const fault = (expected: string) =>
    new TypeError(`Cannot connect to "${given}": expected ${expected}`);
  let resolved: string;
  try {
    resolved = new platform.URL(given, baseOf(platform)).href;
  } catch {
    throw fault("a URL");
  }
  // React Native's URL adds a slash to the end, so an absolute one is used as it was given.
  const isAbsolute = /^(ws|http)s?:\/\//.test(given);
  const url = (isAbsolute ? given : resolved)
    .replace(/#.*$/, "").replace(/^http/, "ws");
  if (!/^wss?:/.test(url)) throw fault("wss: or https:");
  const isPageSecure = platform.origin?.startsWith("https:") === true;
  if (isPageSecure && url.startsWith("ws:") && !LOOPBACK.test(url)) {
    throw fault("wss:, because this page is https:");
  }
  return url;
}

/** `location` is no base in a worker from a `blob:` URL, nor in a frame with `srcdoc`. */
function baseOf({ document, location, origin }: Platform): string | undefined {
  if (document !== undefined) return document.baseURI;
  return location?.href.startsWith("blob:") ? origin : location?.href;
}

/** The URL with a query added, such as `watch=1,2`. */
export function withQuery(url: string, query: string): string {
  if (query === "") return url;
  return `${url}${url.includes("?") ? "&" : "?"}${query}`;
}
