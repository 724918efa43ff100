/**
 * The newest part of the log: for clients that were connected elsewhere before this node started,
 * and to see whether it still says what was taken from it.
 *
 * @module
 */
import { FEED_READ_ROWS_MAX } from "./limits.ts";
import { RING_TRANSITIONS_MAX } from "../../base/limits.ts";
import type { Store, Transition } from "../store/store.ts";

/** The transitions that lead to `head`, without holes. Rejects as the store does. */
export async function readHistory(
  store: Pick<Store, "readFeed">,
  head: number,
): Promise<Transition[]> {
  const rows: Transition[] = [];
  let after = Math.max(0, head - RING_TRANSITIONS_MAX);
  while (after < head) {
    const read = await store.readFeed(after, FEED_READ_ROWS_MAX);
    const older = read.transitions.filter(({ seq }) => seq <= head);
    rows.push(...older);
    after = older.at(-1)?.seq ?? head;
  }
  let start = rows.length;
  for (let seq = head; rows[start - 1]?.seq === seq; seq--) start -= 1;
  return rows.slice(start);
}
