/**
 * Locks of rows and tables, as Postgres grants them.
 *
 * A lock is held until its transaction ends. Requests wait in order of arrival. Circles of
 * transactions that wait for each other are counted: the simulation holds that none occurs. What a
 * transaction is, and for how long it waits, is not known here.
 *
 * @module
 */

/**
 * Of a row: `"key share"` keeps it from being deleted, `"share"` from being changed, `"no key update"`
 * is what an update takes, `"update"` excludes every other. Of a table: `"read"`, which writers take too, and `"exclusive"`.
 */
export type LockMode =
  | "key share"
  | "share"
  | "no key update"
  | "update"
  | "read"
  | "exclusive";

const CONFLICTS: Readonly<Record<LockMode, readonly LockMode[]>> = {
  "key share": ["update"],
  "share": ["no key update", "update"],
  "no key update": ["share", "no key update", "update"],
  "update": ["key share", "share", "no key update", "update"],
  "read": ["exclusive"],
  "exclusive": ["read", "exclusive"],
};

/** Compared by identity. */
type Owner = object;

interface Holding {
  readonly owner: Owner;
  readonly mode: LockMode;
}

interface Request extends Holding {
  readonly onGranted: () => void;
}

interface Lock {
  /** Which row or table it is, for a person who reads it. */
  readonly name: string;
  readonly holdings: Holding[];
  readonly queue: Request[];
}

export class Locks {
  readonly #locks = new Map<object, Map<unknown, Lock>>();
  readonly #heldBy = new Map<Owner, Lock[]>();
  readonly #waitsFor = new Map<Owner, Lock>();
  /** Circles of transactions that waited for each other: what each of them waited for. */
  readonly deadlocks: string[] = [];

  /** Takes a lock if it is free. `"taken"`: another transaction has it, or waits for the table. */
  tryAcquire(
    owner: Owner,
    table: object,
    key: unknown,
    mode: LockMode,
  ): "granted" | "taken" {
    const lock = this.#lockOf(table, key);
    const { holdings, queue } = lock;
    for (const one of holdings) {
      if (conflicts(one, owner, mode)) return "taken";
    }
    const isHeld = holdings.some((one) =>
      one.owner === owner && (one.mode === mode || one.mode === "update")
    );
    if (isHeld) return "granted";
    // A table is given in order of arrival. A row may be taken before others that wait for it.
    const mustQueue = mode === "read" &&
      queue.some((one) => conflicts(one, owner, mode)) &&
      !holdings.some((one) => one.owner === owner);
    if (mustQueue) return "taken";
    this.#grant(lock, { owner, mode });
    return "granted";
  }

  /**
   * Queues for a lock that is taken.
   *
   * @param onGranted Called by the transaction that releases it.
   * @returns Gives the request up.
   */
  request(
    owner: Owner,
    table: object,
    key: unknown,
    mode: LockMode,
    onGranted: () => void,
  ): () => void {
    const lock = this.#lockOf(table, key);
    const request = { owner, mode, onGranted };
    lock.queue.push(request);
    this.#waitsFor.set(owner, lock);
    const cancel = () => {
      const at = lock.queue.indexOf(request);
      if (at < 0) return;
      lock.queue.splice(at, 1);
      this.#waitsFor.delete(owner);
      this.#serve(lock);
    };
    return cancel;
  }

  /** Whether an owner that waits is, directly or not, waited for by itself. */
  isInCircle(owner: Owner): boolean {
    if (!this.#waitsForOwner(owner, owner, new Set())) return false;
    const waits = [...this.#waitsFor.values()].map(({ name }) => name);
    this.deadlocks.push(waits.join(", "));
    return true;
  }

  /** How many owners wait. */
  get waitingCount(): number {
    return this.#waitsFor.size;
  }

  /** How many locks an owner has. A later `release` can keep these. */
  countOf(owner: Owner): number {
    return this.#heldBy.get(owner)?.length ?? 0;
  }

  /** Releases all locks of an owner, except the first `keep`. */
  release(owner: Owner, keep = 0): void {
    const held = this.#heldBy.get(owner);
    if (held === undefined) return;
    const released = held.splice(keep);
    if (keep === 0) this.#heldBy.delete(owner);
    for (const lock of released) {
      const at = lock.holdings.findLastIndex((one) => one.owner === owner);
      lock.holdings.splice(at, 1);
      this.#serve(lock);
    }
  }

  /** Forgets every lock and every request, which are never granted. */
  clear(): void {
    this.#locks.clear();
    this.#heldBy.clear();
    this.#waitsFor.clear();
  }

  #lockOf(table: object, key: unknown): Lock {
    let locks = this.#locks.get(table);
    if (locks === undefined) this.#locks.set(table, locks = new Map());
    let lock = locks.get(key);
    if (lock === undefined) {
      const name = `${(table as { name?: string }).name} ${String(key)}`;
      locks.set(key, lock = { name, holdings: [], queue: [] });
    }
    return lock;
  }

  #grant(lock: Lock, holding: Holding): void {
    lock.holdings.push(holding);
    const held = this.#heldBy.get(holding.owner);
    if (held === undefined) this.#heldBy.set(holding.owner, [lock]);
    else held.push(lock);
  }

  /** Grants what is first in the queue, for as long as nothing that is held conflicts with it. */
  #serve(lock: Lock): void {
    for (let next = lock.queue[0]; next !== undefined; next = lock.queue[0]) {
      const { owner, mode } = next;
      if (lock.holdings.some((one) => conflicts(one, owner, mode))) return;
      lock.queue.shift();
      this.#waitsFor.delete(owner);
      this.#grant(lock, { owner, mode });
      next.onGranted();
    }
  }

  /** Whether `owner` waits, directly or not, for `target`. */
  #waitsForOwner(owner: Owner, target: Owner, seen: Set<Owner>): boolean {
    const lock = this.#waitsFor.get(owner);
    if (lock === undefined || seen.has(owner)) return false;
    seen.add(owner);
    const at = lock.queue.findIndex((one) => one.owner === owner);
    const mode = lock.queue[at]?.mode ?? "update";
    const rivals = [...lock.holdings, ...lock.queue.slice(0, at)];
    return rivals.some((rival) =>
      conflicts(rival, owner, mode) &&
      (rival.owner === target || this.#waitsForOwner(rival.owner, target, seen))
    );
  }
}

function conflicts(one: Holding, owner: Owner, mode: LockMode): boolean {
  return one.owner !== owner && CONFLICTS[mode].includes(one.mode);
}
