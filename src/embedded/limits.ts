/**
 * Bounds of `embedded/`. Each has its unit in its name and its reason beside it.
 *
 * @module
 */

/** Time for Postgres to accept connections. After a crash it first replays its write-ahead log. */
export const EMBEDDED_START_MS = 30_000;

/** Time for Postgres to end after each signal to stop, before the next and stronger one. */
export const EMBEDDED_STOP_MS = 2_000;

/** Time for retries while the lock file of the data names a process that was killed but has not ended yet. */
export const EMBEDDED_TAKEOVER_MS = 10_000;

/** Pause before a Postgres that died is started again. */
export const EMBEDDED_RESTART_MS = 500;

/** Pause between two checks whether Postgres accepts connections. */
export const EMBEDDED_POLL_MS = 100;

/** Time for one of these checks. */
export const EMBEDDED_CONNECT_MS = 2_000;
