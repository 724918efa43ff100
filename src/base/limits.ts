/**
 * Bounds that several folders share. Each has its unit in its name and its reason beside it.
 *
 * @module
 */

/** Messages that a client may send in one burst, and in each second after it. */
export const CLIENT_MESSAGES_MAX = 20;
export const CLIENT_MESSAGES_PER_SECOND_MAX = 2;

/** Characters of a username that are shown. Longer names are cut, so that they cannot make messages large. */
export const USERNAME_LENGTH_MAX = 128;

/**
 * Transitions kept in memory for connections that are behind, about 10 MB. This is four times the
 * default maximum of connections, so that no healthy client misses changes when all of them
 * reconnect at once.
 */
export const RING_TRANSITIONS_MAX = 65_536;

/** Backoff of retries: it doubles from the first to the last. Jitter takes away up to half of it. */
export const RETRY_FIRST_MS = 50;
export const RETRY_LAST_MS = 2_000;

/**
 * Time in which a notification connection must answer a heartbeat, and deliver its first
 * notification. A connection that does not is replaced.
 */
export const NOTIFICATION_ANSWER_MS = 5_000;

/**
 * How long the fan-out, or another walk over all connections, works before accepts, pings and HTTP
 * requests are served. Until then each message that was sent waits as a task of Deno, so short
 * slices also cost less: half a millisecond takes a sixth less CPU than five milliseconds.
 */
export const SLICE_MS = 0.5;

/** Pause before a connection with unsent bytes is visited again: a socket has no drain event. */
export const STALLED_RECHECK_MS = 100;

/**
 * How many times the least pause the pause after a pass may be. A pass that took longer than the pause
 * is followed by one as long as itself, so that under load fewer passes deliver more each. With more,
 * clients wait longer, and little else is saved.
 */
export const PAUSE_FACTOR_MAX = 5;

/** Characters of a token's id (`jti`). Revocations name it and nodes keep it in memory. */
export const TOKEN_ID_LENGTH_MAX = 256;

/** Characters of a group's id. Each node keeps the ids of all groups whose users are online. */
export const GROUP_ID_LENGTH_MAX = 128;

/** Accepted difference between the clock of the token's issuer and ours. */
export const TOKEN_CLOCK_TOLERANCE_SECONDS = 5;

/** Log lines a minute for each event that clients can cause. Further lines are only counted. */
export const LOG_LINES_PER_MINUTE_MAX = 60;

/** Characters of a client's text that an error shows: enough to find it, in one line. */
export const EXCERPT_LENGTH_MAX = 40;
