/**
 * A change of the roster: a user was visible in some groups, and is visible in others now.
 *
 * What it means depends on the viewer. For one that sees the user before and after it, it is
 * nothing. For another it is a sighting: the user comes online or goes offline.
 *
 * @module
 */
import { encodeStatus, type Status } from "../../client/protocol/messages.ts";
import type { UserId } from "../../client/protocol/user_id.ts";
import type { Groups } from "./groups.ts";

/** What a viewer learns of a change. */
export interface Sighting {
  readonly userId: UserId;
  readonly status: Status;
  readonly username: string;
  /** The message of version 1, encoded once for all connections. */
  readonly message: string;
}

export class Change {
  readonly userId: UserId;
  readonly username: string;
  /** Where the user was visible until this change. */
  readonly before: Groups;
  /** Where the user is visible from this change on. */
  readonly after: Groups;
  /** The roster's `seq` after this change. */
  readonly seq: number;
  /** In the ring. */
  readonly position: number;
  #online: Sighting | undefined;
  #offline: Sighting | undefined;

  constructor(
    user: { readonly userId: UserId; readonly username: string },
    before: Groups,
    after: Groups,
    seq: number,
    position: number,
  ) {
    this.userId = user.userId;
    this.username = user.username;
    this.before = before;
    this.after = after;
    this.seq = seq;
    this.position = position;
  }

  /** For a viewer that comes to see the user, or sees it no longer. */
  as(status: Status): Sighting {
    return status === "online"
      ? this.#online ??= this.#sighting(status)
      : this.#offline ??= this.#sighting(status);
  }

  #sighting(status: Status): Sighting {
    const { userId, username } = this;
    return { userId, status, username, message: encodeStatus(userId, status) };
  }
}

/**
 * What changes come to for one viewer, by user: the last sighting, or `undefined` if the user is
 * again as before the changes.
 */
export type MergedSightings = Map<UserId, Sighting | undefined>;

/** Adds the next sighting. Statuses alternate, so it undoes the one before, if there is one. */
export function mergeSighting(
  merged: MergedSightings,
  sighting: Sighting,
): void {
  const isUndone = merged.get(sighting.userId) !== undefined;
  merged.set(sighting.userId, isUndone ? undefined : sighting);
}
