/**
 * Claims are what this node knows of its own claims in the store.
 *
 * Each user's claim is either held, in doubt or absent. The difference between this and the users
 * who are connected is what the next write must contain. Nothing here awaits or writes:
 * `presence.ts` does.
 *
 * @module
 */
import type { UserId } from "../../client/protocol/user_id.ts";
import type { Applied } from "../store/store.ts";
import { BATCH_USERS_MAX } from "./limits.ts";

/**
 * - `held`: the store confirmed the claim.
 * - `in doubt`: a write is under way, or a write failed and may have been committed all the same,
 *   or the claim may have been lost. Only another write can decide it.
 * - `absent`: this node has no claim on the user.
 */
export type ClaimState = "held" | "in doubt" | "absent";

/** Where a user is, as seen from this node. */
export type Whereabouts = "connected" | "in grace" | "gone";

/** What one write must contain. */
export interface Batch {
  /** Users to claim. */
  readonly arriving: readonly UserId[];
  /** Users to release. */
  readonly leaving: readonly UserId[];
}

/** The result for the arriving users of a batch, without those who were deferred or refused. */
export interface BatchResult {
  /** Users whose claims are held now. */
  readonly held: readonly UserId[];
  /** Users for whom the write may have come too early. They must be written again. */
  readonly inDoubt: readonly UserId[];
}

export class Claims {
  /** A user without an entry has no claim. */
  readonly #states = new Map<UserId, "held" | "in doubt">();
  /** Users that must be written again since the current write began. `undefined`: no write is under way. */
  #outdatedDuringWrite: Set<UserId> | undefined;
  /** Users in the next write. */
  #batchUsersMax = BATCH_USERS_MAX;

  stateOf(userId: UserId): ClaimState {
    return this.#states.get(userId) ?? "absent";
  }

  /** Users whose claims are held or in doubt. */
  userIds(): Iterable<UserId> {
    return this.#states.keys();
  }

  /** Nothing certain is known of this claim any more. */
  invalidate(userId: UserId): void {
    this.#states.set(userId, "in doubt");
  }

  /**
   * What the last write found may be outdated: the feed reported the user as offline, or the user
   * may be in other groups. Only a write that begins from now on can decide it.
   */
  requireWrite(userId: UserId): void {
    if (this.#states.has(userId)) this.#states.set(userId, "in doubt");
    this.#outdatedDuringWrite?.add(userId);
  }

  /**
   * Takes users out of `dirty` and returns what must be written for them. A user whose claim is
   * as it should be is taken too and needs no write. At most `BATCH_USERS_MAX` are returned, fewer
   * after failed writes; the others stay in `dirty`.
   */
  takeBatch(
    dirty: Set<UserId>,
    whereabouts: (userId: UserId) => Whereabouts,
  ): Batch {
    const arriving: UserId[] = [];
    const leaving: UserId[] = [];
    for (const userId of dirty) {
      if (arriving.length + leaving.length >= this.#batchUsersMax) break;
      dirty.delete(userId);
      const state = this.stateOf(userId);
      const where = whereabouts(userId);
      if (where === "connected" && state !== "held") arriving.push(userId);
      if (where === "gone" && state !== "absent") leaving.push(userId);
    }
    return { arriving, leaving };
  }

  /** A write of this batch is about to begin. Until its result is known, its claims are in doubt. */
  beginWrite({ arriving, leaving }: Batch): void {
    this.#outdatedDuringWrite = new Set();
    for (const userId of [...arriving, ...leaving]) this.invalidate(userId);
  }

  /**
   * The write has ended, and its result, if there is one, was applied. The batch may have been too
   * large for the time that it had, so after a failure the next one has half of the users.
   */
  endWrite(outcome: "done" | "failed"): void {
    this.#outdatedDuringWrite = undefined;
    this.#batchUsersMax = outcome === "done"
      ? Math.min(2 * this.#batchUsersMax, BATCH_USERS_MAX)
      : Math.ceil(this.#batchUsersMax / 2);
  }

  /** Applies the result of a committed write. Claims for which nothing was written stay in doubt. */
  applyResult({ arriving, leaving }: Batch, applied: Applied): BatchResult {
    const undecided = new Set([...applied.deferred, ...applied.ungrouped]);
    const refused = new Set([...applied.unknown, ...applied.overgrouped]);
    for (const userId of leaving) this.#states.delete(userId);
    const held: UserId[] = [];
    const inDoubt: UserId[] = [];
    for (const userId of arriving) {
      if (undecided.has(userId)) continue;
      if (refused.has(userId)) this.#states.delete(userId);
      else if (this.#outdatedDuringWrite?.has(userId)) inDoubt.push(userId);
      else {
        this.#states.set(userId, "held");
        held.push(userId);
      }
    }
    return { held, inDoubt };
  }
}
