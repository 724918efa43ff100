/**
 * The sender sends messages to one connection at a time, and disconnects slow consumers.
 *
 * A slow consumer is a peer that does not read what was sent to it. This file owns the rule for
 * how long a peer may stall, that is, read nothing. A send that fails ends that connection and
 * affects no other. The sender does not know what a message means, or which connections are due.
 *
 * @module
 */
import type { Clock } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import type { Metrics } from "../../base/metrics.ts";
import {
  DISCONNECT,
  type Disconnect,
} from "../../client/protocol/disconnect.ts";
import type { Connection } from "../connections/connection.ts";
import type { Connections } from "../connections/connections.ts";
import {
  SEND_BUFFER_BYTES_MAX,
  SLOW_CONSUMER_BYTES_PER_SECOND_MIN,
  SLOW_CONSUMER_MS,
} from "./limits.ts";
import type { Visited } from "../../base/pump.ts";
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

  /**
   * Passes over a connection that has unsent bytes. Disconnects it if its peer has read nothing
   * for too long.
   */
  defer(subscriber: Subscriber): Visited {
    const { connection, stall } = subscriber;
    const now = this.#deps.clock.now();
    const bytes = connection.bufferedBytes;
    // More bytes than before are no sign of reading: a control message may have been added.
    const isReading = stall === undefined || bytes < stall.bytes;
    const since = isReading ? now : stall.since;
    subscriber.stall = { since, bytes };
    // The socket counts a message as unsent until all of it has left, so a large one needs time.
    const extraBytes = Math.max(0, bytes - SEND_BUFFER_BYTES_MAX);
    const allowedMs = SLOW_CONSUMER_MS +
      extraBytes / SLOW_CONSUMER_BYTES_PER_SECOND_MIN * 1_000;
    if (now - since < allowedMs) return "retry later";
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
