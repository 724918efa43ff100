/**
 * A token bucket is a rate limit: a burst of tokens at once, then a number of tokens each second.
 *
 * @module
 */

export class TokenBucket {
  readonly #size: number;
  readonly #perSecond: number;
  readonly #now: () => number;
  #tokens: number;
  #filledAt: number;

  /**
   * The bucket starts full.
   *
   * @param size Tokens that the bucket holds at most.
   * @param perSecond Tokens that it earns each second.
   * @param now Milliseconds.
   */
  constructor(size: number, perSecond: number, now: () => number) {
    this.#size = this.#tokens = size;
    this.#perSecond = perSecond;
    this.#now = now;
    this.#filledAt = now();
  }

  /** `"empty"`: fewer tokens are left, and none was taken. */
  take(tokens = 1): "taken" | "empty" {
    const now = this.#now();
    const earned = (now - this.#filledAt) / 1_000 * this.#perSecond;
    this.#tokens = Math.min(this.#size, this.#tokens + earned);
    this.#filledAt = now;
    if (this.#tokens < tokens) return "empty";
    this.#tokens -= tokens;
    return "taken";
  }

  /** Takes tokens even if fewer are left. The bucket then stays empty until it has earned the rest. */
  owe(tokens: number): void {
    this.#tokens -= tokens;
  }
}
