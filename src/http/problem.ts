/**
 * Errors over HTTP: always JSON, always the same shape.
 *
 * @module
 */
import type { ErrorBody } from "../protocol.ts";

export function problem(
  status: number,
  code: string,
  message: string,
  headers: Record<string, string> = {},
): Response {
  const body: ErrorBody = { error: { code, message } };
  return Response.json(body, { status, headers });
}
