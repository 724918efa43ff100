/**
 * Reads the JSON of a request of bounded length.
 *
 * @module
 */
import { ADMIN_BODY_BYTES_MAX } from "./limits.ts";

/** Whether the request has no body. */
export function isEmpty({ headers }: Request): boolean {
  const length = headers.get("content-length") ?? "0";
  return length === "0" && !headers.has("transfer-encoding");
}

/** The body, or `undefined` if it is too long, has no known length, or is not JSON. */
export async function readJson(request: Request): Promise<unknown> {
  const length = Number(request.headers.get("content-length") ?? Infinity);
  if (!(length <= ADMIN_BODY_BYTES_MAX)) return undefined;
  try {
    return await request.json();
  } catch {
    return undefined;
  }
}
