/**
 * Rows of presence in memory, as transactions lock them: in id order.
 *
 * @module
 */
import type { UserId } from "../../src/client/protocol/user_id.ts";
import type { MemoryDatabase } from "./memory_database.ts";
import type { Steps, Transaction } from "./memory_transaction.ts";

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

/**
 * Inserts the rows that are missing, in id order, so that they can be locked. Waits for other
 * transactions that insert the same ones.
 */
export function* addMissing(
  { presence, compareIds }: MemoryDatabase,
  tx: Transaction,
  ids: readonly UserId[],
): Steps<void> {
  const missing = [...new Set(ids)]
    .filter((id) => tx.get(presence, id) === undefined);
  for (const id of missing.sort(compareIds)) {
    yield* tx.lock(presence, id, "update");
    if (tx.get(presence, id) !== undefined) continue;
    tx.set(presence, id, {
      ...{ username: "", nodes: [], changedAt: undefined, copyDue: false },
    });
  }
}

/** Deletes rows that are locked, and that `addMissing` inserted for nothing. */
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
