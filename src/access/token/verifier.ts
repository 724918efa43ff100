/**
 * The verifier turns a token into a verdict: the user's id, or why the token is refused. This is
 * the door of `access/token/`.
 *
 * ## What is accepted
 *
 * The algorithm depends on the kind of key alone: a secret verifies HS256, a key set verifies
 * RS256, PS256, ES256, EdDSA and Ed25519. So a token cannot choose `none`, and cannot use a public
 * key as a secret. `exp` is always required, in seconds; `iss` and `aud` are required if they are configured.
 * The user's id is in the configured claim.
 *
 * ## The parts
 *
 * A server composes them as `rejectingRevoked(cached(createVerifier(config)))`:
 *
 * - `createVerifier` checks the signature and the claims. `key_set.ts` fetches the issuer's keys,
 *   `claim_path.ts` finds a claim, `token_groups.ts` reads the groups, and `refusal.ts` says why a
 *   token is refused.
 * - `cached`, in `token_cache.ts`, keeps verdicts of good tokens.
 * - `rejectingRevoked` is outermost, so that a revocation holds for a cached token too.
 *
 * ## What it costs
 *
 * A signature check costs up to a millisecond, a cached token a digest. A token that does not name
 * its key costs one for each key of the set, up to `KEYS_TRIED_MAX`. With a key set, the start and
 * each unknown key cost a request to the issuer, at a limited rate.
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
  type JWTPayload,
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
} from "../../client/protocol/disconnect.ts";
import {
  INTEGER_IDS,
  type UserId,
  type UserIds,
} from "../../client/protocol/user_id.ts";
import { readClaim } from "./claim_path.ts";
import { type KeySet, KeySetUnavailable, remoteKeySet } from "./key_set.ts";
import { KEYS_TRIED_MAX, TOKEN_BYTES_MAX } from "./limits.ts";
import { disconnectFor, expected, refusalOfTime } from "./refusal.ts";
import { type GroupsOfToken, readGroups } from "./token_groups.ts";

export interface GoodVerdict extends GroupsOfToken {
  readonly ok: true;
  readonly userId: UserId;
  /** When the token expires, in seconds since 1970. */
  readonly exp: number;
  /** The token's `jti`, if it has one. */
  readonly tokenId: string | undefined;
  /** From the first of the configured claims that is a text. */
  readonly username: string | undefined;
}

export type Verdict =
  | GoodVerdict
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

/** A verifier that keeps the verdicts of good tokens. */
export interface VerifyCached {
  readonly verify: Verify;
  /** The verdict that is kept of a token: to verify it costs no signature check. */
  readonly known: (token: string | undefined) => GoodVerdict | undefined;
}

/** Signatures with a public key. `EdDSA` is the older name of `Ed25519`. */
const KEY_SET_ALGORITHMS = ["RS256", "PS256", "ES256", "EdDSA", "Ed25519"];

/** What a token's id may be. */
const TOKEN_ID = `text of 1 to ${TOKEN_ID_LENGTH_MAX} characters`;

export type TokenKey =
  | { readonly kind: "secret"; readonly secret: string }
  | { readonly kind: "jwks"; readonly url: URL };

export interface TokenConfig {
  readonly key: TokenKey;
  readonly issuer: string | undefined;
  /** A token is for one of them, or for several. */
  readonly audiences: readonly string[] | undefined;
  /** The name of the claim with the user's id, or a path to it: see `claim_path.ts`. */
  readonly userClaim: string;
  /** Names or paths of claims that may hold the user's name. The first that is a text is used. */
  readonly usernameClaims: readonly string[];
  /** The name of the claim with the user's groups, or a path to it. `undefined`: tokens have no groups. */
  readonly groupsClaim: string | undefined;
  /** Groups that a token may have. */
  readonly groupsPerUserMax: number;
}

/** What is reported of a key set. */
export interface KeySetEvents {
  onFetched(): void;
  /** The keys could not be fetched at the start. */
  onUnavailable(err: unknown): void;
}

/**
 * Makes a verifier for one key or key set.
 *
 * @param events If given, a key set is fetched at once, in the background. The key set is fetched
 *   for the first token otherwise.
 */
