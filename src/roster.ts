/**
 * Who is online, as of one `seq`, and the ring of how that came to be.
 *
 * The roster is a copy: it only ever repeats what the store decided. It does not know
 * where transitions come from nor who is told of them.
 *
 * @module
 */
import { RING_TRANSITIONS_MAX } from "./limits.ts";
import {
  encodeStatus,
  type OnlineUserInfo,
  type OnlineUsers,
  type Status,
  type UserId,
} from "./protocol.ts";
import type { Snapshot, Transition } from "./store/store.ts";

/** A change of the roster, ready to be sent. */
export interface Change {
  readonly userId: UserId;
  readonly status: Status;
  readonly message: string;
}

/**
 * The last changes, numbered by position since this process started. A position is not a
 * `seq`: a snapshot loaded after a gap can bring many changes under one `seq`.
 */
export class Ring {
  readonly #capacity: number;
  readonly #changes: Change[] = [];
  #head = 0;

  constructor(capacity: number) {
    this.#capacity = capacity;
  }

  /** The position after the newest change. A connection at the head has been told everything. */
  get head(): number {
    return this.#head;
  }

  /** The oldest position that is still here. A cursor before it has lost something. */
  get tail(): number {
    return Math.max(0, this.#head - this.#capacity);
  }

  push(change: Change): void {
    this.#changes[this.#head % this.#capacity] = change;
    this.#head += 1;
  }

  at(position: number): Change {
    const change = this.#changes[position % this.#capacity];
    if (
      change === undefined || position < this.tail || position >= this.#head
    ) {
      throw new RangeError(
        `Cannot read the ring at ${position}: expected ${this.tail} to ${
          this.#head - 1
        }`,
      );
    }
    return change;
  }
}

export class Roster {
  readonly ring: Ring;
  readonly #users = new Map<UserId, string>();
  #seq = 0;
  #json: string | undefined;

  constructor(ringCapacity = RING_TRANSITIONS_MAX) {
    this.ring = new Ring(ringCapacity);
  }

  /** The position in the feed that this copy is as of. */
  get seq(): number {
    return this.#seq;
  }

  /** Takes the next transition, which the caller has made sure that it is. */
  advance(transition: Transition): Change[] {
    if (transition.seq !== this.#seq + 1) {
      throw new RangeError(
        `Cannot advance the roster: expected seq ${
          this.#seq + 1
        }, got ${transition.seq}`,
      );
    }
    this.#seq = transition.seq;
    return this.#change(
      transition.userId,
      transition.status,
      transition.username,
    );
  }

  /** Becomes the snapshot. Every difference enters the ring, so that nobody misses one. */
  replace(snapshot: Snapshot): Change[] {
    const present = new Set(snapshot.users.map((user) => user.id));
    const absent = [...this.#users.keys()].filter((id) => !present.has(id));
    this.#seq = snapshot.seq;
    return [
      ...absent.flatMap((id) => this.#change(id, "offline", "")),
      ...snapshot.users.flatMap(({ id, username }) =>
        this.#change(id, "online", username)
      ),
    ];
  }

  /** Takes the names of those who are online; who that is does not change. */
  rename(users: Iterable<OnlineUserInfo>): void {
    for (const { id, username } of users) {
      const known = this.#users.get(id);
      if (known === undefined || known === username) continue;
      this.#users.set(id, username);
      this.#json = undefined;
    }
  }

  /** The users online, ids ascending. With `ids`, only those among them. */
  users(ids?: ReadonlySet<UserId>): OnlineUserInfo[] {
    const users: OnlineUserInfo[] = [];
    for (const [id, username] of this.#users) {
      if (ids === undefined || ids.has(id)) users.push({ id, username });
    }
    return users.sort((a, b) => a.id - b.id);
  }

  /** The body of `GET /users/online`, made once per change. */
  json(): string {
    return this.#json ??= JSON.stringify(
      { online_users: this.users() } satisfies OnlineUsers,
    );
  }

  /** Per user, online and offline alternate in the ring whatever the feed repeats. */
  #change(userId: UserId, status: Status, username: string): Change[] {
    const wasOnline = this.#users.has(userId);
    if (status === "online") this.#users.set(userId, username);
    else this.#users.delete(userId);
    this.#json = undefined;
    if (wasOnline === (status === "online")) return [];
    const change = { userId, status, message: encodeStatus(userId, status) };
    this.ring.push(change);
    return [change];
  }
}
