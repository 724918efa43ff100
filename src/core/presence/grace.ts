/**
 * Grace keeps the time since users left this node, and reports those who did not return in time.
 *
 * It does not know what a claim is: presence decides what follows.
 *
 * @module
 */
import { BackgroundTask } from "../../base/background_task.ts";
import type { Clock } from "../../base/clock.ts";
import type { UserId } from "../../protocol/user_id.ts";

export class Grace {
  readonly #ms: number;
  readonly #clock: Clock;
  readonly #onExpired: (userId: UserId) => void;
  /** When each user left, oldest first. */
  readonly #leftAt = new Map<UserId, number>();
  readonly #expiry = new BackgroundTask((signal) => this.#expire(signal));

  /**
   * @param ms Duration of the grace in milliseconds. 0: there is no grace.
   * @param onExpired The user did not return in time.
   */
  constructor(ms: number, clock: Clock, onExpired: (userId: UserId) => void) {
    this.#ms = ms;
    this.#clock = clock;
    this.#onExpired = onExpired;
  }

  /** Begins a user's grace. `"none"`: this server is configured without grace. */
  begin(userId: UserId): "begun" | "none" {
    if (this.#ms === 0) return "none";
    this.#leftAt.set(userId, this.#clock.now());
    this.#expiry.wake();
    return "begun";
  }

  /** Ends a user's grace without a report. Safe if there is none. */
  end(userId: UserId): void {
    this.#leftAt.delete(userId);
  }

  has(userId: UserId): boolean {
    return this.#leftAt.has(userId);
  }

  async stop(): Promise<void> {
    await this.#expiry.stop();
  }

  /** One timer is enough for all users, because the oldest entry always expires first. */
  async #expire(signal: AbortSignal): Promise<void> {
    for (const [userId, leftAt] of this.#leftAt) {
      const restMs = leftAt + this.#ms - this.#clock.now();
      if (restMs > 0) await this.#clock.sleep(restMs, signal);
      if (signal.aborted) return;
      // The user may have returned, and may have left again, during the sleep.
      if (this.#leftAt.get(userId) !== leftAt) continue;
      this.#leftAt.delete(userId);
      this.#onExpired(userId);
    }
  }
}
