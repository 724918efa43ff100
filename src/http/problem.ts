/**
 * Errors over HTTP. All of them are JSON of one shape: `{"error": {"code", "message"}}`.
 *
 * The code is for programs and never changes. The message is for people.
 *
 * @module
 */
import type { Refusal } from "../access/admission.ts";
import type { ErrorBody } from "../client/protocol/messages.ts";

/** Codes of error responses. A response itself does not tell, because its body is a stream. */
const codes = new WeakMap<Response, string>();

/**
 * An error response with an HTTP status of 400 or above.
 *
 * @param details What the body has beside the error.
 */
export function problem(
  status: number,
  code: string,
  message: string,
  headers: Record<string, string> = {},
  details: Record<string, unknown> = {},
): Response {
  const body: ErrorBody = { error: { code, message }, ...details };
  const response = Response.json(body, { status, headers });
  codes.set(response, code);
  return response;
}

/** The code of an error response that `problem` made, else `""`. */
export function problemCode(response: Response): string {
  return codes.get(response) ?? "";
}

/** The refusal of admission, with the time after which to retry. */
export function refused(refusal: Refusal): Response {
  const headers = { "retry-after": String(refusal.retryAfterSeconds) };
  return problem(refusal.status, refusal.code, refusal.message, headers);
}

/** 503 and not 401: the token may be valid, but its key or its user cannot be looked up now. */
export function cannotVerify(): Response {
  const headers = { "retry-after": "5" };
  const message = "tokens cannot be verified now, try again";
  return problem(503, "unavailable", message, headers);
}
