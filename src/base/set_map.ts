/**
 * A map from keys to sets of values.
 *
 * @module
 */

export class SetMap<Key, Value> {
  /** Invariant: no set is empty. */
  readonly #sets = new Map<Key, Set<Value>>();

  /** The values of a key. Empty if it has none. */
  of(key: Key): Iterable<Value> {
    return this.#sets.get(key) ?? [];
  }

  add(key: Key, value: Value): void {
    const values = this.#sets.get(key);
    if (values !== undefined) values.add(value);
    else this.#sets.set(key, new Set([value]));
  }

  /** Safe if the key does not have the value. */
  delete(key: Key, value: Value): void {
    const values = this.#sets.get(key);
    values?.delete(value);
    if (values?.size === 0) this.#sets.delete(key);
  }
}
