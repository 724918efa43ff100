/**
 * Failure budgets limit what the clients of one address may get wrong: bad tokens, malformed
 * handshakes, and sockets whose peer is lost.
 *
 * An address earns its budget for a minute bit by bit, and one failure a second at least: so a good
 * token has a chance beside bad ones. To verify a token costs a part of a failure, which a good
 * token gets back. Otherwise any number of bad ones could be verified before the first has failed.
 *
 * What is refused where a budget is spent is not decided here.
 *
 * @module
 */
import { TokenBuckets } from "../base/token_buckets.ts";
import {
  ADDRESSES_MAX,
  FAILURES_PER_SECOND_MIN,
  VERIFICATIONS_PER_FAILURE,
} from "./limits.ts";

const VERIFICATION_COST = 1 / VERIFICATIONS_PER_FAILURE;
/** A bad token costs one together with its verification. */
const FAILURE_COST = 1 - VERIFICATION_COST;

export class FailureBudgets {
  readonly #budgets: TokenBuckets<string>;

  /** @param now Milliseconds. */
  constructor(perMinuteMax: number, now: () => number) {
    const perSecond = Math.max(perMinuteMax / 60, FAILURES_PER_SECOND_MIN);
    this.#budgets = new TokenBuckets(
      ...[perMinuteMax, perSecond, ADDRESSES_MAX, now] as const,
    );
  }

  /** Whether the address may get nothing more wrong. */
  isSpent(address: string): boolean {
    return !this.#budgets.has(address);
  }

  /** Counts a failure. A spent budget gets no debt, so that it recovers as soon as failures end. */
  recordFailure(address: string): void {
    this.#budgets.drain(address, FAILURE_COST);
  }

  /** A token is going to be verified. */
  payVerification(address: string): void {
    this.#budgets.drain(address, VERIFICATION_COST);
  }

  /** The token is good. */
  refundVerification(address: string): void {
    this.#budgets.give(address, VERIFICATION_COST);
  }
}
