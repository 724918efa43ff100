/**
 * The subscriptions hold every subscriber of the node, and find those that a change concerns.
 *
 * A subscriber without a watch set reads the ring, with its audience. For the others there is an
 * index from a user to its watchers. So a change costs nothing for a connection that may not see
 * the user, or does not watch it. Nothing here awaits or sends.
 *
 * @module
 */
import { SetMap } from "../../base/set_map.ts";
import { Totals } from "../../base/totals.ts";
import type { UserId } from "../../client/protocol/user_id.ts";
import type { Connection } from "../connections/connection.ts";
import type { Change } from "../roster/change.ts";
import type { Groups } from "../roster/groups.ts";
import type { Roster } from "../roster/roster.ts";
import { type Audience, Audiences } from "./audience.ts";
import { WATCHED_IDS_MAX, WATCHED_IDS_PER_USER_MAX } from "./limits.ts";
import { Pending } from "./pending.ts";
import {
  type Scope,
  type Subscriber,
  V1Subscriber,
  type V2Subscriber,
} from "./subscriber.ts";

export class Subscriptions {
  readonly pendingV1 = new Pending<V1Subscriber>(({ v1 }) => v1);
  readonly pendingV2 = new Pending<V2Subscriber>(({ wildcards }) => wildcards);
  readonly #audiences: Audiences;
  readonly #v1 = new Map<Connection, V1Subscriber>();
  readonly #v2 = new Map<Connection, V2Subscriber>();
  readonly #watchersByUser = new SetMap<UserId, V2Subscriber>();
  #watchers = 0;
  readonly #watchedIdsMax: number;
  readonly #userIdsMax: number;
  readonly #watchedIds = new Totals<UserId>();

  constructor(
    roster: Roster,
    idsMax = WATCHED_IDS_MAX,
    userIdsMax = WATCHED_IDS_PER_USER_MAX,
  ) {
    this.#audiences = new Audiences(roster);
    this.#watchedIdsMax = idsMax;
    this.#userIdsMax = userIdsMax;
  }

  /** Connections of version 1. */
  get v1Connections(): number {
    return this.#v1.size;
  }

  /** Connections of version 2, watchers included. */
  get v2Connections(): number {
    return this.#v2.size;
  }

  /** Connections of version 2 that watch a set of users. */
  get watchers(): number {
    return this.#watchers;
  }

  /** Ids in the watch sets of all watchers together. */
  get watchedIds(): number {
    return this.#watchedIds.all;
  }

  /** Distinct sets of groups among the connections. */
  get audiences(): number {
    return this.#audiences.size;
  }

  addV1(subscriber: V1Subscriber): void {
    this.#v1.set(subscriber.connection, subscriber);
  }

  /** `"full"`: the limit of watched ids of the node or the user is reached, and nothing changed. */
  addV2(subscriber: V2Subscriber): "added" | "full" {
    if (!this.#hasRoom(subscriber, sizeOf(subscriber.scope))) return "full";
    this.#v2.set(subscriber.connection, subscriber);
    this.#index(subscriber);
    return "added";
  }

  /** Brings a subscriber to the audience of these groups. */
  move(subscriber: Subscriber, groups: Groups): Audience {
    return this.#audiences.move(subscriber, groups);
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
    subscriber.audience?.delete(subscriber);
    subscriber.watch(scope, ref);
    subscriber.audience?.add(subscriber);
    this.#index(subscriber);
    return "watching";
  }

  /** Removes the subscriber of a connection. Safe to repeat. */
  remove(connection: Connection): void {
    const subscriber = this.of(connection);
    if (subscriber === undefined) return;
    this.#audiences.leave(subscriber);
    if (subscriber instanceof V1Subscriber) {
      this.#v1.delete(connection);
      this.pendingV1.delete(subscriber);
    } else {
      this.#v2.delete(connection);
      this.#unindex(subscriber);
      this.pendingV2.delete(subscriber);
    }
  }

  of(connection: Connection): Subscriber | undefined {
    return this.#v1.get(connection) ?? this.#v2.get(connection);
  }

  v2SubscriberOf(connection: Connection): V2Subscriber | undefined {
    return this.#v2.get(connection);
  }

  /**
   * Notes who may have to be sent a change, and records it with the watchers of its user. Returns
   * how many connections may see it, without watchers.
   */
  record(change: Change): number {
    let count = 0;
    for (const audience of this.#audiences.of(change)) {
      this.pendingV1.addAll(audience);
      this.pendingV2.addAll(audience);
      count += audience.v1.size + audience.wildcards.size;
    }
    for (const watcher of this.#watchersByUser.of(change.userId)) {
      const sighting = watcher.audience?.view.sightingOf(change);
      if (sighting === undefined) continue;
      watcher.record(sighting);
      this.pendingV2.add(watcher);
    }
    return count;
  }

  /** The roster was replaced, so every version 2 client needs a snapshot. */
  requireSnapshots(): void {
    for (const subscriber of this.#v2.values()) {
      subscriber.requireSnapshot();
      this.pendingV2.add(subscriber);
    }
  }

  /**
   * How far one connection without a watch set is behind at most, in positions of the ring.
   */
  lag(): number {
    let lag = 0;
    for (const { v1, wildcards, view: { end } } of this.#audiences.all()) {
      for (const { cursor = end } of [...v1, ...wildcards]) {
        lag = Math.max(lag, end - cursor);
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
    if (scope === "*") return;
    this.#watchers += 1;
    this.#watchedIds.add(connection.userId, scope.size);
    for (const id of scope) this.#watchersByUser.add(id, subscriber);
  }

  #unindex(subscriber: V2Subscriber): void {
    const { connection, scope } = subscriber;
    if (scope === "*") return;
    this.#watchers -= 1;
    this.#watchedIds.add(connection.userId, -scope.size);
    for (const id of scope) this.#watchersByUser.delete(id, subscriber);
  }
}

function sizeOf(scope: Scope): number {
  return scope === "*" ? 0 : scope.size;
}
