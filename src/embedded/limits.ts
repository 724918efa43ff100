/**
 * Bounds of `embedded/`. Each has its unit in its name and its reason beside it.
 *
 * @module
 */

/** First start initialises a cluster; a start after a crash replays its log. */
export const EMBEDDED_START_MS = 30_000;

/** Postgres gets this long for an orderly stop before it is made to stop. */
export const EMBEDDED_STOP_MS = 2_000;

/** A Postgres that was killed is gone by then, even where its parent is slow to notice. */
export const EMBEDDED_TAKEOVER_MS = 10_000;

/** Pause before an embedded Postgres that died is started again. */
export const EMBEDDED_RESTART_MS = 500;
