/**
 * The roster is this node's copy of who is online in the whole cluster, as of one `seq`.
 *
 * It decides nothing: it applies the transitions that the store decided. Every change of it
 * enters the ring (`ring.ts`), so that a connection that is behind can catch up. It does not know
 * where transitions come from, nor which connections get messages.
 *
 * It starts from a snapshot (`load`) and applies one transition after another (`advance`). If the
 * feed does not continue it, a new snapshot replaces it (`replace`), under a new epoch. In the
 * ring the changes of each user always alternate between online and offline, whatever happens to
 * the feed.
 *
 * A transition costs constant time. The list of all users as JSON is made once for each change,
 * and only when it is asked for.
 *
 * @module
 */
import { cutText } from "../../base/cut_text.ts";
import {
  RING_TRANSITIONS_MAX,
  USERNAME_LENGTH_MAX,
} from "../../base/limits.ts";
import {
  encodeStatus,
  type OnlineUserInfo,
  type OnlineUsers,
  type Status,
} from "../../client/protocol/messages.ts";
import { INTEGER_IDS, type UserId } from "../../client/protocol/user_id.ts";
import { type Change, Ring } from "./ring.ts";
import type { Snapshot, Transition } from "../store/store.ts";

interface SnapshotRow {
  readonly seq: number;
  readonly row: Transition | undefined;
}

export class Roster {
  readonly ring: Ring;
  readonly #users = new Map<UserId, string>();
  #seq = 0;
  #epoch = 0;
  /** The row of the feed under the `seq` of the last snapshot. `undefined`: pruned, or a hole. */
  #snapshotRow: SnapshotRow = { seq: 0, row: undefined };
  #usersJson: string | undefined;

  readonly #compareIds: (a: UserId, b: UserId) => number;

  /** @param compareIds The order of lists. */
  constructor(
    ringCapacity = RING_TRANSITIONS_MAX,
    compareIds: (a: UserId, b: UserId) => number = INTEGER_IDS.compare,
  ) {
    this.#compareIds = compareIds;
    this.ring = new Ring(ringCapacity);
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

  /**
   * Takes the first snapshot, at the start.
   *
   * @param history The transitions up to the snapshot's `seq`, without holes. They fill the ring.
   */
  load(snapshot: Snapshot, history: readonly Transition[]): void {
    this.ring.resetTo((history[0]?.seq ?? snapshot.seq + 1) - 1);
    for (const { seq, userId, username, status } of history) {
      this.ring.push(changeOf(userId, status, username, seq));
    }
    this.#seq = snapshot.seq;
    this.#snapshotRow = { seq: snapshot.seq, row: history.at(-1) };
    for (const { id, username } of snapshot.users) {
      this.#users.set(id, cutToLength(username));
    }
    this.#usersJson = undefined;
  }

  /**
   * Applies the next transition, and returns the changes that it causes: one or none.
   *
   * @throws {RangeError} when the transition is not the next.
   */
  advance(transition: Transition): Change[] {
    const { seq, userId, username, status } = transition;
    if (seq !== this.#seq + 1) {
      throw new RangeError(
        `Cannot advance the roster: expected seq ${this.#seq + 1}, got ${seq}`,
      );
    }
    this.#seq = seq;
    return this.#change(userId, status, username);
  }

  /**
   * Takes another snapshot, which may belong to another history than this copy. Every difference
   * enters the ring, so that no connection misses one. No client can resume from a `seq` before it.
   *
   * @param last The first transition that the feed has from the snapshot's `seq` on.
   * @returns The differences.
   */
  replace(snapshot: Snapshot, last?: Transition): Change[] {
    const present = new Set(snapshot.users.map((user) => user.id));
    const absent = [...this.#users.keys()].filter((id) => !present.has(id));
    this.#seq = snapshot.seq;
    this.#epoch += 1;
    const changes = [
      ...absent.flatMap((id) => this.#change(id, "offline", "")),
      ...snapshot.users.flatMap(({ id, username }) =>
        this.#change(id, "online", username)
      ),
    ];
    this.ring.resetTo(snapshot.seq);
    const { seq } = snapshot;
    this.#snapshotRow = { seq, row: last?.seq === seq ? last : undefined };
    return changes;
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
    if (known.some((row) => !isSame(row, taken.get(row.seq)))) {
      return "different";
    }
    const { seq, row } = this.#snapshotRow;
    const found = transitions.find((one) => one.seq === seq);
    if (found !== undefined && !isSame(found, row)) return "different";
    if (known.length > 0) return "same";
    // No row is left to compare; they may have been pruned. Only the snapshot's own row can decide.
    return seq === this.#seq && isSame(found, row) ? "same" : "unknown";
  }

  /**
   * The position in the ring from which a client with the roster as of `seq` resumes.
   * `undefined`: the ring does not reach back that far, or this copy has not reached `seq`.
   */
  positionAfter(seq: number): number | undefined {
    return seq > this.#seq ? undefined : this.ring.positionAfter(seq);
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
      const name = cutToLength(username);
      if (known === undefined || known === name || changed.has(id)) continue;
      this.#users.set(id, name);
      this.#usersJson = undefined;
    }
    return "renamed";
  }

  has(userId: UserId): boolean {
    return this.#users.has(userId);
  }

  /** The name of a user who is online. */
  nameOf(userId: UserId): string | undefined {
    return this.#users.get(userId);
  }

  /**
   * The online users, ids ascending.
   *
   * @param ids Only these. Default: all.
   */
  users(ids?: ReadonlySet<UserId>): OnlineUserInfo[] {
    const users: OnlineUserInfo[] = [];
    for (const id of ids ?? this.#users.keys()) {
      const username = this.#users.get(id);
      if (username !== undefined) users.push({ id, username });
    }
    return users.sort((a, b) => this.#compareIds(a.id, b.id));
  }

  /** The online users as a JSON array, made once for each change. */
  usersJson(): string {
    return this.#usersJson ??= JSON.stringify(
      this.users() satisfies OnlineUsers["online_users"],
    );
  }

  /** Invariant: the changes of each user in the ring alternate, even if the feed repeats a status. */
  #change(userId: UserId, status: Status, name: string): Change[] {
    const username = cutToLength(name);
    const wasOnline = this.#users.has(userId);
    if (status === "online") this.#users.set(userId, username);
    else this.#users.delete(userId);
    this.#usersJson = undefined;
    if (wasOnline === (status === "online")) return [];
    const change = changeOf(userId, status, username, this.#seq);
    this.ring.push(change);
    return [change];
  }
}

/** What is compared of a row. A row of the ring and a row of the feed are the same without the name. */
type Row = Pick<Transition, "userId" | "status"> | undefined;

function isSame(one: Row, other: Row): boolean {
  return one?.userId === other?.userId && one?.status === other?.status;
}

function changeOf(
  userId: UserId,
  status: Status,
  username: string,
  seq: number,
): Change {
  const message = encodeStatus(userId, status);
  return { userId, status, username, message, seq };
}

function cutToLength(username: string): string {
  return cutText(username, USERNAME_LENGTH_MAX);
}
