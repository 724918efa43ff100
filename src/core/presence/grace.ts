/**
 * Grace keeps the time since users left this node, and reports those who did not return in time.
 *
 * It does not know what a claim is: presence decides what follows.
 *
 * @module
 */
import { BackgroundTask } from "../../base/background_task.ts";
import type { Clock } from "../../base/clock.ts";
import type { UserId } from "../../client/protocol/user_id.ts";

interface Left {
  readonly at: number;
  readonly tokenId: string | undefined;
}

export class Grace {
  readonly #ms: number;
  readonly #clock: Clock;
  readonly #onExpired: (userId: UserId) => void;
  /** Users who left, oldest first. */
  readonly #users = new Map<UserId, Left>();
  readonly #expiry = new BackgroundTask((signal) => this.#wait(signal));

  /**
   * @param ms Duration of the grace in milliseconds. 0: there is no grace.
   * @param onExpired The user did not return in time.
   */
  constructor(ms: number, clock: Clock, onExpired: (userId: UserId) => void) {
    this.#ms = ms;
    this.#clock = clock;
    this.#onExpired = onExpired;
  }

  /**
   * Begins a user's grace. `"none"`: this server is configured without grace.
   *
   * @param tokenId Of the token with which the user was connected last.
   */
  begin(userId: UserId, tokenId?: string): "begun" | "none" {
    if (this.#ms === 0) return "none";
    this.#users.set(userId, { at: this.#clock.now(), tokenId });
    this.#expiry.wake();
    return "begun";
  }

  /** Ends a user's grace without a report. Safe if there is none. */
  end(userId: UserId): void {
    this.#users.delete(userId);
  }

  /** Ends the grace of these users now, and reports them. */
  expire(isOver: (userId: UserId, tokenId?: string) => boolean): void {
    for (const [userId, { tokenId }] of this.#users) {
      if (isOver(userId, tokenId)) this.#report(userId);
    }
  }

  has(userId: UserId): boolean {
    return this.#users.has(userId);
  }

  async stop(): Promise<void> {
    await this.#expiry.stop();
  }

  /** One timer is enough for all users, because the oldest entry always expires first. */
  async #wait(signal: AbortSignal): Promise<void> {
    for (const [userId, left] of this.#users) {
      const restMs = left.at + this.#ms - this.#clock.now();
      if (restMs > 0) await this.#clock.sleep(restMs, signal);
      if (signal.aborted) return;
      // The user may have returned, and may have left again, during the sleep.
      if (this.#users.get(userId) === left) this.#report(userId);
    }
  }

  #report(userId: UserId): void {
    this.#users.delete(userId);
    this.#onExpired(userId);
  }
}
