/**
 * Turns a token into a user id, or into the reason why not.
 *
 * The algorithm is pinned to the kind of key: a secret verifies HS256 and nothing else, a
 * key set verifies RS256, ES256 and EdDSA and nothing else, so `none` and key confusion
 * have no way in. `exp` is always required.
 *
 * @module
 */
import { errors, jwtVerify, type JWTVerifyOptions, SignJWT } from "jose";
import { KeySetFault, remoteKeySet } from "./key_set.ts";
import { TOKEN_BYTES_MAX } from "./limits.ts";
import {
  TOKEN_CLOCK_TOLERANCE_SECONDS,
  TOKEN_ID_LENGTH_MAX,
} from "../../base/limits.ts";
import {
  DISCONNECT,
  type Disconnect,
  withDetail,
} from "../../protocol/disconnect.ts";
import { parseUserId, type UserId } from "../../protocol/user_id.ts";

export type Verdict =
  | {
    readonly ok: true;
    readonly userId: UserId;
    /** When the token ends, in seconds since 1970. */
    readonly exp: number;
    /** `jti`, if it has one. */
    readonly tokenId: string | undefined;
    /** From the configured claims, if one of them says so. */
    readonly username: string | undefined;
  }
  | { readonly ok: false; readonly why: Disconnect };

/**
 * Judges a token. The reason is short enough for a close frame and never quotes the token.
 *
 * @throws when the key set cannot be had: that is our fault, not the token's.
 */
export type Verify = (token: string | undefined) => Promise<Verdict>;

export type TokenKey =
  | { readonly kind: "secret"; readonly secret: string }
  | { readonly kind: "jwks"; readonly url: URL };

export interface TokenConfig {
  readonly key: TokenKey;
  readonly issuer: string | undefined;
  readonly audience: string | undefined;
  readonly userClaim: string;
  /** The first of these that a token has is the user's name. */
  readonly usernameClaims: readonly string[];
}

export function createVerifier(config: TokenConfig): Verify {
  const { key, issuer, audience, userClaim, usernameClaims } = config;
  const options: JWTVerifyOptions = {
    algorithms: key.kind === "secret" ? ["HS256"] : ["RS256", "ES256", "EdDSA"],
    requiredClaims: ["exp"],
    clockTolerance: TOKEN_CLOCK_TOLERANCE_SECONDS,
    ...(issuer === undefined ? {} : { issuer }),
    ...(audience === undefined ? {} : { audience }),
  };
  // Imported once: jose would do it anew for each token.
  const secret = key.kind === "secret" ? importSecret(key.secret) : undefined;
  const keySet = key.kind === "jwks" ? remoteKeySet(key.url) : undefined;

  async function verified(token: string) {
    if (secret !== undefined) {
      return await jwtVerify(token, await secret, options);
    }
    if (keySet !== undefined) return await jwtVerify(token, keySet, options);
    throw new Error("Cannot verify tokens: no key");
  }

  return async (token) => {
    if (token === undefined || token === "") {
      return refuse(DISCONNECT.tokenMissing);
    }
    if (token.length > TOKEN_BYTES_MAX) return refuse(DISCONNECT.tokenTooLong);
    try {
      const { payload } = await verified(token);
      const userId = parseUserId(payload[userClaim]);
      if (userId === undefined) {
        return refuse(DISCONNECT.tokenUserIdInvalid);
      }
      if (!isTokenId(payload.jti)) {
        return refuse(
          withDetail(DISCONNECT.tokenIdInvalid, TOKEN_ID_LENGTH_MAX),
        );
      }
      return {
        ok: true,
        userId,
        // Required above, so the default never holds.
        exp: payload.exp ?? 0,
        tokenId: payload.jti,
        username: usernameClaims.map((claim) => payload[claim]).find(isName),
      };
    } catch (fault) {
      if (fault instanceof KeySetFault) throw fault;
      const why = disconnectFor(fault);
      if (why !== undefined) return refuse(why);
      if (keySet === undefined) throw fault;
      // It is malformed, too short, or for something else.
      return refuse(DISCONNECT.tokenKeyUnusable);
    }
  };
}

function importSecret(secret: string): Promise<CryptoKey> {
  const bytes = new TextEncoder().encode(secret);
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  return crypto.subtle.importKey("raw", bytes, algorithm, false, ["verify"]);
}

/** Refuses what is good but was revoked. */
export function rejectingRevoked(
  verify: Verify,
  isRevoked: (tokenId: string | undefined) => boolean,
): Verify {
  return async (token) => {
    const verdict = await verify(token);
    const isGood = !verdict.ok || !isRevoked(verdict.tokenId);
    return isGood ? verdict : refuse(DISCONNECT.tokenRevoked);
  };
}

/** One that no order could name could not be revoked. */
function isTokenId(value: unknown): value is string | undefined {
  if (value === undefined) return true;
  return typeof value === "string" && value !== "" && value.isWellFormed() &&
    value.length <= TOKEN_ID_LENGTH_MAX && !value.includes("\0");
}

function isName(value: unknown): value is string {
  return typeof value === "string" && value.trim() !== "";
}

function refuse(why: Disconnect): Verdict {
  return { ok: false, why };
}

/** What the token did wrong; `undefined` when it did nothing wrong. */
function disconnectFor(fault: unknown): Disconnect | undefined {
  if (fault instanceof errors.JWTExpired) return DISCONNECT.tokenAlreadyExpired;
  if (fault instanceof errors.JWTClaimValidationFailed) {
    return fault.reason === "missing"
      ? withDetail(DISCONNECT.tokenClaimMissing, fault.claim)
      : withDetail(DISCONNECT.tokenClaimInvalid, fault.claim);
  }
  if (fault instanceof errors.JWSSignatureVerificationFailed) {
    return DISCONNECT.tokenSignatureInvalid;
  }
  if (fault instanceof errors.JOSEAlgNotAllowed) {
    return DISCONNECT.tokenAlgorithmNotAllowed;
  }
  if (
    fault instanceof errors.JWKSNoMatchingKey ||
    fault instanceof errors.JWKSMultipleMatchingKeys
  ) return DISCONNECT.tokenKeyUnknown;
  if (
    fault instanceof errors.JWSInvalid || fault instanceof errors.JWTInvalid ||
    fault instanceof errors.JOSENotSupported
  ) return DISCONNECT.tokenMalformed;
  return undefined;
}

/** Signs a token for a user with the shared secret. */
export function signToken(
  config: TokenConfig & {
    readonly key: { readonly kind: "secret"; readonly secret: string };
  },
  userId: UserId,
  ttlSeconds: number,
): Promise<string> {
  const token = new SignJWT({ [config.userClaim]: String(userId) })
    .setProtectedHeader({ alg: "HS256", typ: "JWT" })
    .setIssuedAt()
    .setExpirationTime(Math.floor(Date.now() / 1000) + ttlSeconds);
  if (config.issuer !== undefined) token.setIssuer(config.issuer);
  if (config.audience !== undefined) {
    token.setAudience(config.audience);
  }
  return token.sign(new TextEncoder().encode(config.key.secret));
}
