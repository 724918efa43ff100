/**
 * Bounds of `core/eviction/`. Each has its unit in its name and its reason beside it.
 *
 * @module
 */

/** A version 2 connection gets a `keepalive` after this time without a message. */
export const KEEPALIVE_MS = 25_000;

/** Time between two walks over all connections. A token expires at most this much too late. */
export const CONNECTION_CHECK_MS = 1_000;

/** Time between the warning and the end of a token: enough to get another one. Version 2 only. */
export const TOKEN_WARNING_MS = 60_000;

/** Revocations in one read, so that a node that was away does not build one huge result. */
export const REVOCATIONS_READ_MAX = 1_000;

/** Revoked tokens that a node remembers, at about 100 bytes each. Past it the oldest are forgotten. */
export const REVOKED_TOKENS_MAX = 100_000;
