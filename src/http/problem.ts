/**
 * Errors over HTTP: always JSON, always the same shape.
 *
 * @module
 */
import type { Refusal } from "../access/admission.ts";
import type { ErrorBody } from "../protocol/messages.ts";

export function problem(
  status: number,
  code: string,
  message: string,
  headers: Record<string, string> = {},
): Response {
  const body: ErrorBody = { error: { code, message } };
  return Response.json(body, { status, headers });
}

/** A refusal that says when to come back. */
export function refused(refusal: Refusal): Response {
  const headers = { "retry-after": String(refusal.retryAfterSeconds) };
  return problem(refusal.status, refusal.code, refusal.message, headers);
}

/** A key set that cannot be had is no fault of the token. */
export function cannotVerify(): Response {
  const headers = { "retry-after": "5" };
  const message = "tokens cannot be verified now";
  return problem(503, "unavailable", message, headers);
}
