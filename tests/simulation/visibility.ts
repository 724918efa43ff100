/**
 * Who sees whom, from the rows of the feed and nothing else.
 *
 * A viewer sees itself and every user with whom it shares a group, while they are online. A viewer
 * who goes offline for a moment, because its node lost the claim, is in the groups that it had. That is
 * all that this file knows. It is written from the rule and not from the core, and shares no code
 * with it: it keeps the whole past, and compares sets by looking at every pair.
 *
 * A database that takes over after a failover lacks transitions that clients got. So the past is
 * kept once for each database.
 *
 * @module
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import type { Transition } from "../../src/core/store/store.ts";
import type { UserId } from "../../src/client/protocol/user_id.ts";

export type Groups = readonly string[];

/** Users and their groups after a row. */
type Sets = ReadonlyMap<UserId, Groups>;

export class Visibility {
  readonly #feed: () => readonly Transition[];
  readonly #compareIds: (a: UserId, b: UserId) => number;
  /** Of every database, the present one last. */
  readonly #pasts: Past[] = [];

  /**
   * @param feed Every row that was ever committed to the present database, in order. Rows are only
   *   added to it; another list is the feed of another database.
   */
  constructor(
    feed: () => readonly Transition[],
    compareIds: (a: UserId, b: UserId) => number,
  ) {
    this.#feed = feed;
    this.#compareIds = compareIds;
  }

  /** What the present database says now. To be read before another one takes over, and after it. */
  get present(): Past {
    const feed = this.#feed();
    let past = this.#pasts.at(-1);
    if (past?.feed !== feed) {
      past = new Past(feed, this.#compareIds);
      this.#pasts.push(past);
    }
    past.read();
    return past;
  }

  /** Whether there was never another database. */
  get isOnly(): boolean {
    return this.#pasts.length === 1;
  }

  /**
   * Whether the viewer could have seen a user if its groups are of one moment from a `seq` on, and the
   * user's of another. A node that has not found yet what a failover lost may know one of them from
   * one database, and the other from another.
   */
  couldEverSee(viewer: UserId, userId: UserId, since: number): boolean {
    if (viewer === userId) return true;
    const seen = this.#groupsSince(userId, since);
    return this.#groupsSince(viewer, since)
      .some((groups) => seen.some((other) => doMeet(groups, other)));
  }

  /**
   * Whether the viewer could have seen these users and no others at a `seq`, in any database. With
   * more than two of them a node may know a mix for a moment: a second one took over while it
   * connected to the first.
   */
  couldSeeAll(
    viewer: UserId,
    seq: number,
    users: readonly UserId[],
    isWatched: (userId: UserId) => boolean,
  ): boolean {
    const sets = this.#groupsSince(viewer, -Infinity);
    return this.#pasts.length > 2 ||
      this.#pasts.some((past) =>
        sets.some((groups) =>
          String(past.visibleFrom(viewer, groups, seq).filter(isWatched)) ===
            String(users)
        )
      );
  }

  #groupsSince(userId: UserId, since: number): Groups[] {
    return this.#pasts.flatMap((past) => past.groupsSince(userId, since));
  }
}

/** What the rows of one database say. */
export class Past {
  readonly feed: readonly Transition[];
  readonly #compareIds: (a: UserId, b: UserId) => number;
  /** The users who are online, by the number of rows read. */
  readonly #online: Sets[] = [new Map()];
  /** Users who are or were online, in the last groups that they had. */
  readonly #viewers: Sets[] = [new Map()];

  constructor(
    feed: readonly Transition[],
    compareIds: (a: UserId, b: UserId) => number,
  ) {
    this.feed = feed;
    this.#compareIds = compareIds;
  }

  /** Takes the rows that are new. A row must continue those before it. */
  read(): void {
    for (const row of this.feed.slice(this.#online.length - 1)) {
      const online = new Map(this.#online.at(-1));
      const viewers = new Map(this.#viewers.at(-1));
      const before = online.get(row.userId);
      const title = `row ${row.seq} of user ${row.userId}`;
      deepEqual(row.groupsBefore, before, `${title}: groups before`);
      if (row.status === "offline") {
        ok(before !== undefined, `${title}: offline twice`);
        equal(row.groups, undefined, `${title}: groups of an offline user`);
        online.delete(row.userId);
      } else {
        const { groups } = row;
        ok(groups !== undefined, `${title}: no groups`);
        const isSame = before !== undefined &&
          String(before) === String(groups);
        ok(!isSame, `${title}: nothing changed`);
        const sorted = [...new Set(groups)].sort();
        deepEqual(groups, sorted, `${title}: not sorted, or not distinct`);
        online.set(row.userId, groups);
        viewers.set(row.userId, groups);
      }
      this.#online.push(online);
      this.#viewers.push(viewers);
    }
  }

  /** The number of rows up to a `seq`. */
  indexOf(seq: number): number {
    let index = this.feed.length;
    while (index > 0 && (this.feed[index - 1]?.seq ?? 0) > seq) index -= 1;
    return index;
  }

  /** The groups of a user who is online as of a `seq`. */
  groupsOf(userId: UserId, seq: number): Groups | undefined {
    return this.#online[this.indexOf(seq)]?.get(userId);
  }

  /** The groups with which a viewer looks, as of a `seq`. `undefined`: it was never online. */
  groupsOfViewer(viewer: UserId, seq: number): Groups | undefined {
    return this.#viewers[this.indexOf(seq)]?.get(viewer);
  }

  /** The first row after a `seq` with which a user is online. */
  firstOnlineAfter(userId: UserId, seq: number): Transition | undefined {
    return this.feed.slice(this.indexOf(seq))
      .find((row) => row.userId === userId && row.status === "online");
  }

  /** The users whom the viewer sees as of a `seq`, ids ascending. */
  visibleTo(viewer: UserId, seq: number): UserId[] {
    return this.visibleFrom(viewer, this.groupsOfViewer(viewer, seq), seq);
  }

  /** The users whom a viewer with these groups sees as of a `seq`, ids ascending. */
  visibleFrom(
    viewer: UserId,
    groups: Groups | undefined,
    seq: number,
  ): UserId[] {
    const online = this.#online[this.indexOf(seq)] ?? new Map();
    return [...online]
      .filter(([id, other]) =>
        groups !== undefined && (id === viewer || doMeet(groups, other))
      )
      .map(([id]) => id)
      .sort(this.#compareIds);
  }

  /** Each set of groups that a user has had since a `seq`. */
  groupsSince(userId: UserId, since: number): Groups[] {
    return this.#viewers.slice(this.indexOf(since))
      .flatMap((sets) => {
        const groups = sets.get(userId);
        return groups === undefined ? [] : [groups];
      });
  }

  /** Whether the viewer saw a user at a `seq`, or at some moment after it. */
  wasVisible(viewer: UserId, userId: UserId, since: number): boolean {
    for (let at = this.indexOf(since); at < this.#online.length; at++) {
      const mine = this.#viewers[at]?.get(viewer);
      const other = this.#online[at]?.get(userId);
      if (mine === undefined || other === undefined) continue;
      if (viewer === userId || doMeet(mine, other)) return true;
    }
    return false;
  }
}

/** Whether users with these groups see each other. */
function doMeet(one: Groups, other: Groups): boolean {
  return one.some((group) => other.includes(group));
}
