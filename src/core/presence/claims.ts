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

/** What became of the arriving users of a batch, without those that were deferred. */
export interface BatchResult {
  /** Users whose claims are held now. */
  readonly held: readonly UserId[];
  /** Ids that belong to no user. */
  readonly unknown: readonly UserId[];
  /** Users that the feed reported as offline during the write. They must be written again. */
  readonly inDoubt: readonly UserId[];
}

export class Claims {
  /** A user without an entry has no claim. */
  readonly #states = new Map<UserId, "held" | "in doubt">();
  /** Users that the feed reported as offline since the current write began. `undefined`: no write is under way. */
  #offlineDuringWrite: Set<UserId> | undefined;
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

  /** The feed reported that the user is offline. If this node has a claim, it may have lost it. */
  recordOffline(userId: UserId): void {
    if (this.#states.has(userId)) this.#states.set(userId, "in doubt");
    this.#offlineDuringWrite?.add(userId);
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
    this.#offlineDuringWrite = new Set();
    for (const userId of [...arriving, ...leaving]) this.invalidate(userId);
  }

  /**
   * The write has ended, and its result, if there is one, was applied. The batch may have been too
   * large for the time that it had, so after a failure the next one has half of the users.
   */
  endWrite(outcome: "done" | "failed"): void {
    this.#offlineDuringWrite = undefined;
    this.#batchUsersMax = outcome === "done"
      ? Math.min(2 * this.#batchUsersMax, BATCH_USERS_MAX)
      : Math.ceil(this.#batchUsersMax / 2);
  }

  /** Applies the result of a committed write. Claims of deferred users stay in doubt. */
  applyResult(
    { arriving, leaving }: Batch,
    applied: Pick<Applied, "unknown" | "deferred">,
  ): BatchResult {
    const deferred = new Set(applied.deferred);
    const unknownIds = new Set(applied.unknown);
    for (const userId of leaving) this.#states.delete(userId);
    const held: UserId[] = [];
    const unknown: UserId[] = [];
    const inDoubt: UserId[] = [];
    for (const userId of arriving) {
      if (deferred.has(userId)) continue;
      if (unknownIds.has(userId)) {
        this.#states.delete(userId);
        unknown.push(userId);
      } else if (this.#offlineDuringWrite?.has(userId)) {
        // The report may be newer than the result of the write.
        inDoubt.push(userId);
      } else {
        this.#states.set(userId, "held");
        held.push(userId);
      }
    }
    return { held, unknown, inDoubt };
  }
}
