/**
 * Admission decides whether a request gets a slot, and whether the token of an address may be
 * verified. It refuses what is past the configured limits.
 *
 * `slot.ts` counts the sockets, `failure_budgets.ts` what an address got wrong. Admission does not
 * know what is in a token.
 *
 * @module
 */
import { TokenBucket } from "../base/token_bucket.ts";
import { TokenBuckets } from "../base/token_buckets.ts";
import { Totals } from "../base/totals.ts";
import type { UserId } from "../client/protocol/user_id.ts";
import { FailureBudgets } from "./failure_budgets.ts";
import {
  ADDRESSES_MAX,
  CLOSING_SLOTS_MAX,
  LOST_SOCKETS_SHARE,
  NEW_CONNECTIONS_ADDRESS_SHARE,
} from "./limits.ts";
import { Slot, type SlotCounts } from "./slot.ts";

/** An error over HTTP that says when to retry. */
export interface Refusal {
  readonly status: 429 | 503;
  readonly code: string;
  readonly message: string;
  /** Jittered, so that clients that are refused together do not retry together. */
  readonly retryAfterSeconds: number;
}

/** The limits that an operator may set. */
export interface AdmissionLimits {
  readonly connectionsMax: number;
  readonly connectionsPerUserMax: number;
  readonly connectionsPerAddressMax: number;
  readonly newConnectionsPerSecondMax: number;
  readonly failedTokensPerMinuteMax: number;
}

export class Admission {
  /** Whether newcomers are refused because an administrator said so. Sockets that are open stay. */
  isCordoned = false;
  readonly #limits: AdmissionLimits;
  readonly #random: () => number;
  readonly #failures: FailureBudgets;
  readonly #slots: SlotCounts;
  /** A burst is as large as one second's rate. */
  readonly #newConnections: TokenBucket;
  readonly #newConnectionsByAddress: TokenBuckets<string>;

  /** @param now Milliseconds. */
  constructor(
    limits: AdmissionLimits,
    now = () => performance.now(),
    random = Math.random,
  ) {
    const { newConnectionsPerSecondMax: rate, connectionsPerUserMax } = limits;
    const share = rate * NEW_CONNECTIONS_ADDRESS_SHARE;
    this.#limits = limits;
    this.#random = random;
    this.#failures = new FailureBudgets(limits.failedTokensPerMinuteMax, now);
    this.#slots = {
      ...{ byState: new Totals(), byAddress: new Totals() },
      byUser: new Totals(),
      ...{ connectionsPerUserMax, failures: this.#failures },
    };
    this.#newConnections = new TokenBucket(rate, rate, now);
    this.#newConnectionsByAddress = new TokenBuckets(
      ...[Math.max(share, 1), share, ADDRESSES_MAX, now] as const,
    );
  }

  /**
   * Takes a slot. It is called before anything is spent on the request.
   *
   * @param isVerified Whether the request's token was verified before: then it is admitted also
   *   where others of its address sent too many bad ones. Asked only there.
   */
  acquire(address: string, isVerified: () => boolean): Slot | Refusal {
    const { connectionsPerAddressMax } = this.#limits;
    const throttled = this.throttled(address, isVerified);
    if (throttled !== undefined) return throttled;
    if (this.isCordoned) {
      const message = "this node is cordoned, reconnect";
      return this.#refuse(503, "cordoned", 1, message);
    }
    if (this.#slots.byAddress.of(address) >= connectionsPerAddressMax) {
      const message = "too many connections from this address";
      return this.#refuse(429, "too_many_connections", 10, message);
    }
    if (this.isFull) {
      const message = "this node has reached its limit of connections";
      return this.#refuse(503, "full", 5, message);
    }
    const busy = this.#takeNewConnection(address);
    return busy ?? new Slot(this.#slots, address);
  }

  /**
   * The refusal for an address that got too much wrong.
   *
   * @param isVerified Whether it is about a token that was verified before.
   */
  throttled(
    address: string,
    isVerified = () => false,
  ): Refusal | undefined {
    if (!this.#failures.isSpent(address, false)) return undefined;
    if (isVerified() && !this.#failures.isSpent(address, true)) {
      return undefined;
    }
    const message = "too many bad tokens or handshakes from this address";
    return this.#refuse(429, "too_many_failed_tokens", 10, message);
  }

  /** Counts a bad token or a malformed handshake against its address. */
  recordFailure(address: string): void {
    this.#failures.recordFailure(address);
  }

  /** Lets a token be verified that has no slot, or refuses it. */
  payVerification(address: string): Refusal | undefined {
    const throttled = this.throttled(address);
    if (throttled === undefined) this.#failures.payAttempt(address);
    return throttled;
  }

  /** The token is good. */
  refundVerification(address: string): void {
    this.#failures.refundAttempt(address);
  }

  /** Whether a socket that the server closes would get a closing slot. */
  get hasClosingSlot(): boolean {
    return this.#slots.byState.of("closing") < CLOSING_SLOTS_MAX;
  }

  /** Whether a user may have one more socket. */
  hasSlotFor(userId: UserId): boolean {
    return this.#slots.byUser.of(userId) < this.#limits.connectionsPerUserMax;
  }

  /** Slots in use, without closing slots. */
  get slotsInUse(): number {
    return this.#slots.byState.of("in use");
  }

  get isFull(): boolean {
    return this.slotsInUse >= this.#limits.connectionsMax;
  }

  /** Sockets that have not ended, also those in closing slots. */
  get sockets(): number {
    return this.slotsInUse + this.#slots.byState.of("closing");
  }

  /** Sockets that did not open and have not ended. Each has probably lost a descriptor. */
  get socketsLost(): number {
    return this.#slots.byState.of("lost");
  }

  get hasLostTooMany(): boolean {
    const { connectionsMax } = this.#limits;
    return this.socketsLost >= Math.max(1, connectionsMax * LOST_SOCKETS_SHARE);
  }

  /**
   * An address beyond its share gets what is left above the share of the others, so that the
   * clients of a node behind one address have the whole budget.
   */
  #takeNewConnection(address: string): Refusal | undefined {
    const rate = this.#limits.newConnectionsPerSecondMax;
    const reserve = rate * (1 - NEW_CONNECTIONS_ADDRESS_SHARE);
    if (!this.#newConnections.has()) {
      const message = "too many new connections in this second";
      return this.#refuse(503, "busy", 1, message);
    }
    if (
      this.#newConnectionsByAddress.take(address) === "empty" &&
      !this.#newConnections.has(reserve + 1)
    ) {
      const message = "too many new connections from this address";
      return this.#refuse(429, "too_many_handshakes", 1, message);
    }
    this.#newConnections.take();
    return undefined;
  }

  /** @param seconds Least time to the retry. Jitter makes it up to twice as long. */
  #refuse(
    status: 429 | 503,
    code: string,
    seconds: number,
    message: string,
  ): Refusal {
    return {
      ...{ status, code, message },
      retryAfterSeconds: Math.ceil(seconds * (1 + this.#random())),
    };
  }
}
