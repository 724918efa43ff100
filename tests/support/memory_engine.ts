/**
 * The engine runs transactions in memory as Postgres runs them, with what can be wrong there.
 *
 * It owns the locks, the time of statements, and these faults: a database that stands still, that
 * restarts, whose clock is set, whose commits fail, and in which other transactions come between
 * two statements. It does not know the tables, nor the network between it and a node.
 *
 * @module
 */
import type { Clock } from "../../src/base/clock.ts";
import { DATABASE_STATEMENT_MS } from "../../src/postgres/limits.ts";
import { type LockMode, Locks } from "./memory_locks.ts";
import {
  LOCK_NOT_AVAILABLE,
  QUERY_CANCELED,
  SqlError,
  type Steps,
  Transaction,
  type TransactionHost,
} from "./memory_transaction.ts";

/** The connection to the database ended while a statement ran. */
export class ConnectionLost extends Error {
  override readonly name = "ConnectionLost";
}

/** Time after which a transaction that waits looks for a circle: `deadlock_timeout`. */
const DEADLOCK_MS = 1_000;

/** What is wrong in the database. Tests change it during a run. */
export interface EngineFaults {
  /** Share of the places between two statements at which other transactions come in. */
  pauses: number;
  /** Longest pause at such a place. */
  pauseMs: number;
  /** Share of commits that fail. Nothing of them stays. */
  failedCommits: number;
}

export const NO_ENGINE_FAULTS: Readonly<EngineFaults> = {
  pauses: 0,
  pauseMs: 0,
  failedCommits: 0,
};

export interface CommitHooks {
  /** A commit is about to make these changes visible. */
  readonly beforeCommit: (transaction: Transaction) => void;
  /** Its changes are visible, and its locks are released. */
  readonly afterCommit: (transaction: Transaction) => void;
}

export class Engine implements TransactionHost {
  readonly locks = new Locks();
  readonly faults: EngineFaults = { ...NO_ENGINE_FAULTS };
  readonly #clock: Clock;
  readonly #random: () => number;
  readonly #hooks: CommitHooks;
  /** Statements that wait until the database goes on. `undefined`: it does not stand still. */
  #frozen: (() => void)[] | undefined;
  /** How often the database was restarted. A statement, and a connection, ends with it. */
  restarts = 0;
  readonly #abortWaits = new Set<(err: Error) => void>();
  #clockOffsetMs = 0;
  #ticks = 0;

  constructor(clock: Clock, random: () => number, hooks: CommitHooks) {
    this.#clock = clock;
    this.#random = random;
    this.#hooks = hooks;
  }

  /** The time of the database, which can be set. Only the database knows it. */
  now(): number {
    return this.#clock.now() + this.#clockOffsetMs;
  }

  /** As `now`, and never the same twice: Postgres counts microseconds. */
  timestamp(): number {
    this.#ticks += 1;
    return this.now() + this.#ticks / 1_000_000;
  }

  /** Sets the clock of the database forward, or back. */
  setClock(byMs: number): void {
    this.#clockOffsetMs += byMs;
  }

  /** A number from 0 to 1, as the database's `random()`. */
  random(): number {
    return this.#random();
  }

  /** Time that the database spends, for example in a trigger. */
  sleep(ms: number): Promise<void> {
    return this.#clock.sleep(ms);
  }

  /** The database stands still: everything waits, and nothing fails. */
  freeze(): void {
    this.#frozen ??= [];
  }

