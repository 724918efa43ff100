/**
 * Bounds of `socket/`. Each has its unit in its name and its reason beside it.
 *
 * @module
 */

/** Bytes of a message from a client: enough for the largest watch set that can be configured. */
export const CLIENT_MESSAGE_BYTES_MAX = 65_536;

/**
 * Messages that an invalid message counts as. Each one is answered with an error, so a faulty
 * client gets a few errors and is then disconnected.
 */
export const BAD_MESSAGE_COST = 5;

/**
 * Pause before the close frame to a client that sent too much. Deno loses the close frame while it
 * has unread frames of the peer, so it reads what has already arrived first.
 */
export const CLOSE_DELAY_MS = 20;

/**
 * Time without an answer after which a peer is disconnected; Deno pings it after half of it.
 * Most phones sleep for less, and proxies commonly close idle connections after 60 seconds.
 */
export const IDLE_TIMEOUT_SECONDS = 30;

/**
 * Time from the answered upgrade to an open socket. A socket that takes longer never opens, and its
 * slot is freed.
 */
export const HANDSHAKE_MS = 10_000;
