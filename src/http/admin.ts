/**
 * `POST /admin/disconnect`: an administrator disconnects a user or revokes a token.
 *
 * The request only writes a revocation to the store. Every node reads it from there and closes
 * the connections, so the answer is 202 before the first of them is closed.
 *
 * @module
 */
import { createHash, timingSafeEqual } from "node:crypto";
import { z } from "zod";
import type { Admission } from "../access/admission.ts";
import { ADMIN_BODY_BYTES_MAX } from "./limits.ts";
import { TOKEN_ID_LENGTH_MAX } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import type { UserIds } from "../client/protocol/user_id.ts";
import type { Revocation, Store } from "../core/store/store.ts";
import { problem, refused } from "./problem.ts";
import { requestId } from "./request_id.ts";
import { bearerToken } from "./request.ts";

export interface AdminDeps {
  readonly adminToken: string;
  readonly admission: Pick<Admission, "throttled" | "recordFailure">;
  readonly store: Pick<Store, "revoke">;
  readonly ids: UserIds;
  readonly log: Log;
}

const EXPECTED = '{"userId": <user id>} or {"jti": "<token id>"}';

const bodySchema = z.union([
  z.strictObject({ userId: z.union([z.number(), z.string()]) }),
  z.strictObject({
    jti: z.string().min(1).max(TOKEN_ID_LENGTH_MAX).refine((id) =>
      id.isWellFormed() && !id.includes("\0")
    ),
  }),
]);

/**
 * Answers a request from a client address: 202, 400, 401 or 429. Rejects as the store does.
 */
export async function disconnect(
  request: Request,
  address: string,
  { adminToken, admission, store, ids, log }: AdminDeps,
): Promise<Response> {
  const about = { requestId: requestId(request), address };
  const throttled = admission.throttled(address);
  if (throttled !== undefined) return refused(throttled);
  if (!isSame(bearerToken(request) ?? "", adminToken)) {
    admission.recordFailure(address);
    log.warn(about, "wrong ADMIN_TOKEN");
    const headers = { "www-authenticate": "Bearer" };
    return problem(401, "unauthorized", "expected the ADMIN_TOKEN", headers);
  }
  const revoked = readRevoked(await readJson(request), ids);
  if (revoked === undefined) {
    const message =
      `expected the body ${EXPECTED}, ${ids.expected}, of at most ${ADMIN_BODY_BYTES_MAX} bytes, and a content-length`;
    return problem(400, "bad_revocation", message);
  }
  log.info({ ...about, ...revoked }, "revocation requested");
  await store.revoke(revoked);
  return Response.json({ status: "revoked" }, { status: 202 });
}

/** `undefined` if the body names neither a user id nor a token id. */
function readRevoked(
  body: unknown,
  ids: UserIds,
): Omit<Revocation, "id"> | undefined {
  const { data } = bodySchema.safeParse(body);
  if (data === undefined) return undefined;
  if ("jti" in data) return { userId: undefined, tokenId: data.jti };
  const userId = ids.parseJson(data.userId);
  return userId === undefined ? undefined : { userId, tokenId: undefined };
}

/** Compares digests, so that the time it takes depends on neither the length nor the content. */
function isSame(given: string, wanted: string): boolean {
  const digest = (text: string) => createHash("sha256").update(text).digest();
  return timingSafeEqual(digest(given), digest(wanted));
}

/** The body, or `undefined` if it is too long, has no known length, or is not JSON. */
async function readJson(request: Request): Promise<unknown> {
  const length = Number(request.headers.get("content-length") ?? Infinity);
  if (!(length <= ADMIN_BODY_BYTES_MAX)) return undefined;
  try {
    return await request.json();
  } catch {
    return undefined;
  }
}
