/**
 * The roster is this node's copy of who is online in the whole cluster, as of one `seq`, and in
 * which groups.
 *
 * It decides nothing: it applies the transitions that the store decided. Every change of it
 * (`change.ts`) enters the ring (`ring.ts`) and the groups that it concerns (`group.ts`), so that a
 * connection that is behind can catch up. A viewer reads it through the view of its own groups
 * (`view.ts`); without groups there is one view, `everybody`. It does not know where transitions
 * come from, nor which connections get messages.
 *
 * It starts from a snapshot (`load`) and applies one transition after another (`advance`). If the
 * feed does not continue it, a new snapshot replaces it (`replace`), under a new epoch. In the
 * ring the changes of each user always alternate between online and offline, whatever happens to
 * the feed.
 *
 * A transition costs one step for each group that the user comes into or leaves.
 *
 * @module
 */
import { cutText } from "../../base/cut_text.ts";
import { deleteOldest } from "../../base/delete_oldest.ts";
import {
  RING_TRANSITIONS_MAX,
  USERNAME_LENGTH_MAX,
} from "../../base/limits.ts";
import type { OnlineUserInfo } from "../../client/protocol/messages.ts";
import { INTEGER_IDS, type UserId } from "../../client/protocol/user_id.ts";
import { Change } from "./change.ts";
import { Group } from "./group.ts";
import {
  difference,
  EVERYBODY,
  type Groups,
  groupsFor,
  intersection,
  NOBODY,
} from "./groups.ts";
import { Ring } from "./ring.ts";
import type { Snapshot, Transition } from "../store/store.ts";
import { View } from "./view.ts";

interface SnapshotRow {
  readonly seq: number;
  readonly row: Transition | undefined;
}

interface OnlineUser {
  readonly username: string;
  readonly groups: Groups;
}

/** The last groups of a user, and the position of the change that brought the user there. */
interface Stay {
  readonly groups: Groups;
  readonly since: number;
}

export class Roster {
  readonly ring: Ring;
  /** What every user sees without groups. */
  readonly everybody: View;
  readonly #users = new Map<UserId, OnlineUser>();
  readonly #groups = new Map<string, Group>();
  readonly #compareIds: (a: UserId, b: UserId) => number;
  readonly #ringCapacity: number;
  #seq = 0;
  #epoch = 0;
  /** The row of the feed under the `seq` of the last snapshot. `undefined`: pruned, or a hole. */
  #snapshotRow: SnapshotRow = { seq: 0, row: undefined };
  /** Grows with each change, and when a group is forgotten. */
  #version = 0;
  /** The version when a group was last forgotten. */
  #forgottenAt = 0;
  /** With groups, of users with a change in the ring, also of those who are offline. Oldest first. */
  readonly #stays = new Map<UserId, Stay>();

  /** @param compareIds The order of lists. */
  constructor(
    ringCapacity = RING_TRANSITIONS_MAX,
    compareIds: (a: UserId, b: UserId) => number = INTEGER_IDS.compare,
  ) {
    this.#compareIds = compareIds;
    this.#ringCapacity = ringCapacity;
    this.ring = new Ring(ringCapacity);
    this.everybody = this.keepView(EVERYBODY);
  }

  /** The newest transition that this copy has. */
  get seq(): number {
    return this.#seq;
  }

  /** Grows with each `replace`. A `seq` from another epoch may belong to another history. */
  get epoch(): number {
    return this.#epoch;
  }

  /** How many users are online. */
  get size(): number {
    return this.#users.size;
  }

  /** The groups that this copy knows: with members, with a view, or with changes in the ring. */
  get groups(): ReadonlyMap<string, { readonly members: ReadonlySet<UserId> }> {
    return this.#groups;
  }

  /**
   * Takes the first snapshot, at the start.
   *
   * @param history The transitions up to the snapshot's `seq`, without holes. They fill the ring.
   */
  load(snapshot: Snapshot, history: readonly Transition[]): void {
    this.ring.resetTo((history[0]?.seq ?? snapshot.seq + 1) - 1);
    for (const transition of history) {
      const { userId, groupsBefore, status } = transition;
      const before = status === "offline" || groupsBefore !== undefined
        ? this.#shared(userId, groupsFor(userId, groupsBefore))
        : NOBODY;
      const after = this.#shared(userId, groupsAfter(transition));
      this.#record(transition, before, after, transition.seq);
    }
    this.#seq = snapshot.seq;
    this.#snapshotRow = { seq: snapshot.seq, row: history.at(-1) };
    for (const { id, username, groups } of snapshot.users) {
      this.#set(id, username, groupsFor(id, groups));
    }
  }

