/**
 * Waiting for a condition, never for a time.
 *
 * @module
 */

/** Resolves with the first value that is neither false nor undefined; rejects at the deadline. */
export async function until<T>(
  what: string,
  condition: () => T | false | undefined | Promise<T | false | undefined>,
  deadlineMs = 10_000,
): Promise<T> {
  const deadline = Date.now() + deadlineMs;
  while (true) {
    const value = await condition();
    if (value !== false && value !== undefined) return value;
    if (Date.now() > deadline) {
      throw new Error(`Waited ${deadlineMs} ms in vain until ${what}`);
    }
    await new Promise((resolve) => setTimeout(resolve, 5));
  }
}
