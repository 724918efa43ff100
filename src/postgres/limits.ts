/**
 * Bounds of `postgres/`. Each has its unit in its name and its reason beside it.
 *
 * @module
 */

/** Rows of the feed that are kept for nodes that were away. A node that is further behind loads a snapshot. */
export const FEED_KEEP_ROWS_MAX = 1_000_000;

/** Age after which rows of the feed are deleted, so that a quiet cluster does not keep usernames for ever. */
export const FEED_KEEP_MS = 24 * 3_600_000;

/** Rows pruned in one transaction, and transactions in one sweep: short ones, so that nothing waits for them. */
export const FEED_PRUNE_ROWS_MAX = 10_000;
export const FEED_PRUNE_ROUNDS_MAX = 100;

/** Users of ended nodes that one transaction sets offline, and transactions in one sweep. */
export const SWEEP_USERS_MAX = 10_000;
export const SWEEP_ROUNDS_MAX = 100;

/** Time for which a sweep waits for the row of one user that another node writes. Longer than a write takes. */
export const SWEEP_LOCK_MS = 100;

/** Time for which a comparison of groups that the application named waits for the write of one node. */
export const REGROUP_LOCK_MS = 1_000;

/**
 * Users that one sweep compares with the application's table, for each of its passes: a few
 * milliseconds. With more users, a full round takes several heartbeats.
 */
export const SWEEP_SLICE_ROWS = 5_000;

/**
 * Users whose groups one transaction compares. If all of them differ, their rows and the end of the feed are
 * locked for some tens of milliseconds.
 */
export const REGROUP_USERS_MAX = 2_000;

/** Slices of users, named by the application, that one sweep compares when a notification was lost. */
export const REGROUP_ROUNDS_MAX = 100;

/**
 * Database connections of a node, for batches, heartbeats, provisioning and reads. The nodes of a cluster share
 * what the database allows.
 */
export const POOL_CONNECTIONS_MAX = 6;

/**
 * Further connections for the node's lease alone, one for each try to renew it. So nothing else that
 * the node asks for can delay a renewal, and a dead connection delays only one try. Mostly one is open.
 */
export const LEASE_CONNECTIONS_MAX = 3;

/** Time for the database to accept a connection. */
export const DATABASE_CONNECT_MS = 5_000;

/** Time for a statement, after which the database cancels it, so that it holds no lock for ever. */
export const DATABASE_STATEMENT_MS = 8_000;

/** Time for an answer. Longer than the database's own deadline, and meant for a connection that is half-open. */
export const DATABASE_ANSWER_MS = 10_000;

/** Time for each statement of a migration, and for retries while a lock is held. Also the wait for another node's migration. */
export const MIGRATE_MS = 120_000;

/** Time that a migration waits for a lock, and then pauses, so that statements queued behind it can run. */
export const MIGRATE_LOCK_MS = 1_000;

/** Age after which revocations are deleted. A revoked token that is valid for longer would be accepted again. */
export const REVOCATIONS_KEEP_MS = 30 * 24 * 3_600_000;

/** Age after which the groups of a token are deleted, of a user who is not online. Its next connection writes them again. */
export const TOKEN_GROUPS_KEEP_MS = 30 * 24 * 3_600_000;

/** Time for a read of the users table to get a lock. Presence goes on without it. */
export const USERS_READ_LOCK_MS = 200;

/**
 * Time for a write of a copy to get a lock that a trigger may want. A locked row is skipped at once. Short,
 * because many rows may have the same trigger, and all of them share the time for copies.
 */
export const COPY_LOCK_MS = 25;

/** Time for all copies of one write, which its transitions wait for. The sweep writes the others. */
export const WRITE_COPY_MS = 300;

/** Time for all copies of one sweep, which holds no lock on presence. */
export const SWEEP_COPY_MS = 1_000;

/** Time for all copies when the last node leaves: no sweep follows. */
export const LEAVE_COPY_MS = 3_000;

/** How long writes leave all copies to the sweep after one of them took three times its time. */
export const COPY_PAUSE_MS = 30_000;

/** Time for `AUTO_PROVISION` to get a lock, while a client waits for its authorization. */
export const PROVISION_LOCK_MS = 500;

/** Copies that are due, as far as they are counted for operators: counting more would cost too much. */
export const COPIES_DUE_COUNT_MAX = 10_000;
