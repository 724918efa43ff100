/**
 * The sync messages are the texts of version 2: snapshots, diffs, counts and the rest.
 *
 * A text that several connections need is made once for all of them. This file does not know
 * the connections, and sends nothing.
 *
 * @module
 */
import type {
  ErrorCode,
  OnlineUserInfo,
  ServerMessage,
  Status,
} from "../../protocol/messages.ts";
import type { UserId } from "../../protocol/user_id.ts";
import type { Change } from "../roster/ring.ts";
import type { Roster } from "../roster/roster.ts";

/** A diff as text. An empty one is sent only in answer to a client that resumes. */
export interface Diff {
  readonly text: string;
  readonly isEmpty: boolean;
}

export class SyncMessages {
  readonly #roster: Roster;
  readonly #onMerge: (changes: number) => void;
  /** By the position at which they begin. All end at `#head`. */
  readonly #diffs = new Map<number, Diff>();
  #head = 0;
  #seq = 0;
  #state = "";
  #stateUsers = "";
  #stateSeq = -1;

  /** @param onMerge Called with the number of changes that were merged into a diff. */
  constructor(roster: Roster, onMerge: (changes: number) => void) {
    this.#roster = roster;
    this.#onMerge = onMerge;
  }

  /** Begins a pass. Its diffs end where the ring ends now. */
  beginPass(): void {
    const { ring, seq } = this.#roster;
    this.#diffs.clear();
    this.#head = ring.head;
    this.#seq = seq;
  }

  /** The position in the ring at which the diffs of this pass end. */
  get head(): number {
    return this.#head;
  }

  /** The snapshot of every online user. */
  state(): string {
    const { seq } = this.#roster;
    const users = this.#roster.usersJson();
    if (seq !== this.#stateSeq || users !== this.#stateUsers) {
      this.#state = `{"type":"presence_state","seq":${seq},"users":${users}}`;
      this.#stateUsers = users;
      this.#stateSeq = seq;
    }
    return this.#state;
  }

  /** The diff from a position that is in the ring to the head of this pass. */
  diff(position: number): Diff {
    let diff = this.#diffs.get(position);
    if (diff === undefined) {
      diff = this.#merge(position);
      this.#diffs.set(position, diff);
    }
    return diff;
  }

  /** The snapshot of the online users among these. */
  watchedState(ids: ReadonlySet<UserId>): string {
    const { seq } = this.#roster;
    const users = this.#roster.users(ids);
    return encode({ type: "presence_state", seq, users });
  }

  /** The diff of users that changed, given the first change of each. */
  watchedDiff(changed: ReadonlyMap<UserId, Status>): Diff {
    const online: OnlineUserInfo[] = [];
    const offline: UserId[] = [];
    for (const [id, first] of changed) {
      const username = this.#roster.nameOf(id);
      // Statuses alternate: a user whose first change does not hold any more is as before.
      if ((username === undefined) !== (first === "offline")) continue;
      if (username === undefined) offline.push(id);
      else online.push({ id, username });
    }
    return encodeDiff(this.#roster.seq, online, offline);
  }

  count(): string {
    const { seq, size } = this.#roster;
    return encode({ type: "presence_count", seq, online: size });
  }

  keepalive(): string {
    return encode({ type: "keepalive", seq: this.#roster.seq });
  }

  #merge(position: number): Diff {
    const { ring } = this.#roster;
    this.#onMerge(this.#head - position);
    const first = new Map<UserId, Status>();
    const last = new Map<UserId, Change>();
    for (let at = position; at < this.#head; at++) {
      const change = ring.at(at);
      if (!first.has(change.userId)) first.set(change.userId, change.status);
      last.set(change.userId, change);
    }
    const online: OnlineUserInfo[] = [];
    const offline: UserId[] = [];
    for (const [id, { status, username }] of last) {
      // Statuses alternate: a user whose last status is not the first is as before.
      if (first.get(id) !== status) continue;
      if (status === "offline") offline.push(id);
      // A user that was renamed after the change has the new name in the roster.
      else online.push({ id, username: this.#roster.nameOf(id) ?? username });
    }
    return encodeDiff(this.#seq, online, offline);
  }
}

function encodeDiff(
  seq: number,
  online: readonly OnlineUserInfo[],
  offline: readonly UserId[],
): Diff {
  return {
    text: encode({ type: "presence_diff", seq, online, offline }),
    isEmpty: online.length + offline.length === 0,
  };
}

/** @param ref Of the `watch` that is refused, if it had one. */
export function encodeError(
  code: ErrorCode,
  message: string,
  ref?: number,
): string {
  const about = ref === undefined ? {} : { ref };
  return encode({ type: "error", code, message, ...about });
}

export function encodeWatching(ref: number): string {
  return encode({ type: "watching", ref });
}

function encode(message: ServerMessage): string {
  return JSON.stringify(message);
}
