/**
 * What version 2 is told: whole states, and differences merged since a position.
 *
 * Each text is made once for all who need the same at the same moment. Sending is not
 * known here.
 *
 * @module
 */
import type { Watching } from "../connections/connection.ts";
import type {
  ErrorCode,
  OnlineUserInfo,
  ServerMessage,
  Status,
} from "../../protocol/messages.ts";
import type { UserId } from "../../protocol/user_id.ts";
import type { Change } from "../roster/ring.ts";
import type { Roster } from "../roster/roster.ts";

/** A difference as a text. An empty one is news to nobody but a client that asks where it stands. */
export interface Diff {
  readonly text: string;
  readonly isEmpty: boolean;
}

export class SyncMessages {
  readonly #roster: Roster;
  readonly #onMerge: (changes: number) => void;
  /** By the position that they begin at. All end at `#head`. */
  readonly #diffs = new Map<number, Diff>();
  #head = 0;
  #seq = 0;
  #state = "";
  #stateUsers = "";
  #stateSeq = -1;

  /** @param onMerge Told how many changes went into a difference. */
  constructor(roster: Roster, onMerge: (changes: number) => void) {
    this.#roster = roster;
    this.#onMerge = onMerge;
  }

  /** A new pass: its differences end where the ring ends now. */
  begin(): void {
    const { ring, seq } = this.#roster;
    this.#diffs.clear();
    this.#head = ring.head;
    this.#seq = seq;
  }

  /** Where a connection stands that was told a difference in this pass. */
  get head(): number {
    return this.#head;
  }

  /** Everybody online now. */
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

  /** What changed between a position that is in the ring and the head of this pass. */
  diff(position: number): Diff {
    let diff = this.#diffs.get(position);
    if (diff === undefined) {
      diff = this.#merge(position);
      this.#diffs.set(position, diff);
    }
    return diff;
  }

  /** Those who are online among the watched. */
  watchedState({ ids }: Watching): string {
    const { seq } = this.#roster;
    return encode({
      type: "presence_state",
      seq,
      users: this.#roster.users(ids),
    });
  }

  /** What changed among the watched since the connection was told. */
  watchedDiff({ changed }: Watching): Diff {
    const online: OnlineUserInfo[] = [];
    const offline: UserId[] = [];
    for (const [id, first] of changed) {
      const username = this.#roster.nameOf(id);
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
      // Statuses alternate: whoever ends as the first change left them has changed.
      if (first.get(id) !== status) continue;
      if (status === "offline") offline.push(id);
      // Who was renamed since is told by the name that the list has.
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
