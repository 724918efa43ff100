/**
 * Deadlines of one duration share one timer, because the oldest is always the next.
 *
 * A timer for each socket costs as much as all else that the handshake does in this process.
 *
 * @module
 */

export class Deadlines<Item> {
  readonly #ms: number;
  readonly #onMissed: (item: Item) => void;
  readonly #now: () => number;
  /** When each item began, oldest first. */
  readonly #begun = new Map<Item, number>();
  /** `undefined`: no item waits. */
  #timer: ReturnType<typeof setTimeout> | undefined;

  /**
   * @param ms Duration in milliseconds.
   * @param onMissed The item was not ended in time. Must not throw.
   * @param now Milliseconds.
   */
  constructor(
    ms: number,
    onMissed: (item: Item) => void,
    now = () => performance.now(),
  ) {
    this.#ms = ms;
    this.#onMissed = onMissed;
    this.#now = now;
  }

  begin(item: Item): void {
    this.#begun.set(item, this.#now());
    this.#timer ??= setTimeout(() => this.#check(), this.#ms);
  }

  /** The item needs no deadline any more. Safe if it has none. */
  end(item: Item): void {
    this.#begun.delete(item);
    if (this.#begun.size > 0) return;
    clearTimeout(this.#timer);
    this.#timer = undefined;
  }

  #check(): void {
    this.#timer = undefined;
    for (const [item, begunAt] of this.#begun) {
      const restMs = begunAt + this.#ms - this.#now();
      if (restMs > 0) {
        this.#timer ??= setTimeout(() => this.#check(), restMs);
        return;
      }
      this.#begun.delete(item);
      this.#onMissed(item);
    }
  }
}
