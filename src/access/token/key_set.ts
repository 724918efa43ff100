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
  KEY_SET_COOLDOWN_MS,
  KEY_SET_FIRST_PAUSE_MS,
  KEY_SET_PAUSE_MS,
} from "./limits.ts";
import { messageOf } from "../../base/message_of.ts";

/** The keys cannot be had, or may be others by now: that is not the token's fault. */
export class KeySetFault extends Error {
  override readonly name = "KeySetFault";
}

/**
 * @throws {KeySetFault} when it cannot be told whether there is such a key. Everything else that
 *   is thrown is the fault of the token, or of a key that is of no use.
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
  let awayUntil = -Infinity;
  let fault: unknown;

  const ask: JWTVerifyGetKey = async (header, token) => {
    const wasAskedLately = remote.coolingDown;
    try {
      return await remote(header, token);
    } catch (err) {
      if (!(err instanceof errors.JWKSNoMatchingKey)) throw err;
      if (!wasAskedLately) throw err;
      throw new KeySetFault("the issuer was asked for its keys a moment ago");
    } finally {
      const set = remote.jwks();
      if (set !== undefined && set !== lastSet) {
        lastSet = set;
        lastGood = createLocalJWKSet(set);
      }
    }
  };

  /** While the issuer is away. A key that it has not told of may be one that it has by now. */
  const askLastGood: JWTVerifyGetKey = async (header, token) => {
    if (lastGood === undefined) throw fault;
    try {
      return await lastGood(header, token);
    } catch (err) {
      throw err instanceof errors.JWKSNoMatchingKey ? fault : err;
    }
  };

  return async (header, token) => {
    if (now() < awayUntil) return await askLastGood(header, token);
    try {
      return await ask(header, token);
    } catch (err) {
      if (!isOfTheIssuer(err)) throw err;
      fault = new KeySetFault(messageOf(err), { cause: err });
      const isFirst = lastGood === undefined;
      awayUntil = now() + (isFirst ? KEY_SET_FIRST_PAUSE_MS : KEY_SET_PAUSE_MS);
      return await askLastGood(header, token);
    }
  };
}

/** An answer of the issuer's that is no key set. */
class AnswerFault extends Error {}

/** jose would take an answer of any size. */
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
      throw new Error(`the issuer answered with ${response.status}`);
    }
    return Response.json(JSON.parse(await new Blob(chunks).text()));
  } catch (cause) {
    throw new AnswerFault(`no key set: ${messageOf(cause)}`, { cause });
  }
}

function isOfTheIssuer(err: unknown): boolean {
  return err instanceof AnswerFault || err instanceof errors.JWKSInvalid ||
    err instanceof errors.JWKSTimeout;
}
