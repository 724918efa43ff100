/**
 * The key set is the issuer's public keys (JWKS): fetched when needed, and kept while the issuer is
 * down.
 *
 * jose caches the set, fetches it again for an unknown key id, and limits the rate of that. It does
 * not use the last good set when a fetch fails; this file does. It does not know what a token says.
 *
 * @module
 */
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  customFetch,
  errors,
  type JWTVerifyGetKey,
} from "jose";
import { messageOf } from "../../base/message_of.ts";
import {
  KEY_SET_AGE_MS_MAX,
  KEY_SET_ANSWER_MS,
  KEY_SET_BYTES_MAX,
  KEY_SET_COOLDOWN_MS,
  KEY_SET_FIRST_PAUSE_MS,
  KEY_SET_PAUSE_MS,
} from "./limits.ts";

/** The current keys are not known. The token may be good. */
export class KeySetUnavailable extends Error {
  override readonly name = "KeySetUnavailable";
}

/**
 * Makes a function that finds the key for a token.
 *
 * That function throws `KeySetUnavailable` when the current keys are not known. Any other error is
 * the fault of the token, or of a key that is unusable.
 *
 * @param now Milliseconds since 1970.
 */
export function remoteKeySet(url: URL, now = Date.now): JWTVerifyGetKey {
  const remote = createRemoteJWKSet(url, {
    timeoutDuration: KEY_SET_ANSWER_MS,
    cooldownDuration: KEY_SET_COOLDOWN_MS,
    cacheMaxAge: KEY_SET_AGE_MS_MAX,
    [customFetch]: fetchBounded,
  });
  let lastGood: JWTVerifyGetKey | undefined;
  let lastSet: unknown;
  let pausedUntil = -Infinity;
  let lastError: unknown;

  const findRemote: JWTVerifyGetKey = async (header, token) => {
    const wasFetchedLately = remote.coolingDown;
    try {
      return await remote(header, token);
    } catch (err) {
      if (!(err instanceof errors.JWKSNoMatchingKey)) throw err;
      if (!wasFetchedLately) throw err;
      throw new KeySetUnavailable(
        `the key is not in the key set, which was fetched less than ${KEY_SET_COOLDOWN_MS} ms ago`,
      );
    } finally {
      const set = remote.jwks();
      if (set !== undefined && set !== lastSet) {
        lastSet = set;
        lastGood = createLocalJWKSet(set);
      }
    }
  };

  /** While the issuer is down. A key that is not in the last good set may be a new one. */
  const findInLastGood: JWTVerifyGetKey = async (header, token) => {
    if (lastGood === undefined) throw lastError;
    try {
      return await lastGood(header, token);
    } catch (err) {
      throw err instanceof errors.JWKSNoMatchingKey ? lastError : err;
    }
  };

  return async (header, token) => {
    if (now() < pausedUntil) return await findInLastGood(header, token);
    try {
      return await findRemote(header, token);
    } catch (err) {
      if (!isIssuerError(err)) throw err;
      lastError = new KeySetUnavailable(messageOf(err), { cause: err });
      const pauseMs = lastGood === undefined
        ? KEY_SET_FIRST_PAUSE_MS
        : KEY_SET_PAUSE_MS;
      pausedUntil = now() + pauseMs;
      return await findInLastGood(header, token);
    }
  };
}

/** The issuer did not answer, or its answer is not a key set. */
class FetchError extends Error {}

/** Fetches a key set of at most `KEY_SET_BYTES_MAX`. jose itself reads an answer of any size. */
async function fetchBounded(
  url: string,
  options: RequestInit,
): Promise<Response> {
  try {
    const response = await fetch(url, options);
    const chunks: Uint8Array<ArrayBuffer>[] = [];
    let bytes = 0;
    for await (const chunk of response.body ?? []) {
      bytes += chunk.length;
      if (bytes > KEY_SET_BYTES_MAX) {
        throw new Error(`the key set has more than ${KEY_SET_BYTES_MAX} bytes`);
      }
      chunks.push(chunk);
    }
    if (response.status !== 200) {
      throw new Error(`the issuer answered with status ${response.status}`);
    }
    return Response.json(JSON.parse(await new Blob(chunks).text()));
  } catch (cause) {
    throw new FetchError(`cannot fetch the key set: ${messageOf(cause)}`, {
      cause,
    });
  }
}

function isIssuerError(err: unknown): boolean {
  return err instanceof FetchError || err instanceof errors.JWKSInvalid ||
    err instanceof errors.JWKSTimeout;
}
