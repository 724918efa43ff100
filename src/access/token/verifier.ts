/**
 * The verifier turns a token into a verdict: the user's id, or why the token is refused. This is
 * the door of `access/token/`.
 *
 * ## What is accepted
 *
 * The algorithm depends on the kind of key alone: a secret verifies HS256, a key set verifies
 * RS256, ES256 and EdDSA. So a token cannot choose `none`, and cannot use a public key as a secret.
 * `exp` is always required; `iss` and `aud` are required if they are configured. The user's id is
 * in the configured claim.
 *
 * ## The parts
 *
 * A server composes them as `rejectingRevoked(cached(createVerifier(config)))`:
 *
 * - `createVerifier` checks the signature and the claims. `key_set.ts` fetches the issuer's keys.
 * - `cached`, in `token_cache.ts`, keeps verdicts of good tokens.
 * - `rejectingRevoked` is outermost, so that a revocation holds for a cached token too.
 *
 * ## What it costs
 *
 * A signature check costs up to a millisecond, a cached token a digest. With a key set, the first
 * token and each unknown key cost a request to the issuer, at a limited rate.
 *
 * ## Errors
 *
 * A verdict is about the token. If the keys are not available, the verifier throws, because the
 * token may be good.
 *
 * @module
 */
import {
  errors,
  jwtVerify,
  type JWTVerifyGetKey,
  type JWTVerifyOptions,
} from "jose";
import {
  TOKEN_CLOCK_TOLERANCE_SECONDS,
  TOKEN_ID_LENGTH_MAX,
} from "../../base/limits.ts";
import {
  DISCONNECT,
  type Disconnect,
  withDetail,
} from "../../protocol/disconnect.ts";
import {
  INTEGER_IDS,
  type UserId,
  type UserIds,
} from "../../protocol/user_id.ts";
import { KeySetUnavailable, remoteKeySet } from "./key_set.ts";
import { TOKEN_BYTES_MAX } from "./limits.ts";

export type Verdict =
  | {
    readonly ok: true;
    readonly userId: UserId;
    /** When the token expires, in seconds since 1970. */
    readonly exp: number;
    /** The token's `jti`, if it has one. */
    readonly tokenId: string | undefined;
    /** From the first of the configured claims that is a text. */
    readonly username: string | undefined;
  }
  | {
    readonly ok: false;
    /** The reason also goes into HTTP errors and error messages. It never quotes the token. */
    readonly why: Disconnect;
  };

/**
 * Verifies a token.
 *
 * @throws {KeySetUnavailable} if the keys are not available. The token may be good.
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
  /** Claims that may hold the user's name. The first that is a text is used. */
  readonly usernameClaims: readonly string[];
}

/** Makes a verifier for one key. With a key set, nothing is fetched before the first token. */
export function createVerifier(
  config: TokenConfig,
  ids: UserIds = INTEGER_IDS,
): Verify {
  const { key, issuer, audience, userClaim, usernameClaims } = config;
  const options: JWTVerifyOptions = {
    algorithms: key.kind === "secret" ? ["HS256"] : ["RS256", "ES256", "EdDSA"],
    requiredClaims: ["exp"],
    clockTolerance: TOKEN_CLOCK_TOLERANCE_SECONDS,
    ...(issuer === undefined ? {} : { issuer }),
    ...(audience === undefined ? {} : { audience }),
  };
  const findKey = key.kind === "secret"
    ? onlyKey(key.secret)
    : remoteKeySet(key.url);

  return async (token) => {
    if (token === undefined || token === "") {
      return refuse(DISCONNECT.tokenMissing);
    }
    if (token.length > TOKEN_BYTES_MAX) return refuse(DISCONNECT.tokenTooLong);
    try {
      const { payload } = await jwtVerify(token, findKey, options);
      const userId = ids.parse(payload[userClaim]);
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
        // `exp` is required above, so the default is never used.
        exp: payload.exp ?? 0,
        tokenId: payload.jti,
        username: usernameClaims.map((claim) => payload[claim]).find(isName),
      };
    } catch (err) {
      if (err instanceof KeySetUnavailable) throw err;
      const why = disconnectFor(err);
      if (why !== undefined) return refuse(why);
      if (key.kind === "secret") throw err;
      // The key in the set is malformed, too short, or for another use.
      return refuse(DISCONNECT.tokenKeyUnusable);
    }
  };
}

/** The secret as a key, imported once: jose imports a secret again for each token. */
function onlyKey(secret: string): JWTVerifyGetKey {
  const bytes = new TextEncoder().encode(secret);
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = crypto.subtle.importKey("raw", bytes, algorithm, false, [
    "verify",
  ]);
  return () => key;
}

/** The same `verify`, but a good token that was revoked is refused. */
export function rejectingRevoked(
  verify: Verify,
  isRevoked: (tokenId: string | undefined) => boolean,
): Verify {
  return async (token) => {
    const verdict = await verify(token);
    const isRevokedNow = verdict.ok && isRevoked(verdict.tokenId);
    return isRevokedNow ? refuse(DISCONNECT.tokenRevoked) : verdict;
  };
}

/** Whether a revocation could name the id. A token with another id could never be revoked. */
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

/** Why jose refused the token. `undefined` if the error is not about the token. */
function disconnectFor(err: unknown): Disconnect | undefined {
  if (err instanceof errors.JWTExpired) return DISCONNECT.tokenAlreadyExpired;
  if (err instanceof errors.JWTClaimValidationFailed) {
    return err.reason === "missing"
      ? withDetail(DISCONNECT.tokenClaimMissing, err.claim)
      : withDetail(DISCONNECT.tokenClaimInvalid, err.claim);
  }
  if (err instanceof errors.JWSSignatureVerificationFailed) {
    return DISCONNECT.tokenSignatureInvalid;
  }
  if (err instanceof errors.JOSEAlgNotAllowed) {
    return DISCONNECT.tokenAlgorithmNotAllowed;
  }
  if (
    err instanceof errors.JWKSNoMatchingKey ||
    err instanceof errors.JWKSMultipleMatchingKeys
  ) return DISCONNECT.tokenKeyUnknown;
  if (
    err instanceof errors.JWSInvalid || err instanceof errors.JWTInvalid ||
    err instanceof errors.JOSENotSupported
  ) return DISCONNECT.tokenMalformed;
  return undefined;
}