  /**
   * Applies the next transition, and returns the change that it causes, if it causes one.
   *
   * @throws {RangeError} when the transition is not the next.
   */
  advance(transition: Transition): Change | undefined {
    const { seq, userId, username } = transition;
    if (seq !== this.#seq + 1) {
      throw new RangeError(
        `Cannot advance the roster: expected seq ${this.#seq + 1}, got ${seq}`,
      );
    }
    this.#seq = seq;
    return this.#change(userId, username, groupsAfter(transition));
  }

  /**
   * Takes another snapshot, which may belong to another history than this copy. Every difference
   * enters the ring, so that no connection misses one. No client can resume from a `seq` before it.
   *
   * @param last The first transition that the feed has from the snapshot's `seq` on.
   * @param onChange Called after each change, when the roster has it and not the next one.
   */
  replace(
    snapshot: Snapshot,
    last?: Transition,
    onChange: (change: Change) => void = () => {},
  ): void {
    const { seq, users } = snapshot;
    const present = new Set(users.map((user) => user.id));
    const absent = [...this.#users.keys()].filter((id) => !present.has(id));
    this.#seq = seq;
    this.#epoch += 1;
    const apply = (id: UserId, username: string, after: Groups) => {
      const change = this.#change(id, username, after);
      if (change !== undefined) onChange(change);
    };
    for (const id of absent) apply(id, "", NOBODY);
    // First, each user keeps only the groups that it keeps in the end. So no two users meet in between
    // who share no group before or after.
    for (const { id, username, groups } of users) {
      const before = this.groupsOf(id);
      if (before === undefined) continue;
      apply(id, username, intersection(id, before, groupsFor(id, groups)));
    }
    for (const { id, username, groups } of users) {
      apply(id, username, groupsFor(id, groups));
    }
    this.ring.resetTo(seq);
    this.#snapshotRow = { seq, row: last?.seq === seq ? last : undefined };
  }

  /**
   * Whether the feed still has what this copy took from it.
   *
   * @param transitions What the feed has now, up to this copy's `seq`.
   * @returns `"unknown"`: of what this copy took, nothing is left to compare.
   */
  compare(
    transitions: readonly Transition[],
  ): "same" | "different" | "unknown" {
    const taken = this.ring.bySeq();
    const known = transitions.filter(({ seq }) => taken.has(seq));
    if (known.some((row) => !isSame(placeOf(row), taken.get(row.seq)))) {
      return "different";
    }
    const { seq, row } = this.#snapshotRow;
    const found = placeOf(transitions.find((one) => one.seq === seq));
    const own = placeOf(row);
    if (found !== undefined && !isSame(found, own)) return "different";
    if (known.length > 0) return "same";
    // No row is left to compare; they may have been pruned. Only the snapshot's own row can decide.
    return seq === this.#seq && isSame(found, own) ? "same" : "unknown";
  }

  /**
   * The position in the ring from which a client with the roster as of `seq` resumes.
   * `undefined`: the ring does not reach back that far, or this copy has not reached `seq`.
   *
   * @param viewer The client's user. It may have had other groups then, and so another copy.
   */
  positionAfter(seq: number, viewer?: UserId): number | undefined {
    if (seq > this.#seq) return undefined;
    const position = this.ring.positionAfter(seq);
    const since = viewer === undefined ? -1 : this.#stays.get(viewer)?.since;
    return (since ?? -1) < (position ?? -1) ? position : undefined;
  }

  /** What a set of groups sees now. It is outdated by the next change. */
  view(groups: Groups): View {
    const found = groups.names.flatMap((name) => this.#groups.get(name) ?? []);
    return this.#view(groups, found);
  }

  /** What a set of groups sees, from now on. The caller gives the view back to `dropView`. */
  keepView(groups: Groups): View {
    const found = groups.names.map((name) => this.#group(name));
    for (const group of found) group.views += 1;
    return this.#view(groups, found);
  }

  dropView({ groups: { names } }: View): void {
    for (const name of names) {
      const group = this.#group(name);
      group.views -= 1;
      this.#forgetUnused(name, group);
    }
  }

  /**
   * Takes new names of online users. It makes nobody online or offline.
   *
   * @param asOf The `seq` of the snapshot that the names are from. The transitions after it have newer
   *   names, which stay. Default: the newest.
   * @returns `"unknown"`: this copy cannot tell which transitions are after it. Nothing is taken.
   */
  rename(
    users: Iterable<OnlineUserInfo>,
    asOf = this.#seq,
  ): "renamed" | "unknown" {
    const position = this.positionAfter(asOf);
    if (position === undefined) return "unknown";
    const changed = new Set<UserId>();
    for (let at = position; at < this.ring.head; at++) {
      changed.add(this.ring.at(at).userId);
    }
    for (const { id, username } of users) {
      const known = this.#users.get(id);
      if (known !== undefined && !changed.has(id)) {
        this.#set(id, username, known.groups);
      }
    }
    return "renamed";
  }

  has(userId: UserId): boolean {
    return this.#users.has(userId);
  }

  /** The name of a user who is online. */
  nameOf(userId: UserId): string | undefined {
    return this.#users.get(userId)?.username;
  }

  /** In which groups a user who is online is visible. */
  groupsOf(userId: UserId): Groups | undefined {
    return this.#users.get(userId)?.groups;
  }

  /** Invariant: the changes of each user in the ring follow each other, even if the feed repeats one. */
  #change(userId: UserId, name: string, groups: Groups): Change | undefined {
    const username = cutText(name, USERNAME_LENGTH_MAX);
    const after = this.#shared(userId, groups);
    const before = this.#set(userId, username, after);
    if (before.key === after.key) return undefined;
    return this.#record({ userId, username }, before, after, this.#seq);
  }

  /** Sets where a user is visible, and returns where the user was until now. */
  #set(userId: UserId, name: string, groups: Groups): Groups {
    const username = cutText(name, USERNAME_LENGTH_MAX);
    const known = this.#users.get(userId);
    const before = known?.groups ?? NOBODY;
    if (before.key === groups.key && known?.username === username) {
      return before;
    }
    if (groups === NOBODY) this.#users.delete(userId);
    else this.#users.set(userId, { username, groups });
    this.#version += 1;
    for (const name of before.names) {
      this.#group(name).remove(userId, this.#version);
    }
    for (const name of groups.names) {
      this.#group(name).add(userId, this.#version);
    }
    return before;
  }

  /** Adds a change to the ring, and to the groups that it concerns. */
  #record(
    { userId, username }: Pick<Transition, "userId" | "username">,
    before: Groups,
    after: Groups,
    seq: number,
  ): Change {
    const user = { userId, username: cutText(username, USERNAME_LENGTH_MAX) };
    const change = new Change(user, before, after, seq, this.ring.head);
    for (const name of difference(before, after)) {
      this.#group(name).push(change);
    }
    this.#recordStay(change);
    const forgotten = this.ring.push(change);
    if (forgotten !== undefined) this.#forget(forgotten);
    return change;
  }

  #forget({ before, after }: Change): void {
    for (const name of difference(before, after)) {
      const group = this.#group(name);
      group.forgetOldest();
      this.#forgetUnused(name, group);
    }
  }

