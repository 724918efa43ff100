/**
 * The audience: which connections hear of whom.
 *
 * Version 1 hears of everybody, transition by transition. Version 2 hears of everybody in
 * merged differences, or of the users that it watches; for those there is an index from user
 * to watchers, so that a transition costs nothing for connections that do not watch its user.
 * Nothing here awaits, and nothing is sent from here.
 *
 * @module
 */
import type { Connection } from "../connections/connection.ts";
import { WATCHED_IDS_MAX } from "./limits.ts";
import type { UserId } from "../../protocol/user_id.ts";
import type { Change } from "../roster/ring.ts";

export class Subscriptions {
  /** Version 1. */
  readonly v1Connections = new Set<Connection>();
  /** Version 2, without those that watch. */
  readonly followers = new Set<Connection>();
  /** Connections that watch and have something to be told. */
  readonly pending = new Set<Connection>();
  readonly #watching = new Set<Connection>();
  /** Invariant: no set is empty. */
  readonly #watchers = new Map<UserId, Set<Connection>>();
  readonly #watchedIdsMax: number;
  #watchedIds = 0;

  constructor(watchedIdsMax = WATCHED_IDS_MAX) {
    this.#watchedIdsMax = watchedIdsMax;
  }

  /** Adds a connection that hears of everybody. */
  add(connection: Connection): void {
    if (connection.sync === undefined) this.v1Connections.add(connection);
    else this.followers.add(connection);
  }

  /** Removes a connection. Safe to repeat. */
  remove(connection: Connection): void {
    this.v1Connections.delete(connection);
    this.followers.delete(connection);
    this.#unwatch(connection);
  }

  /**
   * Lets a version 2 connection hear of these users only, instead of whom it heard of before.
   * `"full"`: the node's bound on watched ids is reached, and nothing changed.
   */
  watch(connection: Connection, ids: ReadonlySet<UserId>): "watching" | "full" {
    const { sync } = connection;
    if (sync === undefined) {
      throw new TypeError("Cannot watch over version 1: it has no watch set");
    }
    const freed = sync.watching?.ids.size ?? 0;
    if (this.#watchedIds - freed + ids.size > this.#watchedIdsMax) {
      return "full";
    }
    this.followers.delete(connection);
    this.#unwatch(connection);
    sync.watching = { ids, changed: new Map() };
    this.#watching.add(connection);
    this.#watchedIds += ids.size;
    for (const id of ids) {
      const watchers = this.#watchers.get(id);
      if (watchers === undefined) this.#watchers.set(id, new Set([connection]));
      else watchers.add(connection);
    }
    this.pending.add(connection);
    return "watching";
  }

  /** Lets a version 2 connection hear of everybody again. */
  follow(connection: Connection): void {
    this.#unwatch(connection);
    this.followers.add(connection);
  }

  /** Notes changes with those who watch these users. Costs as much as there are of them. */
  recordChanges(changes: readonly Change[]): void {
    for (const change of changes) {
      for (const connection of this.#watchers.get(change.userId) ?? []) {
        this.recordChange(connection, change);
      }
    }
  }

  /** Notes a change with a connection, if it watches the user. */
  recordChange(connection: Connection, { userId, status }: Change): void {
    const watching = connection.sync?.watching;
    if (watching?.ids.has(userId) !== true) return;
    if (!watching.changed.has(userId)) watching.changed.set(userId, status);
    this.pending.add(connection);
  }

  /** Says that a connection, if it watches, has something to be told. */
  markPending(connection: Connection): void {
    if (this.#watching.has(connection)) this.pending.add(connection);
  }

  /** Connections of version 2 that may have something to be told. */
  *pendingConnections(): Generator<Connection> {
    yield* this.followers;
    yield* [...this.pending];
  }

  /** How many connections watch. */
  get watching(): number {
    return this.#watching.size;
  }

  /** How many ids they watch, all together. */
  get watchedIds(): number {
    return this.#watchedIds;
  }

  /** How far the slowest connection that hears of everybody is behind a position in the ring. */
  lag(head: number): number {
    let lag = 0;
    for (const connections of [this.v1Connections, this.followers]) {
      for (const { cursor } of connections) {
        if (cursor >= 0) lag = Math.max(lag, head - cursor);
      }
    }
    return lag;
  }

  /** Every connection of version 2. */
  *synced(): Generator<Connection> {
    yield* this.followers;
    yield* this.#watching;
  }

  #unwatch(connection: Connection): void {
    const { sync } = connection;
    this.pending.delete(connection);
    this.#watching.delete(connection);
    if (sync?.watching === undefined) return;
    for (const id of sync.watching.ids) {
      const watchers = this.#watchers.get(id);
      watchers?.delete(connection);
      if (watchers?.size === 0) this.#watchers.delete(id);
    }
    this.#watchedIds -= sync.watching.ids.size;
    sync.watching = undefined;
  }
}
