/**
 * Bounds of `postgres/`. Each has its unit in its name and its reason beside it.
 *
 * @module
 */

/** Rows of the feed that are kept for nodes that were away; past it they load a snapshot. */
export const FEED_KEEP_ROWS_MAX = 1_000_000;

/** Age past which feed rows go, so that a quiet cluster's log does not keep names for ever. */
export const FEED_KEEP_MS = 24 * 3_600_000;

/** Rows pruned in one transaction, and transactions in a row: housekeeping is done in small steps. */
export const FEED_PRUNE_ROWS_MAX = 10_000;
export const FEED_PRUNE_ROUNDS_MAX = 100;

/** Users of ended nodes that are put right in one transaction; the rest wait for the next. */
export const SWEEP_USERS_MAX = 10_000;

/** Database connections of a node: a flusher, a heartbeat, makers of users, readers. A cluster shares the rest. */
export const POOL_CONNECTIONS_MAX = 6;

/** A database that does not take a connection in this time is away. */
export const DATABASE_CONNECT_MS = 5_000;

/** A statement that runs longer is ended by the database, so that no lock is held for ever. */
export const DATABASE_STATEMENT_MS = 8_000;

/** The client's own deadline behind the database's, for a link that went half-open. */
export const DATABASE_ANSWER_MS = 10_000;

/** Time for all pending migrations, among them another node's that we wait for. */
export const MIGRATE_MS = 120_000;

/** A migration that needs a lock waits for it so long, and then lets those pass for as long who wait behind it. */
export const MIGRATE_LOCK_MS = 1_000;

/** How long an order is kept. A revoked token that lives longer would be good again. */
export const REVOCATIONS_KEEP_MS = 30 * 24 * 3_600_000;
