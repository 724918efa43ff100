/**
 * Waits for a part of the server to stop, with a time limit.
 *
 * @module
 */
import { within } from "./base/clock.ts";
import type { Log } from "./base/log.ts";

/**
 * Resolves when the part has stopped, has failed to stop, or `ms` have passed. A failure and a
 * timeout are logged and never thrown: the parts below this one have to be stopped as well.
 *
 * @param part Its name in the log.
 */
export async function stopWithin(
  ms: number,
  part: string,
  stopping: Promise<void>,
  log: Log,
): Promise<void> {
  try {
    await within(ms, `stopping the ${part}`, stopping);
  } catch (err) {
    log.warn({ part, err }, "a part did not stop cleanly");
  }
}
