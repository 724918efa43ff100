/**
 * The username refresh reads the names of online users again when some of them may have changed.
 *
 * A new name is no transition: no client gets a message, and the set of online users stays. The
 * names come with a snapshot, which may be older or newer than the roster. So they are taken when
 * the roster has reached the snapshot's `seq`, except those of users with a later transition.
 *
 * @module
 */
import { BackgroundTask } from "../../base/background_task.ts";
import type { Clock } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import { messageOf } from "../../base/message_of.ts";
import type { Roster } from "../roster/roster.ts";
import type { Store } from "../store/store.ts";
import { USERNAME_REFRESH_MS } from "./limits.ts";

export interface UsernameRefreshDeps {
  readonly store: Pick<Store, "snapshot">;
  readonly roster: Roster;
  /** Brings the roster to where the feed ends now. */
  readonly catchUp: () => Promise<"read" | "failed">;
  readonly clock: Clock;
  readonly log: Log;
}

export class UsernameRefresh {
  readonly #deps: UsernameRefreshDeps;
  readonly #reading: BackgroundTask;

  constructor(deps: UsernameRefreshDeps) {
    this.#deps = deps;
    this.#reading = new BackgroundTask(
      () => this.#read(),
      (signal) => deps.clock.sleep(USERNAME_REFRESH_MS, signal),
    );
  }

  /** Reads the names after `USERNAME_REFRESH_MS`. Any number of calls until then cause one read. */
  refresh(): void {
    this.#reading.wake();
  }

  async stop(): Promise<void> {
    await this.#reading.stop();
  }

  async #read(): Promise<void> {
    const { store, roster, catchUp, log } = this.#deps;
    const { epoch } = roster;
    try {
      const { seq, users } = await store.snapshot();
      if (roster.seq < seq && await catchUp() === "failed") {
        throw new Error("the feed cannot be read");
      }
      // The snapshot may belong to another history than a roster that was replaced meanwhile.
      const isOutdated = roster.epoch !== epoch ||
        roster.rename(users, seq) === "unknown";
      if (isOutdated) this.refresh();
    } catch (err) {
      log.warn(
        { reason: messageOf(err) },
        "cannot read usernames, trying again",
      );
      this.refresh();
    }
  }
}
