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

/**
 * Fragments of a message with the engine `ws`. Each one that is kept takes some hundred bytes, and
 * no client of ours sends any.
 */
export const CLIENT_FRAGMENTS_MAX = 64;

/**
 * Pieces in which a frame may arrive with the engine `ws`: the reads from its connection. TCP
 * segments have 536 bytes at least on all common paths, so the largest message has 123 of them. A
 * piece that is kept takes some hundred bytes.
 */
export const CLIENT_PIECES_MAX = 512;

/** Time for the peer to answer a close with the engine `ws`, before its socket is terminated. */
export const CLOSE_ANSWER_MS = 5_000;

/**
 * Control frames, pings and pongs, that a peer may send at once with the engine `ws`, and in each
 * second after that. A client needs one each few seconds.
 */
export const CONTROL_FRAMES_MAX = 20;
export const CONTROL_FRAMES_PER_SECOND_MAX = 5;

/**
 * Frames that a peer may send after our close with the engine `ws`, before its socket is
 * terminated: what was on its way.
 */
export const FRAMES_AFTER_CLOSE_MAX = 100;

/** Time between two checks for silent peers with the engine `ws`. A check is a walk over all sockets, in slices. */
export const PEER_CHECK_MS = 1_000;

/**
 * Bytes of the frames that the engine `ws` keeps for texts that are sent to many sockets. A longer
 * text is kept alone, because it is the one that costs most to encode again.
 */
export const FRAMES_KEPT_BYTES_MAX = 4_194_304;
