/**
 * An audience is the connections of this node whose users are in the same groups: they see the
 * same users, and share a view and their messages.
 *
 * Without groups there is one audience. The audiences lead from a change to the connections that
 * may see it, so a change costs nothing for all others.
 *
 * @module
 */
import { SetMap } from "../../base/set_map.ts";
import type { Change } from "../roster/change.ts";
import { difference, type Groups } from "../roster/groups.ts";
import type { Roster } from "../roster/roster.ts";
import type { View } from "../roster/view.ts";
import {
  type Subscriber,
  V1Subscriber,
  type V2Subscriber,
} from "./subscriber.ts";

export class Audience {
  readonly view: View;
  readonly v1 = new Set<V1Subscriber>();
  /** Version 2, with the scope `"*"`. */
  readonly wildcards = new Set<V2Subscriber>();
  /** Version 2, with a watch set. Changes find them by the users that they watch. */
  readonly watchers = new Set<V2Subscriber>();

  constructor(view: View) {
    this.view = view;
  }

  get isEmpty(): boolean {
    return this.v1.size + this.wildcards.size + this.watchers.size === 0;
  }

  add(subscriber: Subscriber): void {
    if (subscriber instanceof V1Subscriber) this.v1.add(subscriber);
    else this.#membersLike(subscriber).add(subscriber);
  }

  /** Call it before the subscriber's scope changes. */
  delete(subscriber: Subscriber): void {
    if (subscriber instanceof V1Subscriber) this.v1.delete(subscriber);
    else this.#membersLike(subscriber).delete(subscriber);
  }

  #membersLike({ scope }: V2Subscriber): Set<V2Subscriber> {
    return scope === "*" ? this.wildcards : this.watchers;
  }
}

export class Audiences {
  readonly #roster: Roster;
  readonly #byKey = new Map<string, Audience>();
  readonly #byGroup = new SetMap<string, Audience>();

  constructor(roster: Roster) {
    this.#roster = roster;
  }

  /** Audiences with a member. */
  get size(): number {
    return this.#byKey.size;
  }

  all(): Iterable<Audience> {
    return this.#byKey.values();
  }

  /** Adds a subscriber to the audience of these groups, and takes it out of its present one. */
  move(subscriber: Subscriber, groups: Groups): Audience {
    this.leave(subscriber);
    const audience = this.#byKey.get(groups.key) ?? this.#create(groups);
    audience.add(subscriber);
    subscriber.audience = audience;
    return audience;
  }

  /** Takes a subscriber out of its audience. Safe if it is in none. */
  leave(subscriber: Subscriber): void {
    const { audience } = subscriber;
    if (audience === undefined) return;
    audience.delete(subscriber);
    subscriber.audience = undefined;
    if (audience.isEmpty) this.#delete(audience);
  }

  /** The audiences that may see a change. */
  of({ before, after }: Change): Iterable<Audience> {
    const names = difference(before, after);
    const [first = ""] = names;
    if (names.length <= 1) return this.#byGroup.of(first);
    const audiences = new Set<Audience>();
    for (const name of names) {
      for (const audience of this.#byGroup.of(name)) audiences.add(audience);
    }
    return audiences;
  }

  #create(groups: Groups): Audience {
    const audience = new Audience(this.#roster.keepView(groups));
    this.#byKey.set(groups.key, audience);
    for (const name of groups.names) this.#byGroup.add(name, audience);
    return audience;
  }

  #delete(audience: Audience): void {
    const { view } = audience;
    this.#byKey.delete(view.groups.key);
    for (const name of view.groups.names) {
      this.#byGroup.delete(name, audience);
    }
    this.#roster.dropView(view);
  }
}
