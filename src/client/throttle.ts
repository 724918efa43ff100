/**
 * The throttle: limits how often the client sends a `watch` message.
 *
 * The server allows a client 20 messages at once and 2 more each second, and closes the
 * connection of a client that exceeds this, after which the client does not reconnect. The
 * throttle uses half of the burst, so that there is room for `refresh` messages.
 *
 * @module
 */
import type { Platform, PlatformTimer } from "./platform.ts";

const BURST = 10;
const PER_SECOND = 2;

export class Throttle {
  readonly #platform: Platform;
  #credit = BURST;
  #creditedAt: number;
  #timer: PlatformTimer | undefined;

  constructor(platform: Platform) {
    this.#platform = platform;
    this.#creditedAt = platform.performance.now();
  }

  /** Calls `send` now, or as soon as the limit allows. It replaces a call that still waits. */
  run(send: () => void): void {
    this.cancel();
    const now = this.#platform.performance.now();
    const earned = (now - this.#creditedAt) / 1_000 * PER_SECOND;
    this.#credit = Math.min(BURST, this.#credit + earned);
    this.#creditedAt = now;
    if (this.#credit < 1) {
      const ms = (1 - this.#credit) / PER_SECOND * 1_000;
      const again = () => this.run(send);
      this.#timer = this.#platform.setTimeout(again, Math.ceil(ms));
      return;
    }
    this.#credit -= 1;
    send();
  }

  /** Drops the call that waits, if there is one. */
  cancel(): void {
    this.#platform.clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
