/**
 * Rows of presence in memory, as transactions lock them: in id order.
 *
 * @module
 */
import type { UserId } from "../../src/client/protocol/user_id.ts";
import type { MemoryDatabase } from "./memory_database.ts";
import type { Steps, Transaction } from "./memory_transaction.ts";

/** A user and its name. */
export type Named = readonly [UserId, string];

/** Locks the rows of these users that exist, in id order. */
export function* lockPresence(
  { presence, compareIds }: MemoryDatabase,
  tx: Transaction,
  ids: readonly UserId[],
): Steps<void> {
  const existing = [...new Set(ids)]
    .filter((id) => tx.get(presence, id) !== undefined);
  for (const id of existing.sort(compareIds)) {
    yield* tx.lock(presence, id, "update");
  }
}

/** Locks the row of a user, if it exists and nobody has it locked. */
export function tryLockPresence(
  { presence }: MemoryDatabase,
  tx: Transaction,
  id: UserId,
): "granted" | "taken" | "absent" {
  return tx.get(presence, id) === undefined
    ? "absent"
    : tx.tryLock(presence, id, "update");
}

/** Makes rows for coming users without one, and locks them and the others, all in id order. */
export function* makePresence(
  { presence, compareIds }: MemoryDatabase,
  tx: Transaction,
  coming: readonly Named[],
  going: readonly UserId[],
): Steps<void> {
  const names = new Map(coming);
  const existing = going.filter((id) => tx.get(presence, id) !== undefined);
  const ids = new Set([...names.keys(), ...existing]);
  for (const id of [...ids].sort(compareIds)) {
    yield* tx.lock(presence, id, "no key update");
    const username = names.get(id);
    if (tx.get(presence, id) !== undefined || username === undefined) continue;
    tx.set(presence, id, {
      ...{ username, nodes: [], changedAt: undefined, copyDue: false },
    });
  }
}

/** Deletes rows that are locked, and that were made for nothing. */
export function deleteUnseen(
  { presence }: MemoryDatabase,
  tx: Transaction,
  ids: readonly UserId[],
): void {
  for (const id of ids) {
    const row = tx.get(presence, id);
    if (row?.changedAt === undefined && row?.copyDue === false) {
      tx.delete(presence, id);
    }
  }
}
