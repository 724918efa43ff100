/**
 * The subscriptions hold every subscriber of the node, and find the watchers of a user.
 *
 * A subscriber without a watch set reads the ring. For the others there is an index from a user
 * to its watchers, so a change costs nothing for a connection that does not watch the user.
 * Nothing here awaits or sends.
 *
 * @module
 */
import { Totals } from "../../base/totals.ts";
import type { UserId } from "../../client/protocol/user_id.ts";
import type { Connection } from "../connections/connection.ts";
import type { Change } from "../roster/ring.ts";
import { WATCHED_IDS_MAX, WATCHED_IDS_PER_USER_MAX } from "./limits.ts";
import type { Scope, V1Subscriber, V2Subscriber } from "./subscriber.ts";

export class Subscriptions {
  readonly #v1 = new Map<Connection, V1Subscriber>();
  /** Version 2, with the scope `"*"`. */
  readonly #wildcards = new Map<Connection, V2Subscriber>();
  /** Version 2, with a watch set. */
  readonly #watchers = new Map<Connection, V2Subscriber>();
  /** Invariant: no set is empty. */
  readonly #watchersByUser = new Map<UserId, Set<V2Subscriber>>();
  /** Watchers for which a snapshot or diff may be due. */
  readonly #pending = new Set<V2Subscriber>();
  readonly #watchedIdsMax: number;
  readonly #userIdsMax: number;
  readonly #watchedIds = new Totals<UserId>();

  constructor(idsMax = WATCHED_IDS_MAX, userIdsMax = WATCHED_IDS_PER_USER_MAX) {
    this.#watchedIdsMax = idsMax;
    this.#userIdsMax = userIdsMax;
  }

  /** Connections of version 1. */
  get v1Connections(): number {
    return this.#v1.size;
  }

  /** Connections of version 2, watchers included. */
  get v2Connections(): number {
    return this.#wildcards.size + this.#watchers.size;
  }

  /** Connections of version 2 that watch a set of users. */
  get watchers(): number {
    return this.#watchers.size;
  }

  /** Ids in the watch sets of all watchers together. */
  get watchedIds(): number {
    return this.#watchedIds.all;
  }

  /** Connections of version 2 for which a message may be due. */
  get pending(): number {
    return this.#wildcards.size + this.#pending.size;
  }

  addV1(subscriber: V1Subscriber): void {
    this.#v1.set(subscriber.connection, subscriber);
  }

  /** `"full"`: the limit of watched ids of the node or the user is reached, and nothing changed. */
  addV2(subscriber: V2Subscriber): "added" | "full" {
    if (!this.#hasRoom(subscriber, sizeOf(subscriber.scope))) return "full";
    this.#index(subscriber);
    return "added";
  }

  /** Gives a subscriber another scope. `"full"`: as with `addV2`. */
  watch(
    subscriber: V2Subscriber,
    scope: Scope,
    ref?: number,
  ): "watching" | "full" {
    const ids = sizeOf(scope) - sizeOf(subscriber.scope);
    if (!this.#hasRoom(subscriber, ids)) return "full";
    this.#unindex(subscriber);
    subscriber.watch(scope, ref);
    this.#index(subscriber);
    return "watching";
  }

  /** Removes the subscriber of a connection. Safe to repeat. */
  remove(connection: Connection): void {
    if (this.#v1.delete(connection)) return;
    const subscriber = this.v2SubscriberOf(connection);
    if (subscriber !== undefined) this.#unindex(subscriber);
  }

  v2SubscriberOf(connection: Connection): V2Subscriber | undefined {
    return this.#wildcards.get(connection) ?? this.#watchers.get(connection);
  }

  /** Records changes with the watchers of their users. Costs one step for each watcher. */
  recordChanges(changes: readonly Change[]): void {
    for (const change of changes) {
      for (const watcher of this.#watchersByUser.get(change.userId) ?? []) {
        watcher.record(change);
        this.#pending.add(watcher);
      }
    }
  }

  /** The roster was replaced, so every version 2 client needs a snapshot. */
  requireSnapshots(): void {
    for (const subscriber of this.#wildcards.values()) {
      subscriber.requireSnapshot();
    }
    for (const watcher of this.#watchers.values()) {
      watcher.requireSnapshot();
      this.#pending.add(watcher);
    }
  }

  /** A watcher was sent its snapshot or diff. */
  clearPending(watcher: V2Subscriber): void {
    this.#pending.delete(watcher);
  }

  /**
   * Version 1. The walk may be spread over time: it includes subscribers that are added meanwhile,
   * and leaves out those that are removed.
   */
  v1Subscribers(): Iterable<V1Subscriber> {
    return this.#v1.values();
  }

  /** Version 2 subscribers for which a message may be due. The walk may be spread over time. */
  *pendingSubscribers(): Generator<V2Subscriber> {
    yield* this.#wildcards.values();
    yield* [...this.#pending];
  }

  /** The largest number of changes before `head` that one connection without a watch set lacks. */
  lag(head: number): number {
    let lag = 0;
    for (const subscribers of [this.#v1, this.#wildcards]) {
      for (const { cursor = head } of subscribers.values()) {
        lag = Math.max(lag, head - cursor);
      }
    }
    return lag;
  }

  #hasRoom({ connection: { userId } }: V2Subscriber, ids: number): boolean {
    return this.#watchedIds.all + ids <= this.#watchedIdsMax &&
      this.#watchedIds.of(userId) + ids <= this.#userIdsMax;
  }

  #index(subscriber: V2Subscriber): void {
    const { connection, scope } = subscriber;
    if (scope === "*") {
      this.#wildcards.set(connection, subscriber);
      return;
    }
    this.#watchers.set(connection, subscriber);
    this.#watchedIds.add(connection.userId, scope.size);
    for (const id of scope) {
      const watchers = this.#watchersByUser.get(id);
      if (watchers !== undefined) watchers.add(subscriber);
      else this.#watchersByUser.set(id, new Set([subscriber]));
    }
    this.#pending.add(subscriber);
  }

  #unindex(subscriber: V2Subscriber): void {
    const { connection, scope } = subscriber;
    this.#wildcards.delete(connection);
    this.#pending.delete(subscriber);
    if (!this.#watchers.delete(connection) || scope === "*") return;
    this.#watchedIds.add(connection.userId, -scope.size);
    for (const id of scope) {
      const watchers = this.#watchersByUser.get(id);
      watchers?.delete(subscriber);
      if (watchers?.size === 0) this.#watchersByUser.delete(id);
    }
  }
}

function sizeOf(scope: Scope): number {
  return scope === "*" ? 0 : scope.size;
}
