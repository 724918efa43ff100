/**
 * Bounds a `Map` or a `Set` that forgets its oldest entry first.
 *
 * @module
 */

/**
 * Deletes the oldest entries until at most `max` are left. Both collections keep the order of
 * insertion, so an entry that should count as new is deleted before it is set again.
 */
export function deleteOldest<Key>(
  entries: Map<Key, unknown> | Set<Key>,
  max: number,
): void {
  for (const key of entries.keys()) {
    if (entries.size <= max) return;
    entries.delete(key);
  }
}
