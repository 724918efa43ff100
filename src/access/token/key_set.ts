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
  override readonly name: string = "KeySetUnavailable";
}

/** The token names a key that is not in the last key set. It may be a new key, or no key at all. */
export class KeyUnknown extends KeySetUnavailable {
  override readonly name = "KeyUnknown";
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

/**
 * @param onFetched Called whenever the keys were fetched.
 * @param now Milliseconds since 1970.
 */
export function remoteKeySet(
  url: URL,
  onFetched: () => void = () => {},
  now = Date.now,
): KeySet {
  return new RemoteKeySet(url, onFetched, now);
}

class RemoteKeySet implements KeySet {
  readonly #url: URL;
  readonly #now: () => number;
  readonly #remote: ReturnType<typeof createRemoteJWKSet>;
  #lastGood: JWTVerifyGetKey | undefined;
  #lastError: KeySetUnavailable | undefined;
  #pausedUntil = -Infinity;

  constructor(url: URL, onFetched: () => void, now: () => number) {
    this.#url = url;
    this.#now = now;
    this.#remote = createRemoteJWKSet(url, {
      timeoutDuration: KEY_SET_ANSWER_MS,
      cooldownDuration: KEY_SET_COOLDOWN_MS,
      cacheMaxAge: KEY_SET_AGE_MS_MAX,
      [customFetch]: async (_url, options) => {
        const set = await fetchKeySet(url, options);
        this.#lastGood = createLocalJWKSet(set);
        onFetched();
        return Response.json(set);
      },
    });
  }

  readonly find: JWTVerifyGetKey = async (header, token) => {
    const isPaused = this.#now() < this.#pausedUntil;
    if (isPaused) return await this.#findInLastGood(header, token);
    try {
      return await this.#findRemote(header, token);
    } catch (err) {
      this.#pauseAfter(err);
      return await this.#findInLastGood(header, token);
    }
  };

  async fetch(): Promise<void> {
    try {
      await this.#remote.reload();
    } catch (err) {
      throw this.#pauseAfter(err);
    }
  }

  readonly #findRemote: JWTVerifyGetKey = async (header, token) => {
    const wasFetchedLately = this.#remote.coolingDown;
    try {
      return await this.#remote(header, token);
    } catch (err) {
      if (!(err instanceof errors.JWKSNoMatchingKey)) throw err;
      if (!wasFetchedLately) throw err;
      throw new KeyUnknown(
        `the key is not in the key set ${
          nameOf(this.#url)
        }, which was fetched less than ${KEY_SET_COOLDOWN_MS} ms ago`,
      );
    }
  };

  /** While the issuer is down. A key that is not in the last good set may be a new one. */
  readonly #findInLastGood: JWTVerifyGetKey = async (header, token) => {
    if (this.#lastGood === undefined) throw this.#lastError;
    try {
      return await this.#lastGood(header, token);
    } catch (err) {
      if (!(err instanceof errors.JWKSNoMatchingKey)) throw err;
      throw new KeyUnknown(this.#lastError?.message, { cause: err });
    }
  };

  /** @throws the error if it is not a fault of the issuer. */
  #pauseAfter(err: unknown): KeySetUnavailable {
    if (!(err instanceof KeySetError)) throw err;
    this.#pausedUntil = this.#now() +
      (this.#lastGood === undefined
        ? KEY_SET_FIRST_PAUSE_MS
        : KEY_SET_PAUSE_MS);
    this.#lastError = new KeySetUnavailable(err.message, { cause: err });
    return this.#lastError;
  }
}
