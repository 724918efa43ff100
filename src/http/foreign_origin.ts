/**
 * Whether a page may use the server: its browser names the page's origin in each request.
 *
 * A browser hides from the page why a request failed, so the log is where an operator finds it.
 *
 * @module
 */
import { cutText } from "../base/cut_text.ts";
import type { Log } from "../base/log.ts";
import type { Config } from "../config/config.ts";
import { ORIGIN_LENGTH_SHOWN_MAX } from "./limits.ts";
import type { RequestHead } from "./request.ts";

/**
 * Finds the origin of a page that may not use the server, and logs it.
 *
 * @returns The origin, cut to a length for a message. `undefined`: the page may, or there is none.
 */
export function foreignOrigin(
  { headers }: RequestHead,
  path: string,
  allowed: Config["allowedOrigins"],
  log: Log,
): string | undefined {
  const given = headers.get("origin");
  if (allowed === "*" || given === null || allowed.includes(given)) {
    return undefined;
  }
  const origin = cutText(given, ORIGIN_LENGTH_SHOWN_MAX);
  log.warn({ origin, path }, "origin refused");
  return origin;
}
