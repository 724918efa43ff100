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
} from "../../protocol/disconnect.ts";

/** The refusal for a claim. `what` completes "expected ...". */
export function expected(claim: string, what: string): Disconnect {
  return withDetail(DISCONNECT.tokenClaimInvalid, claim, what);
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
    const { claim, reason } = err;
    if (claim === "nbf" && reason === "check_failed") {
      return DISCONNECT.tokenNotValidYet;
    }
    const what = configured[claim] ?? "a number of seconds since 1970";
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
