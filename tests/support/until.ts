/**
 * Waits for a condition, never for a time.
 *
 * @module
 */

/** Ample on a busy machine, and short enough to see a failure. */
const DEADLINE_MS = 20_000;
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
 * Waits until a value is the wanted one, compared as JSON. At the deadline the error shows
 * what the value was instead.
 */
export async function untilEqual<T>(
  what: string,
  read: () => T | Promise<T>,
  wanted: T,
  deadlineMs?: number,
): Promise<void> {
  const text = JSON.stringify(wanted);
  let last = "";
  try {
    await until(what, async () => {
      last = JSON.stringify(await read());
      return last === text;
    }, deadlineMs);
  } catch (err) {
    if (last === text || !(err instanceof Error)) throw err;
    throw new Error(`${err.message}\n  wanted ${text}\n  got    ${last}`, {
      cause: err,
    });
  }
}

/** Only for what has a length of its own: an outage, a stay. Not for the wait until something happened. */
export function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
