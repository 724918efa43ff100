/**
 * Walks over many items in slices so short that no other work has to wait for the walk.
 *
 * @module
 */
import type { Clock } from "./clock.ts";
import { SLICE_MS } from "./limits.ts";

/**
 * Visits every item, and yields to other work after each slice of `SLICE_MS`. Ends early
 * when the signal aborts.
 */
export async function forEachSliced<Item>(
  items: Iterable<Item>,
  visit: (item: Item) => void,
  clock: Clock,
  signal: AbortSignal,
): Promise<void> {
  let sliceEnd = clock.now() + SLICE_MS;
  for (const item of items) {
    visit(item);
    if (clock.now() < sliceEnd) continue;
    await clock.yield();
    if (signal.aborted) return;
    sliceEnd = clock.now() + SLICE_MS;
  }
}
