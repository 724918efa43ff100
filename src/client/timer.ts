/**
 * A timer that does not act when it fires late, but waits for what arrived meanwhile.
 *
 * While a page is blocked, or a machine sleeps, timers become due and messages arrive. In WebKit the
 * timers fire first.
 *
 * @module
 */
import type { Platform, PlatformTimer } from "./platform.ts";
import type { Timing } from "./timing.ts";

export class Timer {
  readonly #platform: Platform;
  readonly #timing: Pick<Timing, "lateMs">;
  #timer: PlatformTimer | undefined;

  constructor(platform: Platform, timing: Pick<Timing, "lateMs">) {
    this.#platform = platform;
    this.#timing = timing;
  }

  /** Calls back after `ms`. It replaces the call that waits. */
  start(ms: number, callback: () => void): void {
    this.stop();
    const { lateMs } = this.#timing;
    const { performance } = this.#platform;
    const dueAt = performance.now() + ms;
    this.#timer = this.#platform.setTimeout(() => {
      if (performance.now() - dueAt < lateMs) callback();
      else this.#timer = this.#platform.setTimeout(callback, lateMs);
    }, ms);
  }

  stop(): void {
    this.#platform.clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
