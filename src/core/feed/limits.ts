/**
 * Bounds of `core/feed/`. Each has its unit in its name and its reason beside it.
 *
 * @module
 */

/** Rows in one read of the feed, so that catching up never builds one huge result. */
export const FEED_READ_ROWS_MAX = 5_000;

/**
 * How far the counter skips ahead of this node's last `seq` when a database lost transitions. It
 * must pass every `seq` that any node delivered, so that none is used twice. Of 2^53 numbers this
 * wastes few.
 */
export const LOST_SEQS_MARGIN = 1_000_000;

/** Least time between two reads of the usernames, however many users are renamed. */
export const USERNAME_REFRESH_MS = 1_000;
