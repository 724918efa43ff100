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
  customFetch,
  errors,
  type JWTVerifyGetKey,
} from "jose";
import {
  KEY_SET_AGE_MS_MAX,
  KEY_SET_ANSWER_MS,
  KEY_SET_BYTES_MAX,
  KEY_SET_FIRST_PAUSE_MS,
  KEY_SET_PAUSE_MS,
} from "./limits.ts";

/** @throws what jose throws: `JWKSNoMatchingKey` is the token's fault, most else the issuer's. */
export function remoteKeySet(url: URL, now = Date.now): JWTVerifyGetKey {
  const remote = createRemoteJWKSet(url, {
    timeoutDuration: KEY_SET_ANSWER_MS,
    cooldownDuration: KEY_SET_PAUSE_MS,
    cacheMaxAge: KEY_SET_AGE_MS_MAX,
    [customFetch]: fetchBounded,
  });
  let lastGood: JWTVerifyGetKey | undefined;
  let lastSet: unknown;
  let awayUntil = -Infinity;
  let fault: unknown;

  return async (header, token) => {
    if (now() < awayUntil) {
      if (lastGood === undefined) throw fault;
      return await lastGood(header, token);
    }
    try {
      return await remote(header, token);
    } catch (err) {
      if (isOfTheToken(err)) throw err;
      if (lastGood === undefined) {
        awayUntil = now() + KEY_SET_FIRST_PAUSE_MS;
        throw fault = err;
      }
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

/** jose would take an answer of any size. */
async function fetchBounded(
  url: string,
  options: RequestInit,
): Promise<Response> {
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
  return new Response(new Blob(chunks), response);
}

function isOfTheToken(err: unknown): boolean {
  return err instanceof errors.JWKSNoMatchingKey ||
    err instanceof errors.JWKSMultipleMatchingKeys;
}
