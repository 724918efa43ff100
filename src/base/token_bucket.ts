/**
 * A token bucket: so many at once, and so many more each second.
 *
 * @module
 */

export class TokenBucket {
  readonly #size: number;
  readonly #perSecond: number;
  readonly #now: () => number;
  #tokens: number;
  #filledAt: number;

  /** @param now Milliseconds. The bucket is full at first. */
  constructor(size: number, perSecond: number, now: () => number) {
    this.#size = this.#tokens = size;
    this.#perSecond = perSecond;
    this.#now = now;
    this.#filledAt = now();
  }

  /** `"empty"`: there are fewer left, and none was taken. */
  take(tokens = 1): "taken" | "empty" {
    const now = this.#now();
    const earned = (now - this.#filledAt) / 1_000 * this.#perSecond;
    this.#tokens = Math.min(this.#size, this.#tokens + earned);
    this.#filledAt = now;
    if (this.#tokens < tokens) return "empty";
    this.#tokens -= tokens;
    return "taken";
  }

  /** Takes also what is not there: until it is earned the bucket is empty. */
  owe(tokens: number): void {
    this.#tokens -= tokens;
  }
}
