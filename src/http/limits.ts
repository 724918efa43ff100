/**
 * Bounds of `http/`. Each has its unit in its name and its reason beside it.
 *
 * @module
 */

/** Time before the server listens again after its listener ended. File descriptors may be free by then. */
export const LISTEN_AGAIN_MS = 500;

/** Characters of a refused origin in the log and in the error. Those of web pages are shorter. */
export const ORIGIN_LENGTH_SHOWN_MAX = 100;

/** Ids in one `GET /users/online?ids=`: a URL of at most about 11 KB. */
export const FILTER_IDS_MAX = 1_000;

/**
 * Time from `/readyz` that fails for lost descriptors until `/healthz` fails too: enough for a
 * balancer to send new clients to other nodes before a supervisor restarts this one.
 */
export const LOST_DESCRIPTORS_MS = 30_000;

/** Lag of the event loop at which `/healthz` fails: far more than any load causes. */
export const LOOP_STUCK_MS = 5_000;

/**
 * How long the answer that a user exists is reused. The token of a user who was deleted reads the list
 * for this time. Most clients are online and need no look-up.
 */
export const KNOWN_USER_MS = 10_000;

/**
 * How long the groups of a user who is not online are reused: a user who left a group reads its
 * list for this time.
 */
export const KNOWN_GROUPS_MS = 1_000;

/** How long the answer that a user does not exist is reused. It is short, because a user may be new. */
export const UNKNOWN_USER_MS = 2_000;

/** Users whose look-ups are remembered. Past it the oldest are looked up again. */
export const KNOWN_USERS_MAX = 30_000;

/** Users in one look-up, so that no statement gets huge. */
export const KNOWN_USERS_READ_MAX = 1_000;

/**
 * Bytes of a list that is sent as a whole. Deno's buffer for a connection takes as much, so pieces
 * would save no memory.
 */
export const LIST_WHOLE_BYTES_MAX = 262_144;

/** Bytes of the lists that are kept for sets of groups. Past it the oldest are made again. */
export const LISTS_KEPT_BYTES_MAX = 33_554_432;

/** What a list that is kept takes beside its body and the names of its groups. */
export const LIST_ENTRY_BYTES = 300;

/** Bytes of a piece of a longer list. Smaller ones cost more CPU. */
export const LIST_PIECE_BYTES = 65_536;

/** Seconds for which a budget of lists is saved: enough for many clients that connect at once. */
export const LIST_BURST_SECONDS = 32;

/** Budgets of a user that an address has, because many users may be behind it. */
export const LIST_ADDRESS_BUDGETS = 16;

/** Users whose list budgets are kept. Past it the one that read nothing for the longest time is forgotten. */
export const LIST_USERS_MAX = 50_000;

/**
 * Bytes of a request's line and headers with the engine `ws`: enough for `FILTER_IDS_MAX` ids
 * of the type uuid, a token and what proxies add. A text id may be longer.
 */
export const HEADER_BYTES_MAX = 65_536;

/**
 * Headers of a request with the engine `ws`. Browsers and proxies send at most about 40. A request
 * with more is refused: what a proxy appends, such as the client's address, must not be ignored.
 */
export const HEADERS_MAX = 100;

/** Time for the headers of a request with the engine `ws`, so that a peer that dribbles is ended. */
export const HEADERS_TIMEOUT_MS = 10_000;

/** Time for a whole request with the engine `ws`. The only bodies are small ones of administrators. */
export const REQUEST_TIMEOUT_MS = 20_000;

/** Time between two checks of these times. */
export const REQUEST_CHECK_MS = 1_000;

/** Time in which a peer reads nothing of its answer, after which the engine `ws` disconnects it. */
export const RESPONSE_STALL_MS = 20_000;

/** Time between two checks that the engine `ws` accepts connections, and the time for each. */
export const LISTENER_CHECK_MS = 5_000;