  /** The database goes on, with everything that waits, in any order. */
  thaw(): void {
    const waiting = this.#frozen ?? [];
    this.#frozen = undefined;
    while (waiting.length > 0) {
      const [next] = waiting.splice(this.#random() * waiting.length, 1);
      next?.();
    }
  }

  /** Ends every statement. Nothing of it stays, and its client gets no answer. */
  restart(): void {
    this.restarts += 1;
    this.locks.clear();
    for (const abort of [...this.#abortWaits]) abort(restarted());
    this.thaw();
  }

  /** Accepts a connection, once the database does not stand still. */
  async connect(): Promise<void> {
    if (this.#frozen !== undefined) await this.#unfrozen(this.restarts);
  }

  /**
   * Runs one transaction. Rejects with what it throws.
   *
   * @throws {ConnectionLost} when the database is restarted meanwhile.
   */
  async execute<T>(
    body: (transaction: Transaction) => Steps<T>,
    statementMs = DATABASE_STATEMENT_MS,
  ): Promise<T> {
    const restarts = this.restarts;
    if (this.#frozen !== undefined) await this.#unfrozen(restarts);
    const deadline = this.#clock.now() + statementMs;
    const transaction = new Transaction(this, deadline);
    const steps = body(transaction);
    let result: T;
    try {
      result = await this.#run(transaction, steps, restarts);
      this.#failSometimes(transaction);
    } catch (err) {
      if (this.restarts === restarts) this.locks.release(transaction);
      throw err;
    }
    this.#hooks.beforeCommit(transaction);
    transaction.commit();
    this.locks.release(transaction);
    this.#hooks.afterCommit(transaction);
    return result;
  }

  waitForLock(
    transaction: Transaction,
    table: object,
    key: unknown,
    mode: LockMode,
    timeoutMs: number,
  ): Promise<void> {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const timers = new AbortController();
    const end = () => {
      timers.abort();
      this.#abortWaits.delete(abort);
    };
    const cancel = this.locks.request(transaction, table, key, mode, () => {
      end();
      resolve();
    });
    const abort = (err: Error) => {
      end();
      cancel();
      reject(err);
    };
    this.#abortWaits.add(abort);
    const after = (ms: number, check: () => Error | undefined) => {
      if (ms === Infinity) return;
      void this.#clock.sleep(ms, timers.signal).then(() => {
        const err = timers.signal.aborted ? undefined : check();
        if (err !== undefined) abort(err);
      });
    };
    const restMs = transaction.deadline - this.#clock.now();
    if (timeoutMs < restMs) {
      after(timeoutMs, () => new SqlError(LOCK_NOT_AVAILABLE, "lock timeout"));
    } else after(restMs, () => canceled(transaction));
    after(
      DEADLOCK_MS,
      () =>
        this.locks.isInCircle(transaction)
          ? new SqlError("40P01", "deadlock detected")
          : undefined,
    );
    return promise;
  }

  async #run<T>(
    transaction: Transaction,
    steps: Steps<T>,
    restarts: number,
  ): Promise<T> {
    let step = steps.next();
    while (step.done !== true) {
      const wait = step.value ?? this.#pause();
      if (wait === undefined) {
        step = steps.next();
        continue;
      }
      let failure: unknown = await wait.then(() => undefined, (err) => err);
      await this.#unfrozen(restarts);
      if (failure === undefined && this.#clock.now() >= transaction.deadline) {
        failure = canceled(transaction);
      }
      step = failure === undefined ? steps.next() : steps.throw(failure);
    }
    return step.value;
  }

  /** Resolves when the database does not stand still. Rejects if it was restarted since. */
  async #unfrozen(restarts: number): Promise<void> {
    while (this.#frozen !== undefined) {
      const { promise, resolve } = Promise.withResolvers<void>();
      this.#frozen.push(resolve);
      await promise;
    }
    if (this.restarts !== restarts) {
      throw restarted();
    }
  }

  #pause(): Promise<void> | undefined {
    const { pauses, pauseMs } = this.faults;
    if (pauses === 0 || this.#random() >= pauses) return undefined;
    return this.#clock.sleep(this.#random() * pauseMs);
  }

  #failSometimes(transaction: Transaction): void {
    const { failedCommits } = this.faults;
    if (failedCommits === 0 || !transaction.hasChanges) return;
    if (this.#random() < failedCommits) {
      throw new SqlError("XX000", "injected: the commit failed");
    }
  }
}

function restarted(): ConnectionLost {
  return new ConnectionLost("the database was restarted");
}

/** A statement is cancelled once. What it does after it has caught that has no deadline. */
function canceled(transaction: Transaction): SqlError {
  transaction.deadline = Infinity;
  return new SqlError(QUERY_CANCELED, "statement timeout");
}
