/**
 * Bounds of `core/presence/`. Each has its unit in its name and its reason beside it.
 *
 * @module
 */

/** Users in one transaction. Larger batches gain little and hold row locks longer. */
export const BATCH_USERS_MAX = 1_000;

/**
 * Tries to renew the lease, each over a connection of its own, from the time a renewal is due until
 * the lease ends.
 */
export const RENEWAL_TRIES_MAX = 3;

/** Time for the store to answer that the node has left, and tries. Together less than the time that a part of the server has to stop. */
export const LEAVE_ANSWER_MS = 600;
export const LEAVE_TRIES_MAX = 3;
