/**
 * Expiring entries are kept for one duration, and reported when it is over.
 *
 * One timer is enough for all of them, because the oldest always expires first. What an entry
 * means, and what follows, is the caller's.
 *
 * @module
 */
import { BackgroundTask } from "./background_task.ts";
import type { Clock } from "./clock.ts";

interface Entry<Value> {
  readonly at: number;
  readonly value: Value;
}

export class Expiring<Key, Value> {
  readonly #ms: number;
  readonly #clock: Clock;
  readonly #onExpired: (key: Key) => void;
  /** Oldest first. */
  readonly #entries = new Map<Key, Entry<Value>>();
  readonly #expiry = new BackgroundTask((signal) => this.#wait(signal));

  /**
   * @param ms Duration in milliseconds. 0: nothing is kept.
   * @param onExpired The duration of an entry is over.
   */
  constructor(ms: number, clock: Clock, onExpired: (key: Key) => void) {
    this.#ms = ms;
    this.#clock = clock;
    this.#onExpired = onExpired;
  }

  /** `"none"`: the duration is 0. */
  begin(key: Key, value: Value): "begun" | "none" {
    if (this.#ms === 0) return "none";
    this.#entries.set(key, { at: this.#clock.now(), value });
    this.#expiry.wake();
    return "begun";
  }

  /** Deletes an entry without a report. Safe if there is none. */
  end(key: Key): void {
    this.#entries.delete(key);
  }

  /** Ends these entries now, and reports them. */
  expire(isOver: (key: Key, value: Value) => boolean): void {
    for (const [key, { value }] of this.#entries) {
      if (isOver(key, value)) this.#report(key);
    }
  }

  has(key: Key): boolean {
    return this.#entries.has(key);
  }

  async stop(): Promise<void> {
    await this.#expiry.stop();
  }

  async #wait(signal: AbortSignal): Promise<void> {
    for (const [key, entry] of this.#entries) {
      const restMs = entry.at + this.#ms - this.#clock.now();
      if (restMs > 0) await this.#clock.sleep(restMs, signal);
      if (signal.aborted) return;
      // It may have ended, and begun again, during the sleep.
      if (this.#entries.get(key) === entry) this.#report(key);
    }
  }

  #report(key: Key): void {
    this.#entries.delete(key);
    this.#onExpired(key);
  }
}
