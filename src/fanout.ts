/**
 * The fan-out moves every connection's cursor to the head of the ring.
 *
 * There is no queue per connection: a cursor is all that being behind costs. The pump works
 * in short slices, passes over connections whose peer does not read, and gives up on those
 * that never will. It does not know why anything changed.
 *
 * @module
 */
import type { Clock } from "./clock.ts";
import type { Connection } from "./connection.ts";
import type { Hub } from "./hub.ts";
import {
  FANOUT_SLICE_MS,
  SEND_BUFFER_BYTES_MAX,
  SENDS_PER_LOOK_MAX,
  SLOW_READER_MS,
  STALLED_RECHECK_MS,
} from "./limits.ts";
import type { Log } from "./log.ts";
import { CLOSE, type Close } from "./protocol.ts";
import type { Ring } from "./roster.ts";

export interface FanoutParts {
  readonly hub: Hub;
  readonly ring: Ring;
  readonly clock: Clock;
  readonly log: Log;
  /** Ends a connection for good, wherever it is known. */
  readonly disconnect: (
    connection: Connection,
    close: Close,
    reason: string,
  ) => void;
}

export class Fanout {
  readonly #parts: FanoutParts;
  readonly #stop = new AbortController();
  #running: Promise<void> | undefined;
  #recheck: Promise<void> | undefined;
  #wanted = false;

  constructor(parts: FanoutParts) {
    this.#parts = parts;
  }

  /** The ring grew or a connection became live. Any number of calls in one turn cause one pass. */
  wake(): void {
    this.#wanted = true;
    if (!this.#stop.signal.aborted) this.#running ??= this.#run();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#running;
    await this.#recheck;
  }

  async #run(): Promise<void> {
    await Promise.resolve();
    while (this.#wanted && !this.#stop.signal.aborted) {
      this.#wanted = false;
      await this.#pass();
    }
    this.#running = undefined;
  }

  /**
   * Visits every connection once. Whoever was visited before the ring grew again is met by
   * the next pass; whoever cannot progress waits for the recheck, so no pass spins on it.
   */
  async #pass(): Promise<void> {
    const { hub, clock } = this.#parts;
    let sliceEnd = clock.now() + FANOUT_SLICE_MS;
    let someStalled = false;
    for (const connection of hub.connections()) {
      if (this.#advance(connection) === "stalled") someStalled = true;
      if (clock.now() < sliceEnd) continue;
      await clock.yield();
      if (this.#stop.signal.aborted) return;
      sliceEnd = clock.now() + FANOUT_SLICE_MS;
    }
    if (someStalled) this.#recheck ??= this.#recheckLater();
  }

  async #recheckLater(): Promise<void> {
    await this.#parts.clock.sleep(STALLED_RECHECK_MS, this.#stop.signal);
    this.#recheck = undefined;
    this.wake();
  }

  #advance(connection: Connection): "told" | "stalled" {
    const { ring, disconnect } = this.#parts;
    if (connection.state !== "live") return "told";
    if (connection.cursor < ring.tail) {
      disconnect(connection, CLOSE.overloaded, "fell too far behind");
      return "told";
    }
    while (connection.cursor < ring.head) {
      if (connection.bufferedBytes >= SEND_BUFFER_BYTES_MAX) {
        return this.#stall(connection);
      }
      connection.stalled = undefined;
      const end = Math.min(ring.head, connection.cursor + SENDS_PER_LOOK_MAX);
      if (this.#send(connection, end) === "failed") return "told";
    }
    return "told";
  }

  #send(connection: Connection, end: number): "sent" | "failed" {
    const { ring, log, disconnect } = this.#parts;
    try {
      for (; connection.cursor < end; connection.cursor += 1) {
        const change = ring.at(connection.cursor);
        if (change.userId !== connection.userId) {
          connection.send(change.message);
        }
      }
      return "sent";
    } catch (err) {
      log.warn(
        { userId: connection.userId, err },
        "cannot send to a connection",
      );
      disconnect(connection, CLOSE.internal, "send failed");
      return "failed";
    }
  }

  /** The peer does not read. It costs its full buffer, and only for so long. */
  #stall(connection: Connection): "told" | "stalled" {
    const now = this.#parts.clock.now();
    const bytes = connection.bufferedBytes;
    if (connection.stalled === undefined || bytes < connection.stalled.bytes) {
      connection.stalled = { since: now, bytes };
    } else if (now - connection.stalled.since >= SLOW_READER_MS) {
      this.#parts.disconnect(connection, CLOSE.overloaded, "reads too slowly");
      return "told";
    }
    return "stalled";
  }
}
