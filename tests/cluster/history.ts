/**
 * Compares what clients of version 1 received with the feed.
 *
 * @module
 */
import { deepEqual, ok } from "node:assert/strict";
import type { UserId } from "../../src/client/protocol/user_id.ts";
import type { UserStatusBroadcast } from "../../src/client/protocol/messages.ts";

/** A connection from its open event to its end, as its client saw it. */
export interface Life {
  readonly userId: UserId;
  readonly node: string;
  /** The seq of the node's roster after the open event. Every later transition must be received. */
  readonly openSeq: number;
  readonly received: readonly UserStatusBroadcast[];
  /** Whether the connection is open at the end, when all is quiet. */
  readonly isOpen: boolean;
}

/** A row of the feed. */
export interface FeedRow {
  readonly seq: number;
  readonly userId: UserId;
  readonly status: "online" | "offline";
}

/** Checks that seqs have no holes, and that online and offline alternate for each user. */
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

/** Checks that a client received the feed in its order, without a gap or a repetition. */
export function judgeLife(life: Life, feed: readonly FeedRow[]): void {
  const rows = feed.filter(({ userId }) => userId !== life.userId);
  const expected = rows.map(({ userId, status }) => `${status} ${userId}`);
  const received = life.received.map(({ type, userId }) =>
    `${type.slice(5)} ${userId}`
  );
  const who =
    `the connection of ${life.userId} on ${life.node}, open since seq ${life.openSeq}`;
  // The cursor was set at the upgrade, so at or before the seq that was read after the open event.
  const newest = rows.filter(({ seq }) => seq <= life.openSeq).length;
  if (life.isOpen) {
    const start = expected.length - received.length;
    ok(
      start >= 0 && start <= newest,
      `${who} received ${received.length} of ${expected.length - newest}`,
    );
    deepEqual(received, expected.slice(start), who);
    return;
  }
  for (let start = newest; start >= 0; start--) {
    if (
      received.every((message, index) => expected[start + index] === message)
    ) {
      return;
    }
  }
  throw new Error(
    `[P6] what ${who} received is nowhere in the feed: ${received.join(", ")}`,
  );
}
