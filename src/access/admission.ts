/**
 * Admission decides who may open a socket, and counts those that did until they are gone.
 *
 * A socket that we closed still counts while its peer has not answered, because until then
 * it costs what an open one costs. Nothing here knows what a token says.
 *
 * @module
 */
import { ADDRESSES_MAX, REFUSED_SOCKETS_MAX } from "./limits.ts";
import type { UserId } from "../protocol/user_id.ts";
import { TokenBucket } from "../base/token_bucket.ts";

export interface Refusal {
  readonly status: 429 | 503;
  readonly code: string;
  readonly message: string;
  /** Jittered, so that those who are refused together do not come back together. */
  readonly retryAfterSeconds: number;
}

/** What an operator may set. */
export interface AdmissionLimits {
  readonly connectionsMax: number;
  readonly connectionsPerUserMax: number;
  readonly connectionsPerAddressMax: number;
  readonly newConnectionsPerSecondMax: number;
  readonly failedTokensPerMinuteMax: number;
}

/** A place for one socket. */
export interface Slot {
  /** Counts the socket against its user, once its token told whose it is. */
  assignUser(userId: UserId): "claimed" | "full";
  /**
   * We close it. While its peer has not answered it counts among those, which have places of
   * their own while there are some: a peer that never answers takes no good client's place.
   */
  moveToClosing(): void;
  /** Gives the place back. Safe to repeat. */
  release(): void;
}

const FAILURE_WINDOW_MS = 60_000;

export class Admission {
  readonly #limits: AdmissionLimits;
  readonly #now: () => number;
  readonly #random: () => number;
  readonly #socketsByAddress = new Map<string, number>();
  readonly #socketsByUser = new Map<UserId, number>();
  /** Failed tokens in the current minute, oldest minute first. */
  readonly #failures = new Map<
    string,
    { readonly since: number; count: number }
  >();
  #slotsInUse = 0;
  #refused = 0;
  /** One second's worth. */
  readonly #newcomers: TokenBucket;

  constructor(
    limits: AdmissionLimits,
    now = () => performance.now(),
    random = Math.random,
  ) {
    this.#limits = limits;
    this.#now = now;
    this.#random = random;
    const rate = limits.newConnectionsPerSecondMax;
    this.#newcomers = new TokenBucket(rate, rate, now);
  }

  /** Asks for a place, before anything is spent on the request. */
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
      const message = "this node has as many connections as it takes";
      return this.#refuse(503, "full", 5, message);
    }
    if (this.#newcomers.take() === "empty") {
      return this.#refuse(503, "busy", 1, "too many new connections at once");
    }
    return this.#admit(address);
  }

  /** Refuses an address that sent too many bad tokens, whatever it asks for. */
  throttled(address: string): Refusal | undefined {
    if (this.#failuresOf(address) < this.#limits.failedTokensPerMinuteMax) {
      return undefined;
    }
    const message = "too many bad tokens from this address";
    return this.#refuse(429, "too_many_failed_tokens", 30, message);
  }

  /** Whether there is a place for a socket that is only opened to say why it is closed. */
  get canRefuse(): boolean {
    return this.#refused < REFUSED_SOCKETS_MAX;
  }

  /** Whether a user may have one more socket. */
  hasPlaceFor(userId: UserId): boolean {
    const sockets = this.#socketsByUser.get(userId) ?? 0;
    return sockets < this.#limits.connectionsPerUserMax;
  }

  /** How many places are taken. */
  get slotsInUse(): number {
    return this.#slotsInUse;
  }

  /** How many sockets are not gone yet, also those that take no place. */
  get sockets(): number {
    return this.#slotsInUse + this.#refused;
  }

  /** A token from this address was refused. */
  failed(address: string): void {
    const failures = this.#failures.get(address);
    if (
      failures !== undefined && this.#now() - failures.since < FAILURE_WINDOW_MS
    ) {
      failures.count += 1;
      return;
    }
    this.#failures.delete(address);
    this.#failures.set(address, { since: this.#now(), count: 1 });
    const oldest = this.#failures.keys().next();
    if (this.#failures.size > ADDRESSES_MAX && !oldest.done) {
      this.#failures.delete(oldest.value);
    }
  }

  #admit(address: string): Slot {
    this.#slotsInUse += 1;
    increment(this.#socketsByAddress, address);
    let owner: UserId | undefined;
    let released = false;
    let isRefused = false;
    return {
      moveToClosing: () => {
        if (released || isRefused || !this.canRefuse) return;
        isRefused = true;
        this.#slotsInUse -= 1;
        this.#refused += 1;
      },
      assignUser: (userId) => {
        if (!this.hasPlaceFor(userId)) return "full";
        if (released) return "claimed";
        owner = userId;
        increment(this.#socketsByUser, userId);
        return "claimed";
      },
      release: () => {
        if (released) return;
        released = true;
        if (isRefused) this.#refused -= 1;
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

/** Invariant: no count is zero, so the maps are bounded by the sockets. */
function decrement<Key>(counts: Map<Key, number>, key: Key): void {
  const count = (counts.get(key) ?? 0) - 1;
  if (count > 0) counts.set(key, count);
  else counts.delete(key);
}
