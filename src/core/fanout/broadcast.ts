/**
 * The broadcast delivers changes to version 1: one message for each change of another user.
 *
 * The ring holds each message as text, made once for all connections. The broadcast does not
 * know version 2.
 *
 * @module
 */
import { DISCONNECT } from "../../client/protocol/disconnect.ts";
import type { Ring } from "../roster/ring.ts";
import { SEND_BUFFER_BYTES_MAX, SENDS_PER_VISIT_MAX } from "./limits.ts";
import type { Visited } from "./pump.ts";
import type { Sender } from "./sender.ts";
import type { V1Subscriber } from "./subscriber.ts";

export class Broadcast {
  readonly #ring: Ring;
  readonly #sender: Sender;

  constructor(ring: Ring, sender: Sender) {
    this.#ring = ring;
    this.#sender = sender;
  }

  /** Sends the changes from the subscriber's cursor on, and moves the cursor behind them. */
  visit(subscriber: V1Subscriber): Visited {
    const ring = this.#ring;
    const sender = this.#sender;
    const { connection } = subscriber;
    if (connection.state !== "live") return "idle";
    if (subscriber.cursor < ring.tail) {
      // Version 1 has no snapshot that could close the gap.
      sender.dropSlowConsumer(connection, DISCONNECT.slowConsumerBehind);
      return "idle";
    }
    if (subscriber.cursor === ring.head) return "idle";
    if (connection.bufferedBytes >= SEND_BUFFER_BYTES_MAX) {
      return sender.defer(subscriber);
    }
    subscriber.stall = undefined;
    const end = Math.min(ring.head, subscriber.cursor + SENDS_PER_VISIT_MAX);
    for (; subscriber.cursor < end; subscriber.cursor += 1) {
      const change = ring.at(subscriber.cursor);
      if (
        subscriber.concerns(change) &&
        sender.send(connection, change.message) === "failed"
      ) return "idle";
    }
    return end < ring.head ? "continue" : "idle";
  }
}
