/**
 * Bounds of `core/fanout/`. Each has its unit in its name and its reason beside it.
 *
 * @module
 */

/** Ids watched by all connections of a node together, at about 200 bytes each. */
export const WATCHED_IDS_MAX = 1_000_000;

/**
 * Changes that a client which resumes with a watch set may lack, for each id that it watches. With
 * more it gets a snapshot: an id of a snapshot takes 0.7 microseconds, a change that is walked over
 * 0.03.
 */
export const RESUME_CHANGES_PER_ID_MAX = 25;

/**
 * Ids watched by all connections of a user to a node: a twentieth of the node's, and ten of the
 * largest watch sets.
 */
export const WATCHED_IDS_PER_USER_MAX = 50_000;

/**
 * Bytes of snapshots that a user gets by `watch`, at once and each second in the long run. A watch
 * of a few bytes asks for up to megabytes. Past it the snapshot comes later, by at most 32 s: less
 * than the client library waits for a sign of life.
 */
export const WATCH_BURST_BYTES = 8_388_608;
export const WATCH_BYTES_PER_SECOND_MAX = 262_144;

/** Users whose bytes are counted. Past it the one that watched nothing for the longest time is forgotten. */
export const WATCH_USERS_MAX = 50_000;

/** Least time between two `presence_count` messages, because the number changes all the time. */
export const COUNT_INTERVAL_MS = 1_000;

/**
 * Share of `MAX_STATE_USERS` below which a snapshot replaces the counts. It is less than 1, so
 * that a number of users that moves around the limit does not cost a snapshot each time.
 */
export const STATE_USERS_RETURN_SHARE = 0.9;

/**
 * Unsent bytes of a connection at which nothing more is sent until its peer reads. About 1,400
 * messages: a peer that is only late never reaches it, and one that does not read costs no more.
 */
export const SEND_BUFFER_BYTES_MAX = 65_536;

/**
 * Messages sent to one connection in one visit. Until a message is written, Deno holds ten times
 * its size, so a long series of messages to one connection costs much memory.
 */
export const SENDS_PER_VISIT_MAX = 128;

/**
 * Messages that wait on a node for version 1 connections whose users came into other groups, at 8 bytes
 * each. It also bounds the time that such a change takes. Past it a connection is closed, as one for
 * which the ring does not reach back.
 */
export const QUEUED_MESSAGES_MAX = 1_000_000;

/**
 * Groups that a node knows: those of every user who is online, at about 500 bytes each. Past it the
 * node takes no newcomers.
 */
export const GROUPS_MAX = 1_000_000;

/** A peer that reads nothing from a full buffer for this time is closed with 1013. */
export const SLOW_CONSUMER_MS = 10_000;

/**
 * Bytes a second that a peer must read at least: unsent bytes above a full buffer extend
 * `SLOW_CONSUMER_MS` at this rate. The socket counts all bytes of a large snapshot as unsent until
 * the last one has left. A slow mobile link reads this fast.
 */
export const SLOW_CONSUMER_BYTES_PER_SECOND_MIN = 32_768;

/**
 * Least time between two passes of version 1. A lone change is sent at once. In a storm the changes
 * of this time are sent together, which the socket engine `ws` does in one write.
 */
export const BROADCAST_INTERVAL_MS = 2;
