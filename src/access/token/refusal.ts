/**
 * Why a token is refused, from the error of jose.
 *
 * A refusal for a claim names the claim and what was expected there. It never quotes the token.
 *
 * @module
 */
import { errors } from "jose";
import {
  DISCONNECT,
  type Disconnect,
  withDetail,
} from "../../client/protocol/disconnect.ts";
import { TOKEN_TIME_SECONDS_MAX } from "./limits.ts";

const SECONDS = "a number of seconds since 1970";

/** The refusal for a claim. `what` completes "expected ...". */
export function expected(claim: string, what: string): Disconnect {
  return withDetail(DISCONNECT.tokenClaimInvalid, claim, what);
}

/** The refusal for a time that can only be in milliseconds. */
export function refusalOfTime(
  claim: "exp" | "nbf" | "iat",
  time = 0,
): Disconnect | undefined {
  if (time <= TOKEN_TIME_SECONDS_MAX) return undefined;
  return expected(claim, `${SECONDS}, not milliseconds`);
}

/**
 * The refusal for an error of jose. `undefined` if the error is not about the token.
 *
 * @param configured What was expected in the claims `iss` and `aud`.
 */
export function disconnectFor(
  err: unknown,
  configured: Readonly<Record<string, string | undefined>>,
): Disconnect | undefined {
  if (err instanceof errors.JWTExpired) return DISCONNECT.tokenExpired;
  if (err instanceof errors.JWTClaimValidationFailed) {
    const { claim, reason, payload } = err;
    if (claim === "nbf" && reason === "check_failed") {
      return refusalOfTime("nbf", payload.nbf) ?? DISCONNECT.tokenNotValidYet;
    }
    const what = configured[claim] ?? SECONDS;
    return expected(claim, what);
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