export function createVerifier(
  config: TokenConfig,
  ids: UserIds = INTEGER_IDS,
  events?: KeySetEvents,
): Verify {
  const { key, issuer, audiences } = config;
  const options: JWTVerifyOptions = {
    algorithms: key.kind === "secret" ? ["HS256"] : KEY_SET_ALGORITHMS,
    requiredClaims: ["exp"],
    clockTolerance: TOKEN_CLOCK_TOLERANCE_SECONDS,
    ...(issuer === undefined ? {} : { issuer }),
    ...(audiences === undefined ? {} : { audience: [...audiences] }),
  };
  const configured = { iss: issuer, aud: audiences?.join(" or ") };
  const keys = key.kind === "secret"
    ? onlyKey(key.secret)
    : remoteKeySet(key.url, events?.onFetched);
  if (events !== undefined) keys.fetch().catch(events.onUnavailable);

  return async (token) => {
    if (token === undefined || token === "") {
      return refuse(DISCONNECT.tokenMissing);
    }
    if (token.length > TOKEN_BYTES_MAX) return refuse(DISCONNECT.tokenTooLong);
    try {
      const payload = await verifySignature(token, keys.find, options);
      return toVerdict(payload, config, ids);
    } catch (err) {
      if (err instanceof KeySetUnavailable) throw err;
      const why = disconnectFor(err, configured);
      if (why !== undefined) return refuse(why);
      if (key.kind === "secret") throw err;
      // The key in the set is malformed, too short, or for another use.
      return refuse(DISCONNECT.tokenKeyUnusable);
    }
  };
}

/**
 * Verifies the signature and the standard claims. If the token does not name one of several keys,
 * it is verified with each of them. Throws as jose does.
 */
async function verifySignature(
  token: string,
  findKey: JWTVerifyGetKey,
  options: JWTVerifyOptions,
): Promise<JWTPayload> {
  try {
    return (await jwtVerify(token, findKey, options)).payload;
  } catch (several) {
    if (!(several instanceof errors.JWKSMultipleMatchingKeys)) throw several;
    let keysLeft = KEYS_TRIED_MAX;
    for await (const key of several) {
      if (keysLeft === 0) throw several;
      keysLeft -= 1;
      try {
        return (await jwtVerify(token, key, options)).payload;
      } catch (err) {
        const isOtherKey = err instanceof errors.JWSSignatureVerificationFailed;
        if (!isOtherKey) throw err;
      }
    }
    throw new errors.JWSSignatureVerificationFailed();
  }
}

/** The verdict on a token whose signature and standard claims are good. */
function toVerdict(
  payload: JWTPayload,
  config: TokenConfig,
  ids: UserIds,
): Verdict {
  const { userClaim, usernameClaims } = config;
  const badTime = refusalOfTime("exp", payload.exp);
  if (badTime !== undefined) return refuse(badTime);
  const userId = ids.parse(readClaim(payload, userClaim));
  if (userId === undefined) return refuse(expected(userClaim, ids.expected));
  // Some issuers write null for a claim that is not there.
  const tokenId: unknown = payload.jti ?? undefined;
  if (!isTokenId(tokenId)) return refuse(expected("jti", TOKEN_ID));
  const groups = readGroups(payload, config);
  if ("code" in groups) return refuse(groups);
  return {
    ok: true,
    userId,
    // `exp` is required above, so the default is never used.
    exp: payload.exp ?? 0,
    tokenId,
    ...groups,
    username: usernameClaims.map((claim) => readClaim(payload, claim))
      .find(isName),
  };
}

/** The secret as a key, imported once: jose imports a secret again for each token. */
function onlyKey(secret: string): KeySet {
  const bytes = new TextEncoder().encode(secret);
  const algorithm = { name: "HMAC", hash: "SHA-256" };
  const key = crypto.subtle.importKey("raw", bytes, algorithm, false, [
    "verify",
  ]);
  return { find: () => key, fetch: async () => {} };
}

/** The same, but a good token that was revoked is refused, and is not known. */
export function rejectingRevoked(
  { verify, known }: VerifyCached,
  isRevoked: (tokenId: string | undefined) => boolean,
): VerifyCached {
  return {
    verify: async (token) => {
      const verdict = await verify(token);
      const isRevokedNow = verdict.ok && isRevoked(verdict.tokenId);
      return isRevokedNow ? refuse(DISCONNECT.tokenRevoked) : verdict;
    },
    known: (token) => {
      const verdict = known(token);
      return isRevoked(verdict?.tokenId) ? undefined : verdict;
    },
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
