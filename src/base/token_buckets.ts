/**
 * Token buckets by key: the same rate limit for each client address, or for each user.
 *
 * A key without a bucket has a full one. The number of buckets is bounded: past it, the bucket that
 * was not used for the longest time is forgotten. That is the one that has earned most since.
 *
 * @module
 */
import { deleteOldest } from "./delete_oldest.ts";
import { TokenBucket } from "./token_bucket.ts";

export class TokenBuckets<Key> {
  readonly #newBucket: () => TokenBucket;
  readonly #keysMax: number;
  /** The bucket that was used last is the last one. */
  readonly #buckets = new Map<Key, TokenBucket>();

  /**
   * @param size Tokens that each bucket holds at most.
   * @param perSecond Tokens that each bucket earns each second.
   * @param now Milliseconds.
   */
  constructor(
    size: number,
    perSecond: number,
    keysMax: number,
    now: () => number,
  ) {
    this.#newBucket = () => new TokenBucket(size, perSecond, now);
    this.#keysMax = keysMax;
  }

  /** Whether a bucket has at least this number of tokens. */
  has(key: Key, tokens = 1): boolean {
    return this.#buckets.get(key)?.has(tokens) ?? true;
  }

  /** `"empty"`: the bucket has fewer tokens, and none was taken. */
  take(key: Key, tokens = 1): "taken" | "empty" {
    return this.#use(key).take(tokens);
  }

  /** Milliseconds until the bucket has a token. 0: it has one now. */
  waitMs(key: Key): number {
    return this.#buckets.get(key)?.waitMs() ?? 0;
  }

  /** Takes tokens, or all that are left if they are fewer. */
  drain(key: Key, tokens: number): void {
    this.#use(key).drain(tokens);
  }

  /** Takes tokens even if fewer are left. */
  owe(key: Key, tokens: number): void {
    this.#use(key).owe(tokens);
  }

  /** Puts tokens back. */
  give(key: Key, tokens: number): void {
    this.#buckets.get(key)?.give(tokens);
  }

  #use(key: Key): TokenBucket {
    const bucket = this.#buckets.get(key) ?? this.#newBucket();
    this.#buckets.delete(key);
    this.#buckets.set(key, bucket);
    deleteOldest(this.#buckets, this.#keysMax);
    return bucket;
  }
}
