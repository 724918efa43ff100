/**
 * Bounds that several folders share. Each has its unit in its name and its reason beside it.
 *
 * @module
 */

/** Messages that a client may send at once, and how many more each second. */
export const CLIENT_MESSAGES_MAX = 20;
export const CLIENT_MESSAGES_PER_SECOND_MAX = 2;

/** Characters of a username. The rest is not shown, so that names bound no message. */
export const USERNAME_LENGTH_MAX = 128;

/** How often the event loop is probed, how many probes are kept, and what counts as stuck. */
export const LOOP_PROBE_MS = 500;
export const LOOP_LAG_WINDOWS = 20;
export const LOOP_STUCK_MS = 5_000;

/**
 * Transitions kept in memory for connections that are behind, about 10 MB. Four times the
 * default connections of a node, so a storm of all of them does not outrun a healthy reader.
 */
export const RING_TRANSITIONS_MAX = 65_536;

/** Retries wait between half of and the whole of a doubling time, from the first to the last. */
export const RETRY_FIRST_MS = 50;
export const RETRY_LAST_MS = 2_000;

/** A listening connection that does not answer its heartbeat in this time is given up. */
export const LISTENER_ANSWER_MS = 5_000;

/** Characters of a token's id (`jti`), which orders name and nodes keep. */
export const TOKEN_ID_LENGTH_MAX = 256;

/** Clock difference that is forgiven between the token's issuer and us. */
export const TOKEN_CLOCK_TOLERANCE_SECONDS = 5;

/** Lines in the log of each event that clients can cause; the rest is counted. */
export const LOG_LINES_PER_MINUTE_MAX = 60;
