/**
 * Bounds of `http/`. Each has its unit in its name and its reason beside it.
 *
 * @module
 */

/** A listener that ended by itself is begun again after so long: descriptors may be free by then. */
export const LISTEN_AGAIN_MS = 500;

/** Bytes of an order: room for the longest token id. */
export const ADMIN_BODY_BYTES_MAX = 2_048;

/** Ids that one `GET /users/online?ids=` may name. */
export const FILTER_IDS_MAX = 1_000;
