/**
 * Bounds of starting and stopping the process. Each has its unit in its name and its reason beside it.
 *
 * @module
 */

/** Time for the peers to answer the last 1001. A peer may never answer. */
export const LAST_CLOSES_MS = 1_000;

/** How often a drain checks whether all peers have answered. Far below the time that a stop takes. */
export const DRAIN_POLL_MS = 10;

/** Time for requests in flight. A socket whose peer does not answer never ends, so a longer wait gains nothing. */
export const HTTP_STOP_MS = 500;

/** Time for each other part to stop. A part that hangs does not keep the process alive. */
export const PART_STOP_MS = 2_000;

/**
 * Time for a start in progress to complete after the signal to stop. The stop itself follows, and
 * a supervisor that waits ten seconds has to see both end.
 */
export const EARLY_STOP_MS = 2_500;

/** Time for the node to stop. With the embedded database's stop after it, the process ends within ten seconds. */
export const NODE_STOP_MS = 6_500;

/**
 * How long the inspector is watched for after SIGUSR1. Deno opens it within a millisecond, and later
 * only if the event loop is stuck, as is the watch then.
 */
export const INSPECTOR_OPEN_MS = 2_000;
