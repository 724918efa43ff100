/**
 * The body of a long list, given to the server piece by piece as the peer reads it.
 *
 * Deno keeps what its peer has not read, and cannot end the connection of a peer that does not
 * read. So a peer that is slow costs a few pieces instead of a list. When its time is over the body
 * ends early: the connection is cut as soon as the peer reads on, and until then nothing is added.
 *
 * @module
 */
import type { Clock } from "../base/clock.ts";
import {
  SLOW_CONSUMER_BYTES_PER_SECOND_MIN,
  SLOW_CONSUMER_MS,
} from "../core/fanout/limits.ts";
import { LIST_PIECE_BYTES } from "./limits.ts";

/** The response needs a `Content-Length`, so that a body that ends early cannot pass for a whole one. */
export function inPieces(
  bytes: Uint8Array<ArrayBuffer>,
  clock: Pick<Clock, "sleep">,
): ReadableStream<Uint8Array<ArrayBuffer>> {
  let at = 0;
  const read = new AbortController();
  return new ReadableStream({
    start: (body) => {
      const ms = SLOW_CONSUMER_MS +
        bytes.length / SLOW_CONSUMER_BYTES_PER_SECOND_MIN * 1_000;
      void clock.sleep(ms, read.signal).then(() => {
        if (!read.signal.aborted) body.close();
      });
    },
    pull: (body) => {
      const end = Math.min(at + LIST_PIECE_BYTES, bytes.length);
      body.enqueue(bytes.subarray(at, end));
      at = end;
      if (at < bytes.length) return;
      read.abort();
      body.close();
    },
    cancel: () => read.abort(),
  }, { highWaterMark: 0 });
}
