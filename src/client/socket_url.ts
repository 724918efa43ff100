/**
 * The URL for the sockets, from the one that the application gives.
 *
 * @module
 */
import { platform, type PlatformUrl } from "./platform.ts";

/**
 * An absolute `ws:` or `wss:` URL without a fragment, which a WebSocket may not have.
 *
 * @throws {TypeError} if there is none.
 */
export function toSocketUrl(url: string | { readonly href: string }): string {
  const given = typeof url === "string" ? url : url.href;
  const socketUrl = parseUrl(given);
  if (socketUrl === undefined) {
    throw new TypeError(`Cannot connect to "${given}": expected a URL`);
  }
  socketUrl.hash = "";
  socketUrl.protocol = socketUrl.protocol.replace(/^http/, "ws");
  if (/^wss?:$/.test(socketUrl.protocol)) return socketUrl.href;
  throw new TypeError(
    `Cannot connect to "${given}": expected wss: or https:`,
  );
}

/** `URL.canParse` is newer than some of the browsers that the library supports. */
function parseUrl(url: string): PlatformUrl | undefined {
  try {
    return new platform.URL(url, platform.location?.href);
  } catch {
    return undefined;
  }
}
