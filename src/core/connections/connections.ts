/**
 * Every way in and out of the hub.
 *
 * Whoever opens or ends a connection does it here, so that what follows from it (claims,
 * messages) is in one order. What that is, is not known here.
 *
 * @module
 */
import type { Metrics } from "../../base/metrics.ts";
import type { Disconnect } from "../../protocol/disconnect.ts";
import type { Connection } from "./connection.ts";
import type { Hub } from "./hub.ts";

/** Who has to know of connections as they come and go. */
export interface ConnectionObserver {
  /** It is in the hub. */
  opened(connection: Connection): void;
  /** It is out of the hub. `last`: its user has no other here. */
  ended(connection: Connection, left: "last" | "more"): void;
}

export class Connections {
  readonly hub: Hub;
  readonly #metrics: Pick<Metrics, "closed">;
  #observers: readonly ConnectionObserver[] = [];

  constructor(hub: Hub, metrics: Pick<Metrics, "closed">) {
    this.hub = hub;
    this.#metrics = metrics;
  }

  /** Told in this order. */
  observe(...observers: readonly ConnectionObserver[]): void {
    this.#observers = observers;
  }

  open(connection: Connection): void {
    this.hub.register(connection.userId, connection);
    for (const observer of this.#observers) observer.opened(connection);
  }

  /** Its socket has ended. Safe to repeat. */
  closed(connection: Connection): void {
    connection.end();
    this.#remove(connection);
  }

  /** Ends it from our side. It counts as gone now, whenever its peer answers. */
  disconnect(connection: Connection, why: Disconnect): void {
    if (connection.close(why) === "closing") {
      this.#metrics.closed(why.code, "server");
    }
    this.#remove(connection);
  }

  #remove(connection: Connection): void {
    const left = this.hub.unregister(connection.userId, connection);
    if (left === "absent") return;
    for (const observer of this.#observers) observer.ended(connection, left);
  }
}
