/**
 * Who is online, as of one `seq`. Every change of it enters the ring.
 *
 * The roster is a copy: it only ever repeats what the store decided. It does not know
 * where transitions come from nor who is told of them.
 *
 * @module
 */
import {
  RING_TRANSITIONS_MAX,
  USERNAME_LENGTH_MAX,
} from "../../base/limits.ts";
import {
  encodeStatus,
  type OnlineUserInfo,
  type OnlineUsers,
  type Status,
} from "../../protocol/messages.ts";
import type { UserId } from "../../protocol/user_id.ts";
import { type Change, Ring } from "./ring.ts";
import type { Snapshot, Transition } from "../store/store.ts";

export class Roster {
  readonly ring: Ring;
  readonly #users = new Map<UserId, string>();
  #seq = 0;
  #epoch = 0;
  /** What the log had under the `seq` of the last snapshot. Nothing: it was pruned, or is a hole. */
  #snapshotRow: { readonly seq: number; readonly row: Transition | undefined } =
    {
      seq: 0,
      row: undefined,
    };
  #usersJson: string | undefined;

  constructor(ringCapacity = RING_TRANSITIONS_MAX) {
    this.ring = new Ring(ringCapacity);
  }

  /** The position in the feed that this copy is as of. */
  get seq(): number {
    return this.#seq;
  }

  /** Grows with each replacement: a `seq` from before may mean something else by now. */
  get epoch(): number {
    return this.#epoch;
  }

  /** How many are online. */
  get size(): number {
    return this.#users.size;
  }

  /** Becomes the snapshot; the transitions that led to it, without holes, fill the ring. */
  load(snapshot: Snapshot, history: readonly Transition[]): void {
    this.ring.resetTo((history[0]?.seq ?? snapshot.seq + 1) - 1);
    for (const { seq, userId, username, status } of history) {
      this.ring.push(changeOf(userId, status, username, seq));
    }
    this.#seq = snapshot.seq;
    this.#snapshotRow = { seq: snapshot.seq, row: history.at(-1) };
    for (const { id, username } of snapshot.users) {
      this.#users.set(id, shown(username));
    }
    this.#usersJson = undefined;
  }

  /** Takes the next transition, which the caller has made sure that it is. */
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
   * Becomes the snapshot, which may be of another history than this copy. Every difference enters
   * the ring, so that nobody misses one, and nobody goes on from what was told before.
   *
   * @param last The first transition in the log from the snapshot's `seq` on.
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
   * Whether these, of the log up to our `seq`, are what was in it when this copy took them.
   * `"unknown"`: nothing that it took is left to compare.
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
    // If nothing is there that was, it may have been pruned.
    return seq === this.#seq && isSame(found, row) ? "same" : "unknown";
  }

  /**
   * The position in the ring from which somebody who knows the roster as of `seq` goes on.
   * `undefined` when the ring does not reach back, or this copy not so far.
   */
  positionAfter(seq: number): number | undefined {
    return seq > this.#seq ? undefined : this.ring.positionAfter(seq);
  }

  /** Takes the names of those who are online; who that is does not change. */
  rename(users: Iterable<OnlineUserInfo>): void {
    for (const { id, username } of users) {
      const known = this.#users.get(id);
      if (known === undefined || known === shown(username)) continue;
      this.#users.set(id, shown(username));
      this.#usersJson = undefined;
    }
  }

  has(userId: UserId): boolean {
    return this.#users.has(userId);
  }

  /** The name of a user who is online. */
  nameOf(userId: UserId): string | undefined {
    return this.#users.get(userId);
  }

  /** The users online, ids ascending. With `ids`, only those among them. */
  users(ids?: ReadonlySet<UserId>): OnlineUserInfo[] {
    const users: OnlineUserInfo[] = [];
    for (const id of ids ?? this.#users.keys()) {
      const username = this.#users.get(id);
      if (username !== undefined) users.push({ id, username });
    }
    return users.sort((a, b) => a.id - b.id);
  }

  /** The users online as a JSON array, made once per change. */
  usersJson(): string {
    return this.#usersJson ??= JSON.stringify(
      this.users() satisfies OnlineUsers["online_users"],
    );
  }

  /** Per user, online and offline alternate in the ring whatever the feed repeats. */
  #change(userId: UserId, status: Status, name: string): Change[] {
    const username = shown(name);
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

function shown(username: string): string {
  return username.length <= USERNAME_LENGTH_MAX
    ? username
    : username.slice(0, USERNAME_LENGTH_MAX);
}
