/**
 * Failure budgets limit what the clients of one address may get wrong: bad tokens, malformed
 * handshakes, and sockets whose peer is lost.
 *
 * An address earns its budget for a minute bit by bit, and one failure a second at least: so a good
 * token has a chance beside bad ones. An attempt costs a part of a failure, which is given back where
 * the token is good. Otherwise any number could be under way before the first has failed.
 *
 * A failure makes no debt. So a spent budget, which stops tokens that are new to the node, does not
 * stop those that were verified before. Their own attempts may: they make debt, because a client with
 * a good token can lose as many sockets as it likes.
 *
 * What is refused where a budget is spent is not decided here.
 *
 * @module
 */
import { TokenBuckets } from "../base/token_buckets.ts";
import {
  ADDRESSES_MAX,
  ATTEMPTS_PER_FAILURE,
  FAILURES_PER_SECOND_MIN,
} from "./limits.ts";

const ATTEMPT_COST = 1 / ATTEMPTS_PER_FAILURE;
/** A failure costs one together with its attempt. */
const FAILURE_COST = 1 - ATTEMPT_COST;

export class FailureBudgets {
  readonly #budgets: TokenBuckets<string>;
  readonly #debtMax: number;

  /** @param now Milliseconds. */
  constructor(perMinuteMax: number, now: () => number) {
    this.#debtMax = perMinuteMax;
    const perSecond = Math.max(perMinuteMax / 60, FAILURES_PER_SECOND_MIN);
    this.#budgets = new TokenBuckets(
      ...[perMinuteMax, perSecond, ADDRESSES_MAX, now] as const,
    );
  }

  /**
   * Whether the address may get nothing more wrong.
   *
   * @param isVerified Whether it is about a token that was verified before.
   */
  isSpent(address: string, isVerified: boolean): boolean {
    return !this.#budgets.has(address, isVerified ? 1 - this.#debtMax : 1);
  }

  /** A socket is going to open, or a token to be verified. */
  payAttempt(address: string): void {
    this.#budgets.owe(address, ATTEMPT_COST);
  }

  /** The token is good. */
  refundAttempt(address: string): void {
    this.#budgets.give(address, ATTEMPT_COST);
  }

  /** Counts a failure, if something is left of the budget. */
  recordFailure(address: string): void {
    this.#budgets.drain(address, FAILURE_COST);
  }
}
