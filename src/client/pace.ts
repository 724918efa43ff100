/**
 * The pace of requests: a few at once, then so many each second.
 *
 * The server gives a client a budget of 20 messages and two more each second; whoever spends
 * more is closed for good. Half of that leaves room for tokens.
 *
 * @module
 */

const AT_ONCE = 10;
const PER_SECOND = 2;

export class Pace {
  #credit = AT_ONCE;
  #creditedAt = Date.now();
  #timer: ReturnType<typeof setTimeout> | undefined;

  /** Does it now, or when there is credit again. Only the last of those that wait is done. */
  take(request: () => void): void {
    this.stop();
    const now = Date.now();
    const earned = (now - this.#creditedAt) / 1_000 * PER_SECOND;
    this.#credit = Math.min(AT_ONCE, this.#credit + earned);
    this.#creditedAt = now;
    if (this.#credit < 1) {
      const ms = (1 - this.#credit) / PER_SECOND * 1_000;
      this.#timer = setTimeout(() => this.take(request), Math.ceil(ms));
      return;
    }
    this.#credit -= 1;
    request();
  }

  /** Forgets what waits. */
  stop(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }
}
