/**
 * Authentication of administrators, who send the `ADMIN_TOKEN` in `Authorization`.
 *
 * A wrong token counts against its address as a bad token of a client does. While an address has
 * too many of them, the right token gets the same answer as a wrong one.
 *
 * @module
 */
import { createHash, timingSafeEqual } from "node:crypto";
import type { Admission } from "../access/admission.ts";
import type { Log } from "../base/log.ts";
import { problem, refused } from "../http/problem.ts";
import { bearerToken } from "../http/request.ts";
import { requestId } from "../http/request_id.ts";

export interface AuthenticateDeps {
  readonly adminToken: string;
  readonly admission: Pick<Admission, "throttled" | "recordFailure">;
  readonly log: Log;
}

/** Returns the refusal of a request, with 401 or 429. `undefined`: an administrator sent it. */
export function refuseStranger(
  request: Request,
  address: string,
  { adminToken, admission, log }: AuthenticateDeps,
): Response | undefined {
  const throttled = admission.throttled(address);
  if (throttled !== undefined) return refused(throttled);
  if (isSame(bearerToken(request) ?? "", adminToken)) return undefined;
  admission.recordFailure(address);
  log.warn({ requestId: requestId(request), address }, "wrong ADMIN_TOKEN");
  const headers = { "www-authenticate": "Bearer" };
  return problem(401, "unauthorized", "expected the ADMIN_TOKEN", headers);
}

/** Compares digests, so that the time it takes depends on neither the length nor the content. */
function isSame(given: string, wanted: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(given), digest(wanted));
}
