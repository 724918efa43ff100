/**
 * Remembers tokens that were found good, by their digest, until they expire, and not for long.
 *
 * Verifying a signature costs up to a millisecond; when a thousand clients come back at once
 * their tokens are the same as before. Bad tokens are not remembered: there is no end of them.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { Verdict, Verify } from "./verifier.ts";
import { VERIFIED_TOKEN_MS_MAX, VERIFIED_TOKENS_MAX } from "./limits.ts";

/** @param now Milliseconds since 1970. */
export function cached(
  verify: Verify,
  tokensMax = VERIFIED_TOKENS_MAX,
  now = Date.now,
): Verify {
  const verdicts = new Map<
    string,
    { readonly verdict: Verdict; readonly goodUntil: number }
  >();
  return async (token) => {
    if (token === undefined) return await verify(token);
    const digest = createHash("sha256").update(token).digest("base64");
    const known = verdicts.get(digest);
    if (known !== undefined && now() < known.goodUntil) return known.verdict;
    verdicts.delete(digest);
    const verdict = await verify(token);
    if (verdict.ok) {
      const longest = now() + VERIFIED_TOKEN_MS_MAX;
      const goodUntil = Math.min(verdict.exp * 1_000, longest);
      verdicts.set(digest, { verdict, goodUntil });
    }
    const oldest = verdicts.keys().next();
    if (verdicts.size > tokensMax && !oldest.done) {
      verdicts.delete(oldest.value);
    }
    return verdict;
  };
}
