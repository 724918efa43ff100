/**
 * The database watch reads from time to time what the database owes or has to keep: copies that are
 * due, and the oldest snapshot.
 *
 * A snapshot is what a transaction may still see. While one is held, Postgres keeps every row that
 * changed since, and writes get slower. Postgres does not tell every role since when a transaction
 * of another role runs, so this also measures for how long it has seen the same one.
 *
 * Metrics and the page for administrators show the values. Nothing is decided by them.
 *
 * @module
 */
import type { Clock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { messageOf } from "../base/message_of.ts";
import type { DatabaseState } from "../postgres/overview.ts";
import { DATABASE_WATCH_MS } from "./limits.ts";

export interface HeldSnapshot {
  /** What holds it. */
  readonly holder: string;
  /** For at least so long. */
  readonly seconds: number;
}

export interface DatabaseWatchDeps {
  readonly read: () => Promise<DatabaseState>;
  readonly clock: Clock;
  readonly log: Log;
}

export class DatabaseWatch {
  readonly #deps: DatabaseWatchDeps;
  readonly #stop = new AbortController();
  /** When each snapshot was first seen, in milliseconds. */
  #seenSince = new Map<string, number>();
  #copiesDue: number | undefined;
  #snapshots: readonly HeldSnapshot[] | undefined;
  #hasFailed = false;

  constructor(deps: DatabaseWatchDeps) {
    this.#deps = deps;
  }

  start(): void {
    void this.#watch();
  }

  /** `undefined` while the database cannot be read. */
  get copiesDue(): number | undefined {
    return this.#copiesDue;
  }

  /** Those that are held, oldest first. `undefined` while the database cannot be read. */
  get snapshots(): readonly HeldSnapshot[] | undefined {
    return this.#snapshots;
  }

  /** Does not wait for a read that is under way: it may hang, and changes nothing. */
  stop(): void {
    this.#stop.abort();
  }

  async #watch(): Promise<void> {
    const { signal } = this.#stop;
    while (!signal.aborted) {
      await this.#read();
      await this.#deps.clock.sleep(DATABASE_WATCH_MS, signal);
    }
  }

  async #read(): Promise<void> {
    const { read, clock, log } = this.#deps;
    try {
      const { copiesDue, snapshots } = await read();
      const now = clock.now();
      const before = this.#seenSince;
      this.#seenSince = new Map();
      const held = snapshots.map(({ holder, sees, seconds }) => {
        const key = `${holder} ${sees}`;
        const since = before.get(key) ?? now;
        this.#seenSince.set(key, since);
        const seen = (now - since) / 1_000;
        return { holder, seconds: Math.max(seen, seconds ?? 0) };
      });
      this.#snapshots = held.sort((a, b) => b.seconds - a.seconds);
      this.#copiesDue = copiesDue;
      this.#hasFailed = false;
    } catch (err) {
      this.#copiesDue = this.#snapshots = undefined;
      // A database that is away is in the log already, each time that it is missed.
      if (this.#hasFailed) return;
      this.#hasFailed = true;
      log.warn({ reason: messageOf(err) }, "cannot watch the database");
    }
  }
}
