/**
 * Bounds of `demo/`. Each has its unit in its name and its reason beside it.
 *
 * @module
 */

/**
 * Simulated users of the demo. They share an address with the tabs that look at them, and leave
 * 500 of the default `MAX_CONNECTIONS_PER_ADDRESS` to these.
 */
export const CROWD_USERS_MAX = 4_500;

/** Simulated users that one request may add, so that a slip of the hand is soon over. */
export const CROWD_ADD_MAX = 500;

/** A quarter of the default `MAX_NEW_CONNECTIONS_PER_SECOND`: the page stays quick while a crowd comes. */
export const CROWD_CONNECTS_PER_SECOND_MAX = 500;

/** Bytes of a request to the demo: room for a number with a name. */
export const DEMO_BODY_BYTES_MAX = 1_024;

/** Rows of `GET /demo/since`: all that the page may have to show, at about 60 bytes each. */
export const DEMO_SINCE_ROWS_MAX = 5_000;
