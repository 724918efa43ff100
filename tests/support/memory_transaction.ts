/**
 * Transactions over tables in memory, at READ COMMITTED.
 *
 * A transaction is a generator. It runs at once for as long as it does not yield. It yields where
 * Postgres lets other transactions in: `yield` alone between two statements, and a promise where
 * it waits. So a statement sees what was committed before it began, and rows that it waited for as
 * they are afterwards. Changes are kept aside and become visible at the commit, all at once.
 *
 * When a statement is cancelled and what a frozen database does is decided by `memory_engine.ts`.
 *
 * @module
 */
import type { LockMode, Locks } from "./memory_locks.ts";

/** What a transaction does, and where other transactions come in between. */
export type Steps<T> = Generator<Promise<void> | undefined, T, void>;

/** A table by key. Only a commit changes its rows, and replaces them: they are immutable. */
export class Table<Key, Row> {
  readonly name: string;
  readonly rows = new Map<Key, Row>();

  constructor(name: string) {
    this.name = name;
  }
}

/** An error of the database, with its SQLSTATE. */
export class SqlError extends Error {
  override readonly name = "SqlError";
  readonly code: string;

  constructor(code: string, message: string) {
    super(message);
    this.code = code;
  }
}

export const LOCK_NOT_AVAILABLE = "55P03";
export const QUERY_CANCELED = "57014";

/** Whether a handler for `others or query_canceled` catches it: everything that is of the database. */
export function isSqlError(err: unknown): err is SqlError {
  return err instanceof SqlError;
}

// deno-lint-ignore no-explicit-any -- a layer has changes of tables of any kind
type Changes = Map<Table<any, any>, Map<any, unknown>>;

const WHOLE_TABLE: unknown = { toString: () => "(whole)" };

/** What the engine gives to its transactions. */
export interface TransactionHost {
  readonly locks: Locks;
  /** Resolves when a lock is granted. Rejects when the time for it, or for the statement, is over. */
  waitForLock(
    transaction: Transaction,
    table: object,
    key: unknown,
    mode: LockMode,
    timeoutMs: number,
  ): Promise<void>;
}

export class Transaction {
  readonly #host: TransactionHost;
  /** Changes that are not committed, of each subtransaction that is open, outermost first. */
  readonly #layers: Changes[] = [new Map()];
  readonly #notifications: string[] = [];
  /** When the statement is cancelled, by the clock of the engine. */
  deadline: number;

  constructor(host: TransactionHost, deadline: number) {
    this.#host = host;
    this.deadline = deadline;
  }

  get<Key, Row>(table: Table<Key, Row>, key: Key): Row | undefined {
    for (let at = this.#layers.length - 1; at >= 0; at--) {
      const changes = this.#layers[at]?.get(table);
      if (changes?.has(key)) return changes.get(key) as Row | undefined;
    }
    return table.rows.get(key);
  }

  /** Every row that this transaction sees, in no order. */
  entries<Key, Row>(table: Table<Key, Row>): [Key, Row][] {
    if (!this.#layers.some((layer) => layer.has(table))) {
      return [...table.rows];
    }
    const rows = new Map(table.rows);
    for (const layer of this.#layers) {
      for (const [key, row] of layer.get(table) ?? []) {
        if (row === undefined) rows.delete(key);
        else rows.set(key, row as Row);
      }
    }
    return [...rows];
  }

  set<Key, Row>(table: Table<Key, Row>, key: Key, row: Row): void {
    this.#change(table, key, row);
  }

  delete<Key, Row>(table: Table<Key, Row>, key: Key): void {
    this.#change(table, key, undefined);
  }

  /** Waits for a lock, and keeps it until the transaction ends. */
  *lock<Key>(
    table: Table<Key, unknown>,
    key: Key,
    mode: LockMode,
    timeoutMs = Infinity,
  ): Steps<void> {
    const { locks } = this.#host;
    if (locks.tryAcquire(this, table, key, mode) === "granted") return;
    yield this.#host.waitForLock(this, table, key, mode, timeoutMs);
  }

  /** Takes the lock of a row unless another transaction has it. */
  tryLock<Key>(
    table: Table<Key, unknown>,
    key: Key,
    mode: LockMode,
  ): "granted" | "taken" {
    return this.#host.locks.tryAcquire(this, table, key, mode);
  }

  /** Waits for a lock of the whole table. */
  *lockTable<Key>(
    table: Table<Key, unknown>,
    mode: "read" | "exclusive",
    timeoutMs = Infinity,
  ): Steps<void> {
    // No key of a row is this object.
    yield* this.lock(table, WHOLE_TABLE as Key, mode, timeoutMs);
  }

  /** Runs steps of which nothing stays if they throw, neither changes nor locks. */
  *subtransaction<T>(steps: () => Steps<T>): Steps<T> {
    const { locks } = this.#host;
    const lockCount = locks.countOf(this);
    this.#layers.push(new Map());
    const depth = this.#layers.length;
    try {
      const result = yield* steps();
      this.#mergeLast();
      return result;
    } catch (err) {
      this.#layers.length = depth - 1;
      locks.release(this, lockCount);
      throw err;
    }
  }

  /** The payload is sent at the commit. */
  notify(payload: string): void {
    if (!this.#notifications.includes(payload)) {
      this.#notifications.push(payload);
    }
  }

  get hasChanges(): boolean {
    return this.#layers.some((layer) => layer.size > 0);
  }

  /** What to notify after the commit, in order. */
  get notifications(): readonly string[] {
    return this.#notifications;
  }

  /** Makes the changes visible. The locks are the engine's to release. */
  commit(): void {
    for (const layer of this.#layers) {
      for (const [table, rows] of layer) {
        for (const [key, row] of rows) {
          if (row === undefined) table.rows.delete(key);
          else table.rows.set(key, row);
        }
      }
    }
  }

  /** The keys of a table's rows that this transaction has changed. */
  changed<Key, Row>(table: Table<Key, Row>): Iterable<[Key, Row | undefined]> {
    return (this.#layers[0]?.get(table) ?? []) as Iterable<
      [Key, Row | undefined]
    >;
  }

  #change<Key, Row>(table: Table<Key, Row>, key: Key, row: Row | undefined) {
    const layer = this.#layers.at(-1);
    const changes = layer?.get(table);
    if (changes !== undefined) changes.set(key, row);
    else layer?.set(table, new Map([[key, row]]));
  }

  #mergeLast(): void {
    for (const [table, rows] of this.#layers.pop() ?? []) {
      for (const [key, row] of rows) this.#change(table, key, row);
    }
  }
}
