/**
 * The broadcast delivers changes to version 1: one message for each change of another user.
 *
 * The ring holds each message as text, made once for all connections. The broadcast does not
 * know version 2.
 *
 * @module
 */
import type { Clock } from "../../base/clock.ts";
import type { Metrics } from "../../base/metrics.ts";
import { DISCONNECT } from "../../protocol/disconnect.ts";
import type { Roster } from "../roster/roster.ts";
import { DeliveryTimer } from "./delivery_timer.ts";
import { SEND_BUFFER_BYTES_MAX, SENDS_PER_VISIT_MAX } from "./limits.ts";
import { Pump, type Visited } from "./pump.ts";
import type { Sender } from "./sender.ts";
import type { V1Subscriber } from "./subscriber.ts";
import type { Subscriptions } from "./subscriptions.ts";

export interface BroadcastDeps {
  readonly subscriptions: Subscriptions;
  readonly roster: Pick<Roster, "ring">;
  readonly sender: Sender;
  readonly clock: Clock;
  readonly metrics: Pick<Metrics, "delivered">;
}

export class Broadcast {
  readonly #deps: BroadcastDeps;
  readonly #pump: Pump<V1Subscriber>;
  readonly #timer: DeliveryTimer;

  constructor(deps: BroadcastDeps) {
    const { subscriptions, clock, metrics } = deps;
    this.#deps = deps;
    this.#timer = new DeliveryTimer(clock, (ms) => metrics.delivered(ms, 1));
    this.#pump = new Pump({
      clock,
      pauseMs: 0,
      begin: () => subscriptions.v1Subscribers(),
      visit: (subscriber) => this.#visit(subscriber),
      end: () => this.#timer.stop(),
    });
  }

  /** The ring has changes, of which the oldest happened at `since`. */
  publish(since: number): void {
    if (this.#deps.subscriptions.v1Connections > 0) this.#timer.start(since);
    this.wake();
  }

  wake(): void {
    this.#pump.wake();
  }

  async stop(): Promise<void> {
    await this.#pump.stop();
  }

  #visit(subscriber: V1Subscriber): Visited {
    const { sender, roster: { ring } } = this.#deps;
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
