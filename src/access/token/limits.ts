/**
 * Bounds of `access/token/`. Each has its unit in its name and its reason beside it.
 *
 * @module
 */

/** Bytes of a token. Real ones are below 2 KiB; larger input is refused unread. */
export const TOKEN_BYTES_MAX = 8_192;

/**
 * The latest time that a claim may name, in seconds since 1970: the end of the year 9999. Issuers use
 * far years for "never", while milliseconds by mistake are later than this since 1978.
 */
export const TOKEN_TIME_SECONDS_MAX = 253_402_300_799;

/**
 * Seconds by which a token may be issued in the future, where tokens have groups: no token that comes
 * before that time would change the user's groups. The clock of an issuer may be fast, but not by more.
 */
export const TOKEN_ISSUED_AHEAD_SECONDS_MAX = 60;

/**
 * Verified tokens in the cache, at about 300 bytes each: twice the default maximum of connections.
 */
export const VERIFIED_TOKENS_MAX = 30_000;

/**
 * Time after which a cached token is verified again, so that a key that its issuer withdrew stops
 * working.
 */
export const VERIFIED_TOKEN_MS_MAX = 600_000;

/** Bytes of an issuer's key set. Real ones have a few keys of 2 KiB. */
export const KEY_SET_BYTES_MAX = 1_048_576;

/** Time for an issuer's answer, and the age at which its key set is fetched again. */
export const KEY_SET_ANSWER_MS = 5_000;
export const KEY_SET_AGE_MS_MAX = 600_000;

/** Least time between two fetches because of unknown keys, which a client can name at will. */
export const KEY_SET_COOLDOWN_MS = 5_000;

/** Pause after a failed fetch. The last good key set is used meanwhile. */
export const KEY_SET_PAUSE_MS = 30_000;

/**
 * Pause after a failed fetch while there is no key set at all: no client can authenticate
 * meanwhile.
 */
export const KEY_SET_FIRST_PAUSE_MS = 1_000;

/**
 * Keys of a key set that are tried for a token that does not name its key. Real sets have two or
 * three; each costs a signature check.
 */
export const KEYS_TRIED_MAX = 8;
