/**
 * A clock that does not move until a test advances it.
 *
 * @module
 */
import { setImmediate } from "node:timers";
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

  /** Calls back after `ms`, unless the returned function is called before. */
  after(ms: number, callback: () => void): () => void {
    const id = this.#order++;
    const fire = () => {
      this.#timers.delete(id);
      callback();
    };
    this.#timers.set(id, { at: this.#now + ms, fire });
    return () => void this.#timers.delete(id);
  }

  yield(): Promise<void> {
    return this.sleep(0);
  }

  /** The event loop is blocked for `ms`: timers that become due meanwhile are late. */
  spend(ms: number): void {
    this.#now += ms;
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
    this.#now = Math.max(this.#now, end);
  }

  #next() {
    let first: { readonly at: number; readonly fire: () => void } | undefined;
    for (const timer of this.#timers.values()) {
      if (first === undefined || timer.at < first.at) first = timer;
    }
    return first;
  }
}

/** Runs promises that are due, and those that become due through them. */
function runMicrotasks(): Promise<void> {
  return new Promise((resolve) => void setImmediate(resolve));
}
