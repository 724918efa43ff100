/**
 * Bounds of `core/feed/`. Each has its unit in its name and its reason beside it.
 *
 * @module
 */

/** Rows per read of the feed, so that catching up never builds one huge result. */
export const FEED_READ_ROWS_MAX = 5_000;

/**
 * How far the counter moves on from what this node took when a database lost transitions: further than
 * any other node was told, so that no `seq` is used twice. Of 2 ** 53 there is plenty.
 */
export const LOST_SEQS_MARGIN = 1_000_000;

/** Names are read anew at most so often, however many users are renamed. */
export const USERNAME_REFRESH_MS = 1_000;
