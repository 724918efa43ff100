/**
 * Bounds of starting and stopping the process. Each has its unit in its name and its reason beside it.
 *
 * @module
 */

/** Time for the peers' answers after the last 1001 was sent; one may never answer. */
export const DRAIN_SETTLE_MS = 1_000;

/** Time for requests under way. A socket whose peer does not answer never ends, and is not waited for. */
export const HTTP_STOP_MS = 500;

/** Time for each part's own stop; the rest of the process does not wait for a part that hangs. */
export const PART_STOP_MS = 2_000;

/** Time for a start that is under way when the process is told to stop. An orderly stop comes on top. */
export const EARLY_STOP_MS = 2_500;

/** Time for everything above the database, so that an orderly stop fits into ten seconds. */
export const ORDERLY_STOP_MS = 6_500;
