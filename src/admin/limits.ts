/**
 * Bounds of `admin/`. Each has its unit in its name and its reason beside it.
 *
 * @module
 */

/** Bytes of the body of a request to change something: enough for the longest token id. */
export const ADMIN_BODY_BYTES_MAX = 2_048;

/** Time that a status waits for the database. It is asked for most when the database is slow. */
export const STATUS_DATABASE_MS = 2_000;

/** Slow consumers in a status, those with the most unsent bytes. More would not be read. */
export const SLOW_CONSUMERS_SHOWN_MAX = 20;

/** Snapshots in a status, the oldest ones. */
export const SNAPSHOTS_SHOWN_MAX = 10;

/** Closes in a minute that a cordon may be asked for: one each millisecond. */
export const CLOSES_PER_MINUTE_MAX = 60_000;
