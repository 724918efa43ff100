/**
 * How a node reaches the database in memory. `memory_pool.ts` has connections with faults.
 *
 * @module
 */
import type { Subscription } from "../../src/core/store/store.ts";
import type { MemoryDatabase } from "./memory_database.ts";
import type { Steps, Transaction } from "./memory_transaction.ts";

type Body<T> = (transaction: Transaction) => Steps<T>;

/** How a node reaches its database. */
export interface Connections {
  /** Runs one statement in a transaction of its own. */
  query<T>(body: Body<T>): Promise<T>;
  /** The same, over connections that only the lease uses. */
  queryForLease<T>(body: Body<T>): Promise<T>;
  /** Opens a connection that listens. */
  listen(onPayload: (payload: string) => void): Promise<Subscription>;
}

/** Connections that are always there. */
export function directly(database: MemoryDatabase): Connections {
  return {
    query: (body) => database.engine.execute(body),
    queryForLease: (body) => database.engine.execute(body),
    listen: (onPayload) => Promise.resolve(listenTo(database, onPayload)),
  };
}

/** A connection that listens, until it is closed. */
export function listenTo(
  database: MemoryDatabase,
  onPayload: (payload: string) => void,
): Subscription {
  const { promise, resolve } = Promise.withResolvers<void>();
  database.listeners.add(onPayload);
  return {
    ended: promise,
    head: () => Promise.resolve(database.seq),
    // deno-lint-ignore require-await -- it is a promise in the interface
    close: async () => {
      database.listeners.delete(onPayload);
      resolve();
    },
  };
}
