/**
 * Bounds of `socket/`. Each has its unit in its name and its reason beside it.
 *
 * @module
 */

/** Bytes of a message from a client: room for the largest watch set that can be configured. */
export const CLIENT_MESSAGE_BYTES_MAX = 65_536;

/** What a message that cannot be understood costs of these; a client with a fault is told a few times. */
export const BAD_MESSAGE_COST = 5;

/** Pause before a client that said too much is closed: what it sent already is read meanwhile. */
export const DISMISSAL_MS = 20;

/**
 * Seconds after which a silent peer counts as gone; Deno pings it at half of that.
 * Phones sleep in shorter naps, and proxies commonly cut at 60 seconds.
 */
export const IDLE_TIMEOUT_SECONDS = 30;

/** A socket that has not opened so long after our answer never will; its place is given back. */
export const HANDSHAKE_MS = 10_000;
