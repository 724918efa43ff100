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

  /** Whether at least this number of tokens is left. */
  has(tokens = 1): boolean {
    const now = this.#now();
    const earned = (now - this.#filledAt) / 1_000 * this.#perSecond;
    this.#filledAt = now;
    this.give(earned);
    return this.#tokens >= tokens;
  }

  /** Milliseconds until a token is left. 0: one is left now. */
  waitMs(): number {
    return this.has() ? 0 : (1 - this.#tokens) / this.#perSecond * 1_000;
  }

  /** `"empty"`: fewer tokens are left, and none was taken. */
  take(tokens = 1): "taken" | "empty" {
    if (!this.has(tokens)) return "empty";
    this.#tokens -= tokens;
    return "taken";
  }

  /** Takes tokens, or all that are left if they are fewer. */
  drain(tokens: number): void {
    if (this.take(tokens) === "empty") this.#tokens = Math.min(0, this.#tokens);
  }

  /** Puts tokens back. A full bucket stays full. */
  give(tokens: number): void {
    this.#tokens = Math.min(this.#size, this.#tokens + tokens);
  }

  /** Takes tokens even if fewer are left. The bucket then stays empty until it has earned the rest. */
  owe(tokens: number): void {
    this.#tokens -= tokens;
  }
}
