/**
 * The global timers, which run when a test says so.
 *
 * @module
 */

export interface FakeTimers extends Disposable {
  /** Timers that are set. */
  readonly count: number;
  /** Milliseconds that have passed. */
  now(): number;
  /** Lets this time pass, and runs the timers that become due. */
  advance(ms: number): void;
}

/** Replaces the global timers until it is disposed. */
export function fakeTimers(): FakeTimers {
  const real = { setTimeout, clearTimeout };
  const timers = new Map<number, { at: number; fire: () => void }>();
  let [now, next] = [0, 1];
  Object.assign(globalThis, {
    setTimeout: (fire: () => void, ms: number) => {
      timers.set(next, { at: now + ms, fire });
      return next++;
    },
    clearTimeout: (id: number) => void timers.delete(id),
  });
  return {
    get count() {
      return timers.size;
    },
    now: () => now,
    advance: (ms) => {
      now += ms;
      for (const [id, { at, fire }] of timers) {
        if (at <= now && timers.delete(id)) fire();
      }
    },
    [Symbol.dispose]: () => void Object.assign(globalThis, real),
  };
}
