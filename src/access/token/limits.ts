/**
 * Bounds of `access/token/`. Each has its unit in its name and its reason beside it.
 *
 * @module
 */

/** How long a good token is remembered at most: a key that its issuer withdrew ends with it. */
export const VERIFIED_TOKEN_MS_MAX = 600_000;

/** Bytes of an issuer's key set. Real ones have a few keys of 2 KiB. */
export const KEY_SET_BYTES_MAX = 1_048_576;

/** Pause after a fault while there is no key set at all: nobody can come in meanwhile. */
export const KEY_SET_FIRST_PAUSE_MS = 1_000;

/** Bytes of a token. Real ones are below 2 KiB; larger input is refused unread. */
export const TOKEN_BYTES_MAX = 8_192;

/** Good tokens that are remembered, at about 300 bytes each: twice the sockets of a default node. */
export const VERIFIED_TOKENS_MAX = 30_000;

/** The issuer's key set: time for an answer, pauses after an unknown key and after a fault, and age. */
export const KEY_SET_ANSWER_MS = 5_000;
export const KEY_SET_COOLDOWN_MS = 5_000;
export const KEY_SET_PAUSE_MS = 30_000;
export const KEY_SET_AGE_MS_MAX = 600_000;
