/**
 * Waits for a condition, never for a time.
 *
 * @module
 */
import { deepEqual } from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";

/** Ample where many tests share few cores: a program may take half of it to start. */
const DEADLINE_MS = 60_000;
/** The pause between two reads of a condition grows with the wait, within these. */
const PAUSE_MIN_MS = 5;
const PAUSE_MAX_MS = 50;

/** Resolves with the first value that is neither false nor undefined. Rejects at the deadline. */
export async function until<T>(
  what: string,
  condition: () => T | false | undefined | Promise<T | false | undefined>,
  deadlineMs = DEADLINE_MS,
): Promise<T> {
  const startedAt = Date.now();
  while (true) {
    const value = await condition();
    if (value !== false && value !== undefined) return value;
    const waitedMs = Date.now() - startedAt;
    if (waitedMs > deadlineMs) {
      throw new Error(`Timed out after ${deadlineMs} ms waiting until ${what}`);
    }
    const pauseMs = Math.min(PAUSE_MIN_MS + waitedMs / 20, PAUSE_MAX_MS);
    await new Promise((resolve) => setTimeout(resolve, pauseMs));
  }
}

/**
 * Waits until a value is deeply equal to the wanted one, which may change too and is then a
 * function. At the deadline the error shows the difference.
 */
export async function untilEqual<T>(
  what: string,
  read: () => T | Promise<T>,
  wanted: T | (() => T | Promise<T>),
  deadlineMs?: number,
): Promise<void> {
  let [expected, value]: unknown[] = [];
  try {
    await until(what, async () => {
      value = await read();
      expected = wanted instanceof Function ? await wanted() : wanted;
      return isDeepStrictEqual(value, expected);
    }, deadlineMs);
  } catch (err) {
    try {
      deepEqual(value, expected);
    } catch (difference) {
      throw new Error(`Timed out waiting until ${what}`, { cause: difference });
    }
    throw err;
  }
}

/** Only for what has a length of its own: an outage, a stay. Not for the wait until something happened. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
