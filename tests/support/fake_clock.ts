/**
 * A clock that does not move until a test advances it.
 *
 * @module
 */
import type { Clock } from "../../src/base/clock.ts";

export class FakeClock implements Clock {
  #now = 0;
  #order = 0;
  readonly #timers = new Map<
    number,
    { readonly at: number; readonly fire: () => void }
  >();

  now(): number {
    return this.#now;
  }

  sleep(ms: number, signal?: AbortSignal): Promise<void> {
    if (signal?.aborted) return Promise.resolve();
    return new Promise((resolve) => {
      const id = this.#order++;
      const fire = () => {
        this.#timers.delete(id);
        signal?.removeEventListener("abort", fire);
        resolve();
      };
      this.#timers.set(id, { at: this.#now + ms, fire });
      signal?.addEventListener("abort", fire);
    });
  }

  yield(): Promise<void> {
    return this.sleep(0);
  }

  /** Advances by `ms`, timer by timer. After each timer it runs the promises that became due. */
  async advance(ms: number): Promise<void> {
    const end = this.#now + ms;
    await runMicrotasks();
    while (true) {
      const next = this.#next();
      if (next === undefined || next.at > end) break;
      this.#now = Math.max(this.#now, next.at);
      next.fire();
      await runMicrotasks();
    }
    this.#now = end;
  }

  #next() {
    let first: { readonly at: number; readonly fire: () => void } | undefined;
    for (const timer of this.#timers.values()) {
      if (first === undefined || timer.at < first.at) first = timer;
    }
    return first;
  }
}

/** Runs promises that are due, and those that become due through them. Takes no real time. */
async function runMicrotasks(): Promise<void> {
  for (let turn = 0; turn < 50; turn++) await Promise.resolve();
}
