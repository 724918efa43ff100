/**
 * The token cache keeps the verdicts of good tokens, by the digest of the token.
 *
 * Verifying a signature costs up to a millisecond, and when a thousand clients reconnect at once
 * their tokens are the same as before. Bad tokens are not cached, because a client can make any
 * number of them. The cache does not know revocations: `rejectingRevoked` wraps it.
 *
 * @module
 */
import { createHash } from "node:crypto";
import { deleteOldest } from "../../base/delete_oldest.ts";
import { VERIFIED_TOKEN_MS_MAX, VERIFIED_TOKENS_MAX } from "./limits.ts";
import type { GoodVerdict, Verify, VerifyCached } from "./verifier.ts";

/**
 * The same `verify`, but a good token is verified once until it expires, and again after
 * `VERIFIED_TOKEN_MS_MAX`.
 *
 * @param now Milliseconds since 1970.
 */
export function cached(
  verify: Verify,
  tokensMax = VERIFIED_TOKENS_MAX,
  now = Date.now,
): VerifyCached {
  const verdicts = new Map<
    string,
    { readonly verdict: GoodVerdict; readonly goodUntil: number }
  >();
  const find = (digest: string) => {
    const found = verdicts.get(digest);
    if (found !== undefined && now() < found.goodUntil) return found.verdict;
    verdicts.delete(digest);
    return undefined;
  };
  return {
    known: (token) => token === undefined ? undefined : find(digestOf(token)),
    verify: async (token) => {
      if (token === undefined) return await verify(token);
      const digest = digestOf(token);
      const known = find(digest);
      if (known !== undefined) return known;
      const verdict = await verify(token);
      if (verdict.ok) {
        const latest = now() + VERIFIED_TOKEN_MS_MAX;
        const goodUntil = Math.min(verdict.exp * 1_000, latest);
        verdicts.set(digest, { verdict, goodUntil });
        deleteOldest(verdicts, tokensMax);
      }
      return verdict;
    },
  };
}

function digestOf(token: string): string {
  return createHash("sha256").update(token).digest("base64");
}
