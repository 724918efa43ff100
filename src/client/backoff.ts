/**
 * The backoff: how long to wait before the next attempt.
 *
 * @module
 */
import type { Platform } from "./platform.ts";
import type { Timing } from "./timing.ts";

export class Backoff {
  readonly #platform: Platform;
  readonly #timing: Timing;
  /** Failures in a row. */
  #failures = 0;
  #healthySince = Infinity;

  constructor(platform: Platform, timing: Timing) {
    this.#platform = platform;
    this.#timing = timing;
  }

  /** The connection is healthy from now on. */
  markHealthy(): void {
    this.#healthySince = this.#platform.performance.now();
  }

  reset(): void {
    this.#failures = 0;
  }

  /**
   * The delay before the next attempt, in milliseconds. Full jitter spreads clients that failed
   * together. Without a network it is a part of the longest delay.
   */
  next(isOnline: boolean): number {
    const { backoffFirstMs, backoffMaxMs, stableMs } = this.#timing;
    if (this.#platform.performance.now() - this.#healthySince >= stableMs) {
      this.reset();
    }
    this.#healthySince = Infinity;
    const longestMs = isOnline
      ? Math.min(backoffMaxMs, backoffFirstMs * 2 ** this.#failures)
      : backoffMaxMs;
    this.#failures += 1;
    return this.#timing.random() * longestMs;
  }
}
