/**
 * Time, as the core sees it.
 *
 * The core never calls a timer itself. A simulation can therefore run hours of it in a second.
 *
 * @module
 */
import { setImmediate } from "node:timers";
import { RETRY_FIRST_MS, RETRY_LAST_MS } from "./limits.ts";

export interface Clock {
  /** Milliseconds on a clock that never goes back. Only differences mean anything. */
  now(): number;
  /** Resolves after `ms`, or at once when the signal aborts. Never rejects. */
  sleep(ms: number, signal?: AbortSignal): Promise<void>;
  /** Resolves after other pending work (sockets, requests, timers) has had its turn. */
  yield(): Promise<void>;
}

export const systemClock: Clock = {
  now: () => performance.now(),
  sleep: (ms, signal) =>
    new Promise((resolve) => {
      if (signal?.aborted) return resolve();
      const done = () => {
        clearTimeout(timer);
        signal?.removeEventListener("abort", done);
        resolve();
      };
      const timer = setTimeout(done, ms);
      signal?.addEventListener("abort", done);
    }),
  yield: () => new Promise((resolve) => void setImmediate(resolve)),
};

/**
 * Milliseconds to wait before the next try: bounded exponential backoff with jitter.
 *
 * @param attempt Tries that failed so far, from 0.
 * @param random A number from 0 to 1.
 */
export function retryMs(attempt: number, random: () => number): number {
  const full = Math.min(RETRY_LAST_MS, RETRY_FIRST_MS * 2 ** attempt);
  return full * (0.5 + random() / 2);
}

/**
 * Resolves or rejects as the promise does. After `ms` it rejects with an error that names `what`;
 * the promise itself goes on.
 */
export async function within<T>(
  ms: number,
  what: string,
  promise: Promise<T>,
  clock: Clock = systemClock,
): Promise<T> {
  const cancel = new AbortController();
  try {
    return await Promise.race([
      promise,
      clock.sleep(ms, cancel.signal).then(() => {
        throw new Error(`${what} took longer than ${ms} ms`);
      }),
    ]);
  } finally {
    promise.catch(() => {});
    cancel.abort();
  }
}
