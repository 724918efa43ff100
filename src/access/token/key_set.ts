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
import { fetchKeySet, KeySetError, nameOf } from "./fetch_key_set.ts";
import {
  KEY_SET_AGE_MS_MAX,
  KEY_SET_ANSWER_MS,
  KEY_SET_COOLDOWN_MS,
  KEY_SET_FIRST_PAUSE_MS,
  KEY_SET_PAUSE_MS,
} from "./limits.ts";

/** The current keys are not known. The token may be good. */
export class KeySetUnavailable extends Error {
  override readonly name = "KeySetUnavailable";
}

export interface KeySet {
  /**
   * Finds the key for a token.
   *
   * Throws `KeySetUnavailable` when the current keys are not known. Any other error is the fault of
   * the token, or of a key that is unusable.
   */
  readonly find: JWTVerifyGetKey;
  /**
   * Fetches the keys now, so that the first token need not wait for them.
   *
   * @throws {KeySetUnavailable} that names the URL and the cause.
   */
  fetch(): Promise<void>;
}

/** @param now Milliseconds since 1970. */
export function remoteKeySet(url: URL, now = Date.now): KeySet {
  const remote = createRemoteJWKSet(url, {
    timeoutDuration: KEY_SET_ANSWER_MS,
    cooldownDuration: KEY_SET_COOLDOWN_MS,
    cacheMaxAge: KEY_SET_AGE_MS_MAX,
    [customFetch]: (_url, options) => fetchKeySet(url, options),
  });
  let lastGood: JWTVerifyGetKey | undefined;
  let lastSet: unknown;
  let pausedUntil = -Infinity;
  let lastError: KeySetUnavailable | undefined;

  const keepLastGood = () => {
    const set = remote.jwks();
    if (set === undefined || set === lastSet) return;
    lastSet = set;
    lastGood = createLocalJWKSet(set);
  };

  const findRemote: JWTVerifyGetKey = async (header, token) => {
    const wasFetchedLately = remote.coolingDown;
    try {
      return await remote(header, token);
    } catch (err) {
      if (!(err instanceof errors.JWKSNoMatchingKey)) throw err;
      if (!wasFetchedLately) throw err;
      throw new KeySetUnavailable(
        `the key is not in the key set of ${
          nameOf(url)
        }, which was fetched less than ${KEY_SET_COOLDOWN_MS} ms ago`,
      );
    } finally {
      keepLastGood();
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

  /** Rethrows an error that is not the issuer's fault. */
  const pauseAfter = (err: unknown): KeySetUnavailable => {
    if (!(err instanceof KeySetError)) throw err;
    pausedUntil = now() +
      (lastGood === undefined ? KEY_SET_FIRST_PAUSE_MS : KEY_SET_PAUSE_MS);
    return lastError = new KeySetUnavailable(err.message, { cause: err });
  };

  return {
    find: async (header, token) => {
      if (now() < pausedUntil) return await findInLastGood(header, token);
      try {
        return await findRemote(header, token);
      } catch (err) {
        pauseAfter(err);
        return await findInLastGood(header, token);
      }
    },
    fetch: async () => {
      try {
        await remote.reload();
      } catch (err) {
        throw pauseAfter(err);
      } finally {
        keepLastGood();
      }
    },
  };
}
