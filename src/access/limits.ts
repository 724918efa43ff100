/**
 * Bounds of `access/`. Each has its unit in its name and its reason beside it.
 *
 * @module
 */

/**
 * Users that are written at the same time. The pool's other connections are for presence and the
 * lease.
 */
export const PROVISIONS_AT_ONCE_MAX = 2;

/**
 * Calls that wait until they may write. While the database hangs, they go on waiting after
 * `AUTHORIZATION_MS`, so their number needs a limit.
 */
export const PROVISIONS_WAITING_MAX = 5_000;

/**
 * Time from an open socket to its authorization. It is longer than an issuer may take for its key
 * set. When the database needs more than this it is down, and the client should try another node.
 */
export const AUTHORIZATION_MS = 6_000;

/**
 * Slots for sockets that the server closed and whose peers have not answered. Together with
 * `MAX_CONNECTIONS` it bounds the sockets of a node.
 */
export const CLOSING_SLOTS_MAX = 1_000;

/**
 * Client addresses whose failures, and whose new connections, are counted. Past it the address that
 * did nothing for the longest time is forgotten, because bounded memory matters more than an exact
 * count.
 */
export const ADDRESSES_MAX = 50_000;

/**
 * Failures that an address with a spent budget earns each second at least: with it, a good token
 * that was not verified before has a chance beside bad ones.
 */
export const FAILURES_PER_SECOND_MIN = 1;

/**
 * Sockets that open, and tokens that are verified, which count as one failure. With the default
 * budget, 1,600 clients of one address may connect at once with tokens that are new to the node.
 */
export const ATTEMPTS_PER_FAILURE = 16;

/**
 * Share of `MAX_NEW_CONNECTIONS_PER_SECOND` that one address may use up while others want it: with
 * half of it, an address alone cannot keep others out.
 */
export const NEW_CONNECTIONS_ADDRESS_SHARE = 0.5;

/**
 * Share of `MAX_CONNECTIONS` that may be lost sockets. Each has lost a descriptor until the process
 * ends, so past it a restart is better than a node that has no descriptors left.
 */
export const LOST_SOCKETS_SHARE = 0.5;

/**
 * Users that are known to be written with the name in their token, so that a reconnect costs no
 * write.
 */
export const PROVISIONED_USERS_MAX = 30_000;

/** Users whose groups one statement writes: 10,000 clients that connect at once are ten of them. */
export const GROUP_WRITE_USERS_MAX = 1_000;

/**
 * Users whose groups wait to be written: more than the default maximum of connections. Their number
 * needs a limit, because requests for the list have no slots.
 */
export const GROUP_WRITES_WAITING_MAX = 20_000;

/** Time for which a client waits until its groups are written: shorter than `AUTHORIZATION_MS`. */
export const GROUP_WRITE_MS = 5_000;

/** Users whose written groups are remembered, so that a reconnect costs no write. */
export const WRITTEN_GROUPS_USERS_MAX = 30_000;

/**
 * Time after which groups are written again, in case the database lost them: it was replaced by an
 * older one, or the user was deleted and came back.
 */
export const WRITTEN_GROUPS_MS = 60_000;

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
