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
 * Client addresses whose failed tokens are counted. Past it the oldest count is deleted, because
 * bounded memory matters more than an exact count.
 */
export const ADDRESSES_MAX = 50_000;

/**
 * Users that are known to be written with the name in their token, so that a reconnect costs no
 * write.
 */
export const PROVISIONED_USERS_MAX = 30_000;
