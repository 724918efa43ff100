/**
 * A group as one node knows it: who is online in it, and the newest changes that concern it.
 *
 * A change concerns a group if the user came into it or left it. The ring decides how long a
 * change is kept.
 *
 * @module
 */
import type { UserId } from "../../client/protocol/user_id.ts";
import type { Change } from "./change.ts";

export class Group {
  readonly #members = new Set<UserId>();
  #version = 0;
  /** Views that somebody keeps. */
  views = 0;
  /** Oldest first. Those before `#first` are forgotten. */
  #changes: Change[] = [];
  #first = 0;
  #end = 0;
  #forgottenEnd: number;

  /** @param tail The oldest position in the ring. What is before it is forgotten. */
  constructor(tail: number) {
    this.#forgottenEnd = tail;
  }

  get members(): ReadonlySet<UserId> {
    return this.#members;
  }

  /** The version of the roster since which the members and their names are the same. */
  get version(): number {
    return this.#version;
  }

  add(userId: UserId, version: number): void {
    this.#members.add(userId);
    this.#version = version;
  }

  remove(userId: UserId, version: number): void {
    this.#members.delete(userId);
    this.#version = version;
  }

  /** The position after the newest change that concerned the group. */
  get end(): number {
    return this.#end;
  }

  /** The position after the newest change that was forgotten. A viewer before it has missed one. */
  get forgottenEnd(): number {
    return this.#forgottenEnd;
  }

  /** Whether nothing is lost if the group is made anew. */
  get isUnused(): boolean {
    return this.members.size === 0 && this.views === 0 &&
      this.#first === this.#changes.length;
  }

  push(change: Change): void {
    this.#changes.push(change);
    this.#end = change.position + 1;
  }

  /** The ring has forgotten the oldest change. */
  forgetOldest(): void {
    const oldest = this.#changes[this.#first];
    if (oldest === undefined) return;
    this.#forgottenEnd = oldest.position + 1;
    this.#first += 1;
    // Moves the rest rarely, so that it costs little for each.
    if (this.#first * 2 < this.#changes.length) return;
    this.#changes = this.#changes.slice(this.#first);
    this.#first = 0;
  }

  /** The oldest changes from a position on, at most `limit`. */
  from(position: number, limit: number): Change[] {
    let low = this.#first;
    let high = this.#changes.length;
    while (low < high) {
      const middle = Math.floor((low + high) / 2);
      if ((this.#changes[middle]?.position ?? 0) < position) low = middle + 1;
      else high = middle;
    }
    return this.#changes.slice(low, low + limit);
  }
}
