/**
 * Admission counts sockets and failed tokens, and refuses a new socket past the configured limits.
 *
 * A socket counts until it has ended. One that the server closed still counts while its peer has
 * not answered, because until then it costs as much as an open one. Admission does not know what
 * is in a token.
 *
 * @module
 */
import { deleteOldest } from "../base/delete_oldest.ts";
import { TokenBucket } from "../base/token_bucket.ts";
import type { UserId } from "../protocol/user_id.ts";
import { ADDRESSES_MAX, CLOSING_SLOTS_MAX } from "./limits.ts";

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

/** An admitted socket. */
export interface Slot {
  /** Counts the socket against its user. `"full"`: the user has as many sockets as allowed. */
  assignUser(userId: UserId): "assigned" | "full";
  /**
   * The server closes the socket. Until its peer answers it uses a closing slot, if one is left,
   * so that a peer that never answers does not take the slot of a good client.
   */
  moveToClosing(): void;
  /** Frees the slot when the socket has ended. Safe to repeat. */
  release(): void;
}

const FAILURE_WINDOW_MS = 60_000;

export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #now: () => number;
  readonly #random: () => number;
  readonly #socketsByAddress = new Map<string, number>();
  readonly #socketsByUser = new Map<UserId, number>();
  /**
   * Failed tokens by address, within the minute that began with the first of them. Oldest first.
   */
  readonly #failures = new Map<
    string,
    { readonly since: number; count: number }
  >();
  /** Invariant: a socket is counted in exactly one of these two. */
  #slotsInUse = 0;
  #closingSlotsInUse = 0;
  /** A burst is as large as one second's rate. */
  readonly #newConnections: TokenBucket;

  /** @param now Milliseconds. */
  constructor(
    limits: AdmissionLimits,
    now = () => performance.now(),
    random = Math.random,
  ) {
    this.#limits = limits;
    this.#now = now;
    this.#random = random;
    const rate = limits.newConnectionsPerSecondMax;
    this.#newConnections = new TokenBucket(rate, rate, now);
  }

  /** Takes a slot. It is called before anything is spent on the request. */
  acquire(address: string): Slot | Refusal {
    const { connectionsMax, connectionsPerAddressMax } = this.#limits;
    const throttled = this.throttled(address);
    if (throttled !== undefined) return throttled;
    if (
      (this.#socketsByAddress.get(address) ?? 0) >= connectionsPerAddressMax
    ) {
      const message = "too many connections from this address";
      return this.#refuse(429, "too_many_connections", 10, message);
    }
    if (this.#slotsInUse >= connectionsMax) {
      const message = "this node has reached its limit of connections";
      return this.#refuse(503, "full", 5, message);
    }
    if (this.#newConnections.take() === "empty") {
      const message = "too many new connections in this second";
      return this.#refuse(503, "busy", 1, message);
    }
    return this.#newSlot(address);
  }

  /** The refusal for an address that sent too many bad tokens, whatever it requests now. */
  throttled(address: string): Refusal | undefined {
    if (this.#failuresOf(address) < this.#limits.failedTokensPerMinuteMax) {
      return undefined;
    }
    const message = "too many bad tokens from this address";
    return this.#refuse(429, "too_many_failed_tokens", 30, message);
  }

  /** Whether a socket that the server closes would get a closing slot. */
  get hasClosingSlot(): boolean {
    return this.#closingSlotsInUse < CLOSING_SLOTS_MAX;
  }

  /** Whether a user may have one more socket. */
  hasSlotFor(userId: UserId): boolean {
    const sockets = this.#socketsByUser.get(userId) ?? 0;
    return sockets < this.#limits.connectionsPerUserMax;
  }

  /** Slots in use, without closing slots. */
  get slotsInUse(): number {
    return this.#slotsInUse;
  }

  /** Sockets that have not ended, also those in closing slots. */
  get sockets(): number {
    return this.#slotsInUse + this.#closingSlotsInUse;
  }

  /** Counts a bad token against its address. */
  recordFailedToken(address: string): void {
    const failures = this.#failures.get(address);
    if (
      failures !== undefined && this.#now() - failures.since < FAILURE_WINDOW_MS
    ) {
      failures.count += 1;
      return;
    }
    this.#failures.delete(address);
    this.#failures.set(address, { since: this.#now(), count: 1 });
    deleteOldest(this.#failures, ADDRESSES_MAX);
  }

  #newSlot(address: string): Slot {
    this.#slotsInUse += 1;
    increment(this.#socketsByAddress, address);
    let owner: UserId | undefined;
    let isReleased = false;
    let isClosing = false;
    return {
      moveToClosing: () => {
        if (isReleased || isClosing || !this.hasClosingSlot) return;
        isClosing = true;
        this.#slotsInUse -= 1;
        this.#closingSlotsInUse += 1;
      },
      assignUser: (userId) => {
        if (!this.hasSlotFor(userId)) return "full";
        if (isReleased) return "assigned";
        owner = userId;
        increment(this.#socketsByUser, userId);
        return "assigned";
      },
      release: () => {
        if (isReleased) return;
        isReleased = true;
        if (isClosing) this.#closingSlotsInUse -= 1;
        else this.#slotsInUse -= 1;
        decrement(this.#socketsByAddress, address);
        if (owner !== undefined) decrement(this.#socketsByUser, owner);
      },
    };
  }

  #failuresOf(address: string): number {
    const failures = this.#failures.get(address);
    if (
      failures === undefined ||
      this.#now() - failures.since >= FAILURE_WINDOW_MS
    ) return 0;
    return failures.count;
  }

  /** @param seconds Least time to the retry. Jitter makes it up to twice as long. */
  #refuse(
    status: 429 | 503,
    code: string,
    seconds: number,
    message: string,
  ): Refusal {
    return {
      status,
      code,
      message,
      retryAfterSeconds: Math.ceil(seconds * (1 + this.#random())),
    };
  }
}

function increment<Key>(counts: Map<Key, number>, key: Key): void {
  counts.set(key, (counts.get(key) ?? 0) + 1);
}

/** Invariant: no count is zero, so a map has at most one entry for each socket. */
function decrement<Key>(counts: Map<Key, number>, key: Key): void {
  const count = (counts.get(key) ?? 0) - 1;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
}
