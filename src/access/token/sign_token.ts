/**
 * Signs tokens with the shared secret, for the command line and for demo mode. A server only
 * verifies tokens.
 *
 * @module
 */
import { SignJWT } from "jose";
import type { UserId } from "../../client/protocol/user_id.ts";
import type { TokenConfig } from "./verifier.ts";

/**
 * Signs a token for a user, with the claims that a verifier of the same configuration expects. A
 * path in `userClaim` or `groupsClaim` is used as a name, which the verifier reads first.
 *
 * @param ttlSeconds Time from now until the token expires.
 * @param groups In which the user is visible. Left out of the token if there is no claim for them.
 */
export function signToken(
  config: TokenConfig & {
    readonly key: { readonly kind: "secret"; readonly secret: string };
  },
  userId: UserId,
  ttlSeconds: number,
  groups: readonly string[] = [],
): Promise<string> {
  const { userClaim, groupsClaim } = config;
  const token = new SignJWT({
    [userClaim]: String(userId),
    ...groupsClaim === undefined ? {} : { [groupsClaim]: groups },
  })
    .setProtectedHeader({ alg: "HS256", typ: "JWT" })
    .setIssuedAt()
    .setExpirationTime(Math.floor(Date.now() / 1000) + ttlSeconds);
  if (config.issuer !== undefined) token.setIssuer(config.issuer);
  const audience = config.audiences?.[0];
  if (audience !== undefined) token.setAudience(audience);
  return token.sign(new TextEncoder().encode(config.key.secret));
}
