/**
 * The pending subscribers of one version: those to which something may have to be sent.
 *
 * A change concerns whole audiences, which are noted as such: their members are found when the
 * pass comes to them.
 *
 * @module
 */
import type { Audience } from "./audience.ts";

export class Pending<
  Subscriber extends { readonly audience?: Audience | undefined },
> {
  readonly #membersOf: (audience: Audience) => ReadonlySet<Subscriber>;
  #audiences = new Set<Audience>();
  #subscribers = new Set<Subscriber>();

  constructor(membersOf: (audience: Audience) => ReadonlySet<Subscriber>) {
    this.#membersOf = membersOf;
  }

  get isEmpty(): boolean {
    return this.#audiences.size + this.#subscribers.size === 0;
  }

  add(subscriber: Subscriber): void {
    this.#subscribers.add(subscriber);
  }

  addAll(audience: Audience): void {
    if (this.#membersOf(audience).size > 0) this.#audiences.add(audience);
  }

  /** The connection has ended. */
  delete(subscriber: Subscriber): void {
    this.#subscribers.delete(subscriber);
  }

  /**
   * All of them, of which none is pending any more, audience by audience: its members share texts.
   * The walk may be spread over time.
   */
  *take(): Generator<Subscriber> {
    const audiences = this.#audiences;
    const subscribers = this.#subscribers;
    this.#audiences = new Set();
    this.#subscribers = new Set();
    const others = Map.groupBy(subscribers, ({ audience }) => audience);
    for (const audience of audiences) {
      yield* this.#membersOf(audience);
      yield* others.get(audience) ?? [];
      others.delete(audience);
    }
    for (const members of others.values()) yield* members;
  }
}
