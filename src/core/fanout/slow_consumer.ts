/**
 * A slow consumer is a peer that does not read what was sent to it.
 *
 * This file owns the rule for how long a peer may stall, that is, read nothing. It does not know
 * what happens to a slow consumer.
 *
 * @module
 */
import {
  SEND_BUFFER_BYTES_MAX,
  SLOW_CONSUMER_BYTES_PER_SECOND_MIN,
  SLOW_CONSUMER_MS,
} from "./limits.ts";

/** Since when the peer has read nothing, in milliseconds, and the unsent bytes at the last visit. */
export interface Stall {
  readonly since: number;
  readonly bytes: number;
}

/** A subscriber, as far as the rule needs it. */
export interface MayStall {
  readonly connection: { readonly bufferedBytes: number };
  /** `undefined`: the peer reads. */
  stall: Stall | undefined;
}

/**
 * Records that unsent bytes were found. `"timed out"`: the peer has read nothing for too long.
 */
export function recordStall(
  subscriber: MayStall,
  now: number,
): "waiting" | "timed out" {
  const bytes = subscriber.connection.bufferedBytes;
  const { since, bytes: before } = subscriber.stall ?? { since: now, bytes };
  // More bytes than before are no sign of reading: a control message may have been added.
  const stall = { since: bytes < before ? now : since, bytes };
  subscriber.stall = stall;
  // The socket counts a message as unsent until all of it has left, so a large one needs time.
  const extraBytes = Math.max(0, bytes - SEND_BUFFER_BYTES_MAX);
  const allowedMs = SLOW_CONSUMER_MS +
    extraBytes / SLOW_CONSUMER_BYTES_PER_SECOND_MIN * 1_000;
  return now - stall.since < allowedMs ? "waiting" : "timed out";
}
