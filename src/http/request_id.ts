/**
 * The id of a request in the log: the one that a proxy set, else a new one.
 *
 * @module
 */
import type { RequestHead } from "./request.ts";

/** The ids of nginx, Envoy and others fit. Anything else may be an attempt to forge a log line. */
const ID = /^[\w-]{1,64}$/;

/** The value of `X-Request-Id`, else a new id with each call. */
export function requestId({ headers }: RequestHead): string {
  const given = headers.get("x-request-id") ?? "";
  return ID.test(given) ? given : crypto.randomUUID();
}
