/**
 * Bounds of `core/presence/`. Each has its unit in its name and its reason beside it.
 *
 * @module
 */

/** Users in one transaction. Larger batches gain little and hold row locks longer. */
export const BATCH_USERS_MAX = 1_000;
