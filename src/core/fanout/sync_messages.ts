/**
 * The sync messages are the texts of version 2 for one audience: snapshots, diffs, counts and the
 * rest.
 *
 * A text that several connections need is made once for all of them. This file does not know
 * the connections, and sends nothing.
 *
 * @module
 */
import type { Metrics } from "../../base/metrics.ts";
import {
  encodeMessage,
  type OnlineUserInfo,
} from "../../client/protocol/messages.ts";
import type { UserId } from "../../client/protocol/user_id.ts";
import { type MergedSightings, mergeSighting } from "../roster/change.ts";
import type { Roster } from "../roster/roster.ts";
import type { View } from "../roster/view.ts";

/** A diff as text. An empty one is sent only in answer to a client that resumes. */
export interface Diff {
  readonly text: string;
  readonly isEmpty: boolean;
}

export class SyncMessages {
  readonly view: View;
  readonly #roster: Roster;
  /** The position in the ring at which the diffs of the pass end. */
  #head: number;
  readonly #metrics: Pick<Metrics, "merged">;
  /** By the position at which they begin. All end at `#head`. */
  readonly #diffs = new Map<number, Diff>();
  /** The last snapshot of every user in the view, and what it was made from. */
  #state = { seq: -1, version: -1, text: "" };

  constructor(
    roster: Roster,
    view: View,
    head: number,
    metrics: Pick<Metrics, "merged">,
  ) {
    this.view = view;
    this.#roster = roster;
    this.#head = head;
    this.#metrics = metrics;
  }

  /** Another pass begins, whose diffs end at `head`. */
  beginPass(head: number): void {
    this.#head = head;
    this.#diffs.clear();
  }

  /** The snapshot of every user in the view. */
  state(): string {
    const { seq } = this.#roster;
    const { version } = this.view;
    if (seq !== this.#state.seq || version !== this.#state.version) {
      const users = this.view.users();
      const text = encodeMessage({ type: "presence_state", seq, users });
      this.#state = { seq, version, text };
    }
    return this.#state.text;
  }

  /**
   * The diff from a position that is in the ring to the head of the pass.
   *
   * @param seq The roster's `seq` when the pass began.
   */
  diff(position: number, seq: number): Diff {
    // After a quiet time cursors differ, and the changes behind them do not.
    const [first] = this.view.changesFrom(position, 1);
    const begin = first?.position ?? this.#head;
    const known = this.#diffs.get(begin);
    if (known !== undefined) return known;
    const merged: MergedSightings = new Map();
    let count = 0;
    for (const change of this.view.changesFrom(begin)) {
      if (change.position >= this.#head) break;
      count += 1;
      const sighting = this.view.sightingOf(change);
      if (sighting !== undefined) mergeSighting(merged, sighting);
    }
    this.#metrics.merged(count);
    const diff = this.#encodeDiff(seq, merged);
    this.#diffs.set(begin, diff);
    return diff;
  }

  /** The snapshot of the users in the view among these. */
  watchedState(ids: ReadonlySet<UserId>): string {
    const { seq } = this.#roster;
    const users = this.view.users(ids);
    return encodeMessage({ type: "presence_state", seq, users });
  }

  /** The diff of watched users that changed. */
  watchedDiff(changed: MergedSightings): Diff {
    return this.#encodeDiff(this.#roster.seq, changed);
  }

  count(): string {
    const { seq } = this.#roster;
    return encodeMessage({
      type: "presence_count",
      seq,
      online: this.view.size,
    });
  }

  #encodeDiff(seq: number, merged: MergedSightings): Diff {
    const online: OnlineUserInfo[] = [];
    const offline: UserId[] = [];
    for (const [id, sighting] of merged) {
      if (sighting?.status === "offline") offline.push(id);
      if (sighting?.status !== "online") continue;
      // A user that was renamed after the change has the new name in the roster.
      const name = this.view.has(id) ? this.#roster.nameOf(id) : undefined;
      const username = name ?? sighting.username;
      online.push({ id, username });
    }
    return {
      text: encodeMessage({ type: "presence_diff", seq, online, offline }),
      isEmpty: online.length + offline.length === 0,
    };
  }
}
