/**
 * Judges what clients heard against what the feed says happened.
 *
 * @module
 */
import { deepEqual, ok } from "node:assert/strict";
import type { UserId } from "../../src/protocol/user_id.ts";
import type { UserStatusBroadcast } from "../../src/protocol/messages.ts";

/** One connection's whole life, as its client saw it. */
export interface Life {
  readonly userId: UserId;
  readonly node: string;
  /** The node's seq when the client knew that it was open; what came later must be heard. */
  readonly openSeq: number;
  readonly heard: readonly UserStatusBroadcast[];
  /** Whether the connection is open at the end, when all is quiet. */
  readonly isOpen: boolean;
}

/** A row of the feed. */
export interface FeedRow {
  readonly seq: number;
  readonly userId: UserId;
  readonly status: "online" | "offline";
}

/** Seqs have no holes, and per user online and offline alternate. */
export function judgeFeed(feed: readonly FeedRow[]): void {
  const last = new Map<UserId, string>();
  for (const [index, { seq, userId, status }] of feed.entries()) {
    ok(seq === index + 1, `the feed has seq ${seq} at position ${index + 1}`);
    const before = last.get(userId) ?? "offline";
    ok(
      before !== status,
      `[P6] user ${userId} became ${status} twice, at seq ${seq}`,
    );
    last.set(userId, status);
  }
}

/** What was heard is the feed in its order, without a gap or a repetition, from the opening on. */
export function judgeLife(life: Life, feed: readonly FeedRow[]): void {
  const rows = feed.filter(({ userId }) => userId !== life.userId);
  const told = rows.map(({ userId, status }) => `${status} ${userId}`);
  const heard = life.heard.map(({ type, userId }) =>
    `${type.slice(5)} ${userId}`
  );
  const who =
    `the connection of ${life.userId} on ${life.node}, open since seq ${life.openSeq}`;
  // The registration was at or before the seq that was read after the opening.
  const newest = rows.filter(({ seq }) => seq <= life.openSeq).length;
  if (life.isOpen) {
    const start = told.length - heard.length;
    ok(
      start >= 0 && start <= newest,
      `${who} heard ${heard.length} of ${told.length - newest}`,
    );
    deepEqual(heard, told.slice(start), who);
    return;
  }
  for (let start = newest; start >= 0; start--) {
    if (heard.every((message, index) => told[start + index] === message)) {
      return;
    }
  }
  throw new Error(
    `[P6] what ${who} heard is nowhere in the feed: ${heard.join(", ")}`,
  );
}
