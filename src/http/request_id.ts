/**
 * What the log calls a request by: the id that a proxy gave it, or one of our own.
 *
 * @module
 */

/** As nginx, Envoy and others make them. Anything else is no id, and could be anything. */
const ID = /^[\w-]{1,64}$/;

export function requestId(request: Request): string {
  const given = request.headers.get("x-request-id") ?? "";
  return ID.test(given) ? given : crypto.randomUUID();
}
