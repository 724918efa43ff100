/**
 * Totals by key, such as what each user holds, and the total of all keys.
 *
 * @module
 */

export class Totals<Key> {
  /** Invariant: no total is zero. */
  readonly #totals = new Map<Key, number>();
  #all = 0;

  get all(): number {
    return this.#all;
  }

  of(key: Key): number {
    return this.#totals.get(key) ?? 0;
  }

  /** @param count May be negative. */
  add(key: Key, count: number): void {
    this.#all += count;
    const total = this.of(key) + count;
    if (total === 0) this.#totals.delete(key);
    else this.#totals.set(key, total);
  }
}
