/**
 * The history is the newest part of the feed: as many transitions as the ring can hold.
 *
 * It fills the ring at the start, for clients that were connected elsewhere before. It also shows
 * whether the feed still has what this node took from it.
 *
 * @module
 */
import { RING_TRANSITIONS_MAX } from "../../base/limits.ts";
import type { Store, Transition } from "../store/store.ts";
import { FEED_READ_ROWS_MAX } from "./limits.ts";

/**
 * The newest transitions up to `head`, oldest first and without holes. Empty if the feed has no
 * row for `head`. Rejects as the store does.
 */
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
