/**
 * The names of those who are online, read anew when somebody may have another one.
 *
 * A new name is no transition: nobody is told, and who is online does not change.
 *
 * @module
 */
import type { Clock } from "../../base/clock.ts";
import { USERNAME_REFRESH_MS } from "./limits.ts";
import type { Log } from "../../base/log.ts";
import { messageOf } from "../../base/message_of.ts";
import type { Roster } from "../roster/roster.ts";
import type { Store } from "../store/store.ts";

export interface UsernameRefreshDeps {
  readonly store: Pick<Store, "snapshot">;
  readonly roster: Roster;
  readonly clock: Clock;
  readonly log: Log;
}

export class UsernameRefresh {
  readonly #deps: UsernameRefreshDeps;
  readonly #stop = new AbortController();
  #reading: Promise<void> | undefined;

  constructor(deps: UsernameRefreshDeps) {
    this.#deps = deps;
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
    const { store, roster, clock, log } = this.#deps;
    await clock.sleep(USERNAME_REFRESH_MS, this.#stop.signal);
    this.#reading = undefined;
    if (this.#stop.signal.aborted) return;
    try {
      roster.rename((await store.snapshot()).users);
    } catch (err) {
      log.warn({ reason: messageOf(err) }, "cannot read names, trying again");
      this.refresh();
    }
  }
}
