/**
 * The sender sends messages to one connection at a time, and disconnects slow consumers.
 *
 * A send that fails ends that connection and affects no other. The sender does not know what a
 * message means, or which connections are due.
 *
 * @module
 */
import type { Clock } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import type { Metrics } from "../../base/metrics.ts";
import { DISCONNECT, type Disconnect } from "../../protocol/disconnect.ts";
import type { Connection } from "../connections/connection.ts";
import type { Connections } from "../connections/connections.ts";
import type { Visited } from "./pump.ts";
import { recordStall } from "./slow_consumer.ts";
import type { Subscriber } from "./subscriber.ts";

export interface SenderDeps {
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Pick<Metrics, "slowConsumerDropped">;
  readonly connections: Pick<Connections, "disconnect">;
}

export class Sender {
  readonly #deps: SenderDeps;

  constructor(deps: SenderDeps) {
    this.#deps = deps;
  }

  /** `"failed"`: the connection was disconnected. The caller sends it nothing more. */
  send(connection: Connection, text: string): "sent" | "failed" {
    try {
      connection.send(text);
      return "sent";
    } catch (err) {
      const { log, connections } = this.#deps;
      const { userId } = connection;
      log.warn({ userId, err }, "cannot send to a connection");
      connections.disconnect(connection, DISCONNECT.sendFailed);
      return "failed";
    }
  }

  /** Passes over a connection that has unsent bytes, or disconnects it as a slow consumer. */
  defer(subscriber: Subscriber): Visited {
    const now = this.#deps.clock.now();
    if (recordStall(subscriber, now) === "waiting") return "retry later";
    const { connection } = subscriber;
    this.dropSlowConsumer(connection, DISCONNECT.slowConsumerStopped);
    return "idle";
  }

  dropSlowConsumer(connection: Connection, why: Disconnect): void {
    const { log, metrics, connections } = this.#deps;
    const { userId } = connection;
    metrics.slowConsumerDropped();
    log.info({ userId, reason: why.reason }, "disconnected a slow consumer");
    connections.disconnect(connection, why);
  }
}
