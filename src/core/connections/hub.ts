/**
 * The hub knows which connections on this node belong to which user.
 *
 * Nothing here awaits, so every call is atomic: a user's first and last connection are each
 * reported exactly once. The hub does not know the other nodes: the store decides whether a user
 * is online anywhere.
 *
 * @module
 */
import type { UserId } from "../../client/protocol/user_id.ts";
import type { Connection } from "./connection.ts";

export class Hub {
  /** Invariant: no set is empty. A user without connections has no entry. */
  readonly #connectionsByUser = new Map<UserId, Set<Connection>>();

  /** Adds a connection. `"first"`: the user had no other here. */
  register(connection: Connection): "first" | "more" {
    const { userId } = connection;
    const connections = this.#connectionsByUser.get(userId);
    connections?.add(connection);
    if (connections !== undefined) return "more";
    this.#connectionsByUser.set(userId, new Set([connection]));
    return "first";
  }

  /** Removes a connection. `"last"`: the user has no other here. Safe to repeat. */
  unregister(connection: Connection): "last" | "more" | "absent" {
    const { userId } = connection;
    const connections = this.#connectionsByUser.get(userId);
    if (!connections?.delete(connection)) return "absent";
    if (connections.size > 0) return "more";
    this.#connectionsByUser.delete(userId);
    return "last";
  }

  /**
   * Whether the user has a connection here now. Presence asks when it writes, and not when a
   * connection opens or ends: the answer may have changed in between.
   */
  has(userId: UserId): boolean {
    return this.#connectionsByUser.has(userId);
  }

  /** The number of users with a connection here. */
  get size(): number {
    return this.#connectionsByUser.size;
  }

  connectionsOf(userId: UserId): readonly Connection[] {
    return [...this.#connectionsByUser.get(userId) ?? []];
  }

  userIds(): Iterable<UserId> {
    return this.#connectionsByUser.keys();
  }

  /**
   * Every connection. The walk may be spread over time: it includes connections that are added
   * meanwhile, and leaves out those that are removed.
   */
  *connections(): Generator<Connection> {
    for (const connections of this.#connectionsByUser.values()) {
      yield* connections;
    }
  }
}

/** The hub of this process. A simulation of several nodes makes its own. */
export const hub: Hub = new Hub();
