/**
 * The connections of this node, and the only way to add or remove one.
 *
 * `open` adds a connection to the hub, `closed` and `disconnect` remove it. All three call the
 * observers in one fixed order: the fan-out stops delivery before presence writes claims. An
 * observer is called at the end of a connection exactly once, even where the server closes it, the
 * peer answers, and Deno reports the end of the socket twice.
 *
 * `disconnect` removes at once. Deno cannot terminate a socket, so one whose peer does not
 * answer the close frame may stay open for long after it is out of the hub.
 *
 * Costs: nothing here awaits, and each call costs the same whatever the number of connections.
 * `connection.ts` is one connection, and `hub.ts` the map from users to connections. This folder
 * does not know what the observers do.
 *
 * @module
 */
import type { Metrics } from "../../base/metrics.ts";
import { type Disconnect, isFinal } from "../../client/protocol/disconnect.ts";
import type { Connection } from "./connection.ts";
import type { Hub } from "./hub.ts";

/** A part of the core that is called when connections are added and removed. */
export interface ConnectionObserver {
  /** The connection was added to the hub. */
  opened?(connection: Connection): void;
  /**
   * The connection was removed from the hub.
   *
   * @param left `"last"`: the user has no other connection to this node.
   * @param isForGood The client is not expected back.
   */
  ended(
    connection: Connection,
    left: "last" | "more",
    isForGood: boolean,
  ): void;
}

export class Connections {
  readonly hub: Hub;
  readonly #metrics: Pick<Metrics, "closed">;
  #observers: readonly ConnectionObserver[] = [];

  constructor(hub: Hub, metrics: Pick<Metrics, "closed">) {
    this.hub = hub;
    this.#metrics = metrics;
  }

  /** Sets the observers. They are called in this order. */
  observe(...observers: readonly ConnectionObserver[]): void {
    this.#observers = observers;
  }

  open(connection: Connection): void {
    this.hub.register(connection);
    for (const observer of this.#observers) observer.opened?.(connection);
  }

  /**
   * The socket of a connection has ended. Safe to repeat.
   *
   * @param isForGood The client said that it leaves for good.
   */
  closed(connection: Connection, isForGood = false): void {
    connection.end();
    this.#remove(connection, isForGood);
  }

  /** Closes a connection from this side, and removes it without waiting for its peer. Safe to repeat. */
  disconnect(connection: Connection, why: Disconnect): void {
    const isClosed = connection.close(why) === "closing";
    if (isClosed) this.#metrics.closed(why, "server");
    this.#remove(connection, isFinal(why));
  }

  #remove(connection: Connection, isForGood: boolean): void {
    const left = this.hub.unregister(connection);
    if (left === "absent") return;
    for (const observer of this.#observers) {
      observer.ended(connection, left, isForGood);
    }
  }
}
