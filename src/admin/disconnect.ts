/**
 * `POST /admin/disconnect`: an administrator disconnects a user or revokes a token.
 *
 * The request only writes a revocation to the store. Every node reads it from there and closes
 * the connections, so the answer is 202 before the first of them is closed.
 *
 * @module
 */
import { z } from "zod";
import { TOKEN_ID_LENGTH_MAX } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import type { UserIds } from "../client/protocol/user_id.ts";
import type { Revocation, Store } from "../core/store/store.ts";
import { problem } from "../http/problem.ts";
import { requestId } from "../http/request_id.ts";
import { ADMIN_BODY_BYTES_MAX } from "./limits.ts";
import { readJson } from "./read_json.ts";

export interface DisconnectDeps {
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

/** Answers an administrator's request with 202 or 400. Rejects as the store does. */
export async function disconnect(
  request: Request,
  address: string,
  { store, ids, log }: DisconnectDeps,
): Promise<Response> {
  const revoked = readRevoked(await readJson(request), ids);
  if (revoked === undefined) {
    const message =
      `expected the body ${EXPECTED}, ${ids.expected}, of at most ${ADMIN_BODY_BYTES_MAX} bytes, and a content-length`;
    return problem(400, "bad_revocation", message);
  }
  const about = { requestId: requestId(request), address };
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