  #forgetUnused(name: string, group: Group): void {
    if (!group.isUnused) return;
    this.#groups.delete(name);
    this.#forgottenAt = this.#version += 1;
  }

  #recordStay({ userId, before, after, position }: Change): void {
    const known = this.#stays.get(userId);
    // Without groups every user sees the same all the time.
    if (
      known === undefined && isWithoutGroups(before) && isWithoutGroups(after)
    ) {
      return;
    }
    const stayed = known ?? { groups: before, since: -1 };
    const isSame = after === NOBODY || after.key === stayed.groups.key;
    this.#stays.delete(userId);
    this.#stays.set(
      userId,
      isSame ? stayed : { groups: after, since: position },
    );
    deleteOldest(this.#stays, this.#ringCapacity);
  }

  /** An equal set that the user had before, so that the ring does not hold one for each change. */
  #shared(userId: UserId, groups: Groups): Groups {
    const known = [this.groupsOf(userId), this.#stays.get(userId)?.groups];
    return known.find((one) => one?.key === groups.key) ?? groups;
  }

  #group(name: string): Group {
    const known = this.#groups.get(name);
    if (known !== undefined) return known;
    const group = new Group(this.ring.tail);
    this.#groups.set(name, group);
    return group;
  }

  #view(groups: Groups, found: readonly Group[]): View {
    const viewed = { users: this.#users, compareIds: this.#compareIds };
    // A group that is not there may have been, with members.
    const isWhole = found.length === groups.names.length;
    return new View(groups, viewed, found, isWhole ? 0 : this.#forgottenAt);
  }
}

function isWithoutGroups(groups: Groups): boolean {
  return groups === EVERYBODY || groups === NOBODY;
}

function groupsAfter({ userId, status, groups }: Transition): Groups {
  return status === "offline" ? NOBODY : groupsFor(userId, groups);
}

/** What is compared of a row. A row of the ring and a row of the feed are the same without the name. */
type Place = Pick<Change, "userId" | "after">;

function placeOf(row: Transition | undefined): Place | undefined {
  return row && { userId: row.userId, after: groupsAfter(row) };
}

function isSame(one: Place | undefined, other: Place | undefined): boolean {
  return one?.userId === other?.userId && one?.after.key === other?.after.key;
}
