/**
 * Users who left and may be back in a moment.
 *
 * @module
 */
import type { Clock } from "../../base/clock.ts";
import type { UserId } from "../../protocol/user_id.ts";

export class Grace {
  readonly #ms: number;
  readonly #clock: Clock;
  /** The user did not come back in time. */
  readonly #onOver: (userId: UserId) => void;
  readonly #stop = new AbortController();
  /** When each left, oldest first. */
  readonly #leftAt = new Map<UserId, number>();
  #sweeping: Promise<void> | undefined;

  constructor(ms: number, clock: Clock, onOver: (userId: UserId) => void) {
    this.#ms = ms;
    this.#clock = clock;
    this.#onOver = onOver;
  }

  /** Begins a user's grace. `"none"`: there is no such thing here. */
  begin(userId: UserId): "begun" | "none" {
    if (this.#ms === 0) return "none";
    this.#leftAt.set(userId, this.#clock.now());
    this.#sweeping ??= this.#sweep();
    return "begun";
  }

  /** The user is back, or not waited for any more. */
  end(userId: UserId): void {
    this.#leftAt.delete(userId);
  }

  has(userId: UserId): boolean {
    return this.#leftAt.has(userId);
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#sweeping;
  }

  /** One timer for all: the oldest entry is always due first. */
  async #sweep(): Promise<void> {
    for (const [userId, leftAt] of this.#leftAt) {
      const restMs = leftAt + this.#ms - this.#clock.now();
      if (restMs > 0) await this.#clock.sleep(restMs, this.#stop.signal);
      if (this.#stop.signal.aborted) break;
      if (this.#leftAt.get(userId) !== leftAt) continue;
      this.#leftAt.delete(userId);
      this.#onOver(userId);
    }
    this.#sweeping = undefined;
  }
}
