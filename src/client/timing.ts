/**
 * Every time of the client library, and the reason for it.
 *
 * @module
 */

/** Milliseconds, numbers of tries, and the source of jitter. Tests set their own. */
export interface Timing {
  /**
   * The longest delay before the first retry. It doubles with each failure in a row. The delay
   * is a random part of it.
   */
  readonly backoffFirstMs: number;
  /** The longest delay before any retry. */
  readonly backoffMaxMs: number;
  /** A connection that was healthy for this long resets the backoff when it ends. */
  readonly stableMs: number;
  /** How long a socket may take to open. */
  readonly connectMs: number;
  /**
   * How long the token function may take. It is long, because a second call beside a slow first
   * one makes some issuers revoke the tokens of both.
   */
  readonly tokenMs: number;
  /**
   * The delay before a token that could not be refreshed is refreshed again. The server warns a
   * minute ahead, and counts the tokens that it refuses.
   */
  readonly refreshRetryMs: number;
  /**
   * How many tokens in a row the server may refuse as expired or early. With the backoff between
   * them this is about a minute, more than clocks commonly differ.
   */
  readonly refusedTokensMax: number;
  /** The server sends a message at least every 25 s. After this silence the client asks for one. */
  readonly quietMs: number;
  /**
   * After this silence, and no answer, the connection is broken. It is long, because a large
   * snapshot is delivered when its last byte has arrived.
   */
  readonly silenceMs: number;
  /** The time between two looks at the silence, and how long the answer to a ping may take. */
  readonly checkMs: number;
  /**
   * A timer that fires this late waits once more before it acts. The page was blocked or the machine
   * slept, and messages that arrived meanwhile may be handled after the timer.
   */
  readonly lateMs: number;
  /** A number from 0 to 1. */
  readonly random: () => number;
}

export const TIMING: Timing = {
  backoffFirstMs: 1_000,
  backoffMaxMs: 30_000,
  stableMs: 10_000,
  connectMs: 15_000,
  tokenMs: 120_000,
  refreshRetryMs: 20_000,
  refusedTokensMax: 8,
  quietMs: 30_000,
  silenceMs: 70_000,
  checkMs: 5_000,
  lateMs: 1_000,
  random: Math.random,
};
