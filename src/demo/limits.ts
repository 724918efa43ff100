/**
 * Bounds of `demo/`. Each has its unit in its name and its reason beside it.
 *
 * @module
 */

/**
 * Simulated users. They connect from the same address as the browser, so 500 of the default
 * `MAX_CONNECTIONS_PER_ADDRESS` are left for its tabs.
 */
export const CROWD_USERS_MAX = 4_500;

/** Simulated users that one request may add. They connect within a few seconds. */
export const CROWD_ADD_MAX = 500;

/** A quarter of the default `MAX_NEW_CONNECTIONS_PER_SECOND`, so that the page can still connect meanwhile. */
export const CROWD_CONNECTS_PER_SECOND_MAX = 500;

/** Bytes of the body of a request to the demo: enough for one number and its name. */
export const DEMO_BODY_BYTES_MAX = 1_024;

/** Rows of `GET /demo/since`: more users than the demo has, at about 60 bytes each. */
export const DEMO_SINCE_ROWS_MAX = 5_000;
