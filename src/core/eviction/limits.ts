/**
 * Bounds of `core/eviction/`. Each has its unit in its name and its reason beside it.
 *
 * @module
 */

/** A version 2 connection that was told nothing for so long gets a sign of life. */
export const KEEPALIVE_MS = 25_000;

/** How often connections are looked at for what is due by time alone. */
export const UPKEEP_MS = 1_000;

/** Version 2 connections are warned so long before their token expires: time to get another. */
export const TOKEN_WARNING_MS = 60_000;

/** Orders in one read, so that a node that was away does not build one huge result. */
export const REVOCATIONS_READ_MAX = 1_000;

/** Revoked tokens that a node remembers, at about 100 bytes each. Past it the oldest go. */
export const REVOKED_TOKENS_MAX = 100_000;
