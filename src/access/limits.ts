/**
 * Bounds of `access/`. Each has its unit in its name and its reason beside it.
 *
 * @module
 */

/** Users that are made at a time; presence and the lease have the other connections to themselves. */
export const PROVISIONS_AT_ONCE_MAX = 2;

/** Callers that wait for that. Who is given up after `AUTHORIZATION_MS` waits on while the database hangs. */
export const PROVISIONS_WAITING_MAX = 5_000;

/**
 * Time from an open socket to the decision who comes in. Longer than an issuer may take for its
 * keys; a database that needs more is away, and the client is better off on another node.
 */
export const AUTHORIZATION_MS = 6_000;

/** Sockets that were opened only to say that their token is bad, and whose peers did not answer yet. */
export const REFUSED_SOCKETS_MAX = 1_000;

/** Entries per table of client addresses. Past it the oldest go: memory before precision. */
export const ADDRESSES_MAX = 50_000;

/** Users that are known to be provisioned as their tokens say, so that a return costs no write. */
export const PROVISIONED_USERS_MAX = 30_000;
