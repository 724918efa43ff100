/**
 * The issuer's keys: fetched when they are needed, kept while the issuer is away.
 *
 * jose caches the set, asks again for a key id that it does not know, and does so at a
 * bounded rate. What it does not do is go on with the last good set when the issuer fails.
 *
 * @module
 */
import {
  createLocalJWKSet,
  createRemoteJWKSet,
  errors,
  type JWTVerifyGetKey,
} from "jose";
import {
  KEY_SET_AGE_MS_MAX,
  KEY_SET_ANSWER_MS,
  KEY_SET_PAUSE_MS,
} from "./limits.ts";

/** @throws what jose throws: `JWKSNoMatchingKey` is the token's fault, most else the issuer's. */
export function remoteKeySet(url: URL, now = Date.now): JWTVerifyGetKey {
  const remote = createRemoteJWKSet(url, {
    timeoutDuration: KEY_SET_ANSWER_MS,
    cooldownDuration: KEY_SET_PAUSE_MS,
    cacheMaxAge: KEY_SET_AGE_MS_MAX,
  });
  let lastGood: JWTVerifyGetKey | undefined;
  let lastSet: unknown;
  let awayUntil = -Infinity;

  return async (header, token) => {
    if (lastGood !== undefined && now() < awayUntil) {
      return await lastGood(header, token);
    }
    try {
      return await remote(header, token);
    } catch (err) {
      if (lastGood === undefined || isOfTheToken(err)) throw err;
      awayUntil = now() + KEY_SET_PAUSE_MS;
      return await lastGood(header, token);
    } finally {
      const set = remote.jwks();
      if (set !== undefined && set !== lastSet) {
        lastSet = set;
        lastGood = createLocalJWKSet(set);
      }
    }
  };
}

function isOfTheToken(err: unknown): boolean {
  return err instanceof errors.JWKSNoMatchingKey ||
    err instanceof errors.JWKSMultipleMatchingKeys;
}
