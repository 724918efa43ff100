/**
 * A view is what a viewer with a certain set of groups sees of the roster: users and changes.
 *
 * It holds nothing of its own. Viewers with the same groups share a view.
 *
 * Costs: a view of one group reads what the group has. A view of several merges them, so reading
 * all users costs their number in each group, and reading changes costs those of each group.
 *
 * @module
 */
import type { OnlineUserInfo } from "../../client/protocol/messages.ts";
import type { UserId } from "../../client/protocol/user_id.ts";
import type { Change, Sighting } from "./change.ts";
import type { Group } from "./group.ts";
import type { Groups } from "./groups.ts";

/** What a view reads of the roster. */
export interface Viewed {
  /** The users who are online. */
  readonly users: ReadonlyMap<
    UserId,
    { readonly username: string; readonly groups: Groups }
  >;
  readonly compareIds: (a: UserId, b: UserId) => number;
}

export class View {
  readonly groups: Groups;
  readonly #viewed: Viewed;
  readonly #names: ReadonlySet<string>;
  readonly #groups: readonly Group[];
  readonly #version: number;
  #counted = { version: -1, size: 0 };
  /** The one group of most views: it is read directly. */
  readonly #only: Group | undefined;

  /**
   * @param found The groups of the set that the roster has.
   * @param version The least version.
   */
  constructor(
    groups: Groups,
    viewed: Viewed,
    found: readonly Group[],
    version: number,
  ) {
    this.groups = groups;
    this.#version = version;
    this.#viewed = viewed;
    this.#names = new Set(groups.names);
    this.#groups = found;
    this.#only = found.length === 1 ? found[0] : undefined;
  }

  /** Differs whenever what it shows differs. */
  get version(): number {
    let newest = this.#version;
    for (const { version } of this.#groups) {
      if (version > newest) newest = version;
    }
    return newest;
  }

  /** How many users it shows. Those of several groups are counted once for each version. */
  get size(): number {
    if (this.#only !== undefined) return this.#only.members.size;
    const { version } = this;
    if (version !== this.#counted.version) {
      this.#counted = { version, size: this.ids().size };
    }
    return this.#counted.size;
  }

  /** Whether it shows more users than that. Counts them only if the sizes of the groups leave it open. */
  isLargerThan(limit: number): boolean {
    let sum = 0;
    for (const { members: { size } } of this.#groups) {
      if (size > limit) return true;
      sum += size;
    }
    return sum > limit && this.size > limit;
  }

  /** Whether it shows a user who is visible in these groups. */
  sees({ names }: Groups): boolean {
    for (const name of names) if (this.#names.has(name)) return true;
    return false;
  }

  has(userId: UserId): boolean {
    const user = this.#viewed.users.get(userId);
    return user !== undefined && this.sees(user.groups);
  }

  /** The ids of the users, in any order. */
  ids(): ReadonlySet<UserId> {
    if (this.#only !== undefined) return this.#only.members;
    const ids = new Set<UserId>();
    for (const { members } of this.#groups) {
      for (const id of members) ids.add(id);
    }
    return ids;
  }

  /**
   * The users, ids ascending.
   *
   * @param ids Only these. Default: all.
   */
  users(ids?: ReadonlySet<UserId>): OnlineUserInfo[] {
    const { users, compareIds } = this.#viewed;
    const found: OnlineUserInfo[] = [];
    for (const id of ids ?? this.ids()) {
      const user = users.get(id);
      if (user === undefined) continue;
      if (ids !== undefined && !this.sees(user.groups)) continue;
      found.push({ id, username: user.username });
    }
    return found.sort((a, b) => compareIds(a.id, b.id));
  }

  /** What a change is to a viewer. `undefined`: nothing. */
  sightingOf(change: Change): Sighting | undefined {
    const isSeen = this.sees(change.after);
    if (this.sees(change.before) === isSeen) return undefined;
    return change.as(isSeen ? "online" : "offline");
  }

  /** The position in the ring after the newest change that may concern it. */
  get end(): number {
    let newest = 0;
    for (const { end } of this.#groups) if (end > newest) newest = end;
    return newest;
  }

  /** Whether the ring still has every change that concerns it, from a position on. */
  reachesBackTo(position: number): boolean {
    for (const { forgottenEnd } of this.#groups) {
      if (forgottenEnd > position) return false;
    }
    return true;
  }

  /** The changes that may concern it from a position on, oldest first, at most `limit`. */
  changesFrom(position: number, limit = Infinity): Change[] {
    if (this.#only !== undefined) return this.#only.from(position, limit);
    const found = new Set<Change>();
    for (const group of this.#groups) {
      if (group.end <= position) continue;
      for (const change of group.from(position, limit)) found.add(change);
    }
    return [...found].sort((a, b) => a.position - b.position).slice(0, limit);
  }
}
