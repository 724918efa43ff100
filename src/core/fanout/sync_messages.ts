/**
 * The sync messages are the texts of version 2: snapshots, diffs, counts and the rest.
 *
 * A text that several connections need is made once for all of them. This file does not know
 * the connections, and sends nothing.
 *
 * @module
 */
import type { Metrics } from "../../base/metrics.ts";
import type {
  ErrorCode,
  OnlineUserInfo,
  ServerMessage,
} from "../../client/protocol/messages.ts";
import type { UserId } from "../../client/protocol/user_id.ts";
import { mergeChange, type MergedChanges } from "../roster/ring.ts";
import type { Roster } from "../roster/roster.ts";

/** A diff as text. An empty one is sent only in answer to a client that resumes. */
export interface Diff {
  readonly text: string;
  readonly isEmpty: boolean;
}

export class SyncMessages {
  readonly #roster: Roster;
  readonly #metrics: Pick<Metrics, "merged">;
  /** By the position at which they begin. All end at `#head`. */
  readonly #diffs = new Map<number, Diff>();
  #head = 0;
  #seq = 0;
  /** The last snapshot of every online user, and what it was made from. */
  #state = { seq: -1, users: "", text: "" };

  constructor(roster: Roster, metrics: Pick<Metrics, "merged">) {
    this.#roster = roster;
    this.#metrics = metrics;
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

  /** The roster's `seq` when this pass began. */
  get seq(): number {
    return this.#seq;
  }

  /** The snapshot of every online user. */
  state(): string {
    const { seq } = this.#roster;
    const users = this.#roster.usersJson();
    if (seq !== this.#state.seq || users !== this.#state.users) {
      const text = `{"type":"presence_state","seq":${seq},"users":${users}}`;
      this.#state = { seq, users, text };
    }
    return this.#state.text;
  }

  /** The diff from a position that is in the ring to the head of this pass. */
  diff(position: number): Diff {
    const known = this.#diffs.get(position);
    if (known !== undefined) return known;
    const merged: MergedChanges = new Map();
    for (let at = position; at < this.#head; at++) {
      mergeChange(merged, this.#roster.ring.at(at));
    }
    this.#metrics.merged(this.#head - position);
    const diff = this.#encodeDiff(this.#seq, merged);
    this.#diffs.set(position, diff);
    return diff;
  }

  /** The snapshot of the online users among these. */
  watchedState(ids: ReadonlySet<UserId>): string {
    const { seq } = this.#roster;
    const users = this.#roster.users(ids);
    return encode({ type: "presence_state", seq, users });
  }

  /** The diff of watched users that changed. */
  watchedDiff(changed: MergedChanges): Diff {
    return this.#encodeDiff(this.#roster.seq, changed);
  }

  count(): string {
    const { seq, size } = this.#roster;
    return encode({ type: "presence_count", seq, online: size });
  }

  keepalive(): string {
    return encode({ type: "keepalive", seq: this.#roster.seq });
  }

  #encodeDiff(seq: number, merged: MergedChanges): Diff {
    const online: OnlineUserInfo[] = [];
    const offline: UserId[] = [];
    for (const [id, change] of merged) {
      if (change?.status === "offline") offline.push(id);
      if (change?.status !== "online") continue;
      // A user that was renamed after the change has the new name in the roster.
      const username = this.#roster.nameOf(id) ?? change.username;
      online.push({ id, username });
    }
    return {
      text: encode({ type: "presence_diff", seq, online, offline }),
      isEmpty: online.length + offline.length === 0,
    };
  }
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
