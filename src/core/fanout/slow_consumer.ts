/**
 * How long a peer that does not read is waited for.
 *
 * @module
 */
import type { Connection } from "../connections/connection.ts";
import {
  SEND_BUFFER_BYTES_MAX,
  SLOW_CONSUMER_BYTES_PER_SECOND_MIN,
  SLOW_CONSUMER_MS,
} from "./limits.ts";

/** Notes that something is unsent. `"timed out"`: nothing was taken of it for too long. */
export function wait(
  connection: Connection,
  now: number,
): "waiting" | "timed out" {
  const bytes = connection.bufferedBytes;
  const { since, bytes: before } = connection.stalled ?? { since: now, bytes };
  // What is said meanwhile, a warning for example, comes on top.
  connection.stalled = { since: bytes < before ? now : since, bytes };
  // The socket counts a message as unsent until all of it is on its way.
  const large = Math.max(0, bytes - SEND_BUFFER_BYTES_MAX);
  const patienceMs = SLOW_CONSUMER_MS +
    large / SLOW_CONSUMER_BYTES_PER_SECOND_MIN * 1_000;
  return now - connection.stalled.since < patienceMs ? "waiting" : "timed out";
}
