/**
 * Bounds of `core/fanout/`. Each has its unit in its name and its reason beside it.
 *
 * @module
 */

/** Ids watched by all connections of a node together, at about 200 bytes each. */
export const WATCHED_IDS_MAX = 1_000_000;

/** Who gets counts instead of names is told so often at most: a count is no event. */
export const COUNT_INTERVAL_MS = 1_000;

/**
 * Counts turn into names again below this share of `MAX_STATE_USERS`, so that a number
 * that moves around the limit does not cost a full state each time.
 */
export const STATE_USERS_RETURN_SHARE = 0.9;

/**
 * Unsent bytes at which a connection is passed over until its peer reads again. About
 * 1,400 messages: a reader that is merely late never notices, a dead one costs no more.
 */
export const SEND_BUFFER_BYTES_MAX = 65_536;

/**
 * Messages sent to one connection before the others have their turn. What Deno keeps of a
 * message until it is written is ten times its text, so a long row of them is dear.
 */
export const SENDS_PER_LOOK_MAX = 128;

/** How often passed-over connections are looked at again; the socket has no drain event. */
export const STALLED_RECHECK_MS = 100;

/** A peer that takes nothing off its full buffer for so long is closed with 1013. */
export const SLOW_CONSUMER_MS = 10_000;

/**
 * It has longer for what is unsent above a full buffer: of a large state nothing counts as taken
 * before all of it is, and this is what a slow mobile link takes of it.
 */
export const SLOW_CONSUMER_BYTES_PER_SECOND_MIN = 32_768;

/**
 * How long the fan-out works before accepts, pings and HTTP have their turn. What is sent waits as
 * tasks of Deno until then: half a millisecond cost a sixth less than five did.
 */
export const FANOUT_SLICE_MS = 0.5;
