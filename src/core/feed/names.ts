/**
 * The names of those who are online, read anew when somebody may have another one.
 *
 * A new name is no transition: nobody is told, and who is online does not change.
 *
 * @module
 */
import type { Clock } from "../../base/clock.ts";
import { NAMES_REFRESH_MS } from "../../base/limits.ts";
import type { Log } from "../../base/log.ts";
import { reasonOf } from "../../base/reason.ts";
import type { Roster } from "../roster/roster.ts";
import type { Store } from "../store/store.ts";

export interface NamesParts {
  readonly store: Pick<Store, "snapshot">;
  readonly roster: Roster;
  readonly clock: Clock;
  readonly log: Log;
}

export class Names {
  readonly #parts: NamesParts;
  readonly #stop = new AbortController();
  #reading: Promise<void> | undefined;

  constructor(parts: NamesParts) {
    this.#parts = parts;
  }

  /** Any number of calls in a while cause one read. */
  refresh(): void {
    if (!this.#stop.signal.aborted) this.#reading ??= this.#read();
  }

  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#reading;
  }

  async #read(): Promise<void> {
    const { store, roster, clock, log } = this.#parts;
    await clock.sleep(NAMES_REFRESH_MS, this.#stop.signal);
    this.#reading = undefined;
    if (this.#stop.signal.aborted) return;
    try {
      roster.rename((await store.snapshot()).users);
    } catch (err) {
      log.warn({ reason: reasonOf(err) }, "cannot read names, trying again");
      this.refresh();
    }
  }
}
