/**
 * A slot is an admitted socket, counted against its node, address and user.
 *
 * It counts until the socket has ended. A socket that the server closed still counts while its peer
 * has not answered, because until then it costs as much as an open one. Which request gets a slot
 * is decided by `admission.ts`.
 *
 * @module
 */
import type { Totals } from "../base/totals.ts";
import type { UserId } from "../client/protocol/user_id.ts";
import type { FailureBudgets } from "./failure_budgets.ts";
import { CLOSING_SLOTS_MAX } from "./limits.ts";

/**
 * - `in use`: the socket opens, or is open.
 * - `closing`: the server closed the socket, and its peer has not answered.
 * - `lost`: the socket did not open in time.
 * - `released`: the socket has ended.
 */
type SlotState = "in use" | "closing" | "lost" | "released";

/** What all slots of a node share. */
export interface SlotCounts {
  readonly byState: Totals<SlotState>;
  /** Slots that are in use or closing. */
  readonly byAddress: Totals<string>;
  readonly byUser: Totals<UserId>;
  readonly connectionsPerUserMax: number;
  readonly failures: FailureBudgets;
}

export class Slot {
  /** The client's address. */
  readonly address: string;
  readonly #counts: SlotCounts;
  #state: SlotState = "in use";
  #userId: UserId | undefined;
  /** Whether the attempt was paid, and not refunded. */
  #hasPaid = true;

  constructor(counts: SlotCounts, address: string) {
    this.#counts = counts;
    this.address = address;
    counts.byState.add(this.#state, 1);
    counts.byAddress.add(address, 1);
    counts.failures.payAttempt(address);
  }

  /**
   * Counts the socket against its user, whose token is good. `"full"`: the user has as many sockets
   * as allowed.
   */
  assignUser(userId: UserId): "assigned" | "full" {
    const { byUser, connectionsPerUserMax, failures } = this.#counts;
    if (this.#hasPaid) failures.refundAttempt(this.address);
    this.#hasPaid = false;
    if (byUser.of(userId) >= connectionsPerUserMax) return "full";
    if (!this.#isHeld) return "assigned";
    this.#userId = userId;
    byUser.add(userId, 1);
    return "assigned";
  }

  /**
   * The server closes the socket. Until its peer answers it uses a closing slot, if one is left,
   * so that a peer that never answers does not take the slot of a good client.
   */
  moveToClosing(): void {
    const { byState } = this.#counts;
    const isPossible = byState.of("closing") < CLOSING_SLOTS_MAX;
    if (this.#state === "in use" && isPossible) this.#moveTo("closing");
  }

  /**
   * The socket has not opened in time. Its peer is gone, which is a failure of the address, and
   * Deno may never free its descriptor.
   */
  lose(): void {
    if (!this.#isHeld) return;
    this.#end("lost");
    this.#counts.failures.recordFailure(this.address);
  }

  /** The socket has ended. If it was lost, it is not lost after all. Safe to repeat. */
  release(): void {
    if (this.#isHeld) this.#end("released");
    else this.#moveTo("released");
  }

  get #isHeld(): boolean {
    return this.#state === "in use" || this.#state === "closing";
  }

  #end(state: "lost" | "released"): void {
    const { byAddress, byUser } = this.#counts;
    this.#moveTo(state);
    byAddress.add(this.address, -1);
    if (this.#userId !== undefined) byUser.add(this.#userId, -1);
  }

  #moveTo(state: SlotState): void {
    const { byState } = this.#counts;
    byState.add(this.#state, -1);
    this.#state = state;
    byState.add(state, 1);
  }
}
