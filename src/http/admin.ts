/**
 * What an administrator may ask for: that somebody is disconnected, on every node.
 *
 * @module
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { z } from "zod";
import type { Admission } from "../access/admission.ts";
import { ADMIN_BODY_BYTES_MAX } from "./limits.ts";
import { TOKEN_ID_LENGTH_MAX } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import { USER_ID_MAX } from "../protocol/user_id.ts";
import type { Store } from "../core/store/store.ts";
import { problem, refused } from "./problem.ts";
import { requestId } from "./request_id.ts";
import { bearerToken } from "./request.ts";

export interface AdminDeps {
  readonly adminToken: string;
  readonly admission: Pick<Admission, "throttled" | "failed">;
  readonly store: Pick<Store, "revoke">;
  readonly log: Log;
}

const EXPECTED = '{"userId": <user id>} or {"jti": "<token id>"}';

const order = z.union([
  z.strictObject({ userId: z.int().min(1).max(USER_ID_MAX) }),
  z.strictObject({
    jti: z.string().min(1).max(TOKEN_ID_LENGTH_MAX).refine((id) =>
      id.isWellFormed() && !id.includes("\0")
    ),
  }),
]);

/** Answers `POST /admin/disconnect` from a client address. */
export async function disconnect(
  request: Request,
  address: string,
  { adminToken, admission, store, log }: AdminDeps,
): Promise<Response> {
  const about = { requestId: requestId(request), address };
  // It is too long to be guessed, and must not be locked out by others behind the same address.
  if (!isSame(bearerToken(request) ?? "", adminToken)) {
    const throttled = admission.throttled(address);
    if (throttled !== undefined) return refused(throttled);
    admission.failed(address);
    log.warn(about, "wrong ADMIN_TOKEN");
    const headers = { "www-authenticate": "Bearer" };
    return problem(401, "unauthorized", "expected the ADMIN_TOKEN", headers);
  }
  const wanted = order.safeParse(await readJson(request));
  if (!wanted.success) {
    return problem(
      400,
      "bad_order",
      `expected a body such as ${EXPECTED}, with its length`,
    );
  }
  log.info({ ...about, ...wanted.data }, "order to disconnect");
  await store.revoke(
    "userId" in wanted.data
      ? { userId: wanted.data.userId, tokenId: undefined }
      : { userId: undefined, tokenId: wanted.data.jti },
  );
  return Response.json({ status: "ordered" }, { status: 202 });
}

/** Digests are compared, so that neither length nor content shows in the time it takes. */
function isSame(given: string, wanted: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(given), digest(wanted));
}

/** The body, or `undefined` if it is too long or no JSON. */
async function readJson(request: Request): Promise<unknown> {
  const length = Number(request.headers.get("content-length") ?? Infinity);
  if (!(length <= ADMIN_BODY_BYTES_MAX)) return undefined;
  try {
    return await request.json();
  } catch {
    return undefined;
  }
}
