/**
 * Known users: whether the user of a good token is one. The issuer's signature stays good after the
 * application deleted the user.
 *
 * A user who is online needs no read. For others the users table is read: one read at a time, for
 * all who are asked for meanwhile, and its verdicts are kept for a while. While the database does
 * not answer, the last verdict counts, however old.
 *
 * @module
 */
import { BackgroundTask } from "../base/background_task.ts";
import { deleteOldest } from "../base/delete_oldest.ts";
import type { Log } from "../base/log.ts";
import { messageOf } from "../base/message_of.ts";
import type { Roster } from "../core/roster/roster.ts";
import type { FoundUser } from "../postgres/rows.ts";
import type { UserId } from "../client/protocol/user_id.ts";
import {
  KNOWN_USER_MS,
  KNOWN_USERS_MAX,
  KNOWN_USERS_READ_MAX,
  UNKNOWN_USER_MS,
} from "./limits.ts";

/** `"unavailable"`: it cannot be known now. */
export type Knowledge = "known" | "unknown" | "unavailable";

/** Reads which of these ids belong to users. */
export type FindUsers = (
  ids: readonly UserId[],
) => Promise<readonly FoundUser[]>;

export interface KnownUsersDeps {
  readonly roster: Pick<Roster, "has">;
  readonly store: { readonly findUsers: FindUsers };
  readonly log: Log;
}

interface Verdict {
  readonly isKnown: boolean;
  readonly at: number;
}

export class KnownUsers {
  readonly #deps: KnownUsersDeps;
  readonly #now: () => number;
  /** Oldest first. */
  readonly #verdicts = new Map<UserId, Verdict>();
  readonly #asked = new Map<UserId, PromiseWithResolvers<void>>();
  readonly #reading = new BackgroundTask(() => this.#read());

  /** @param now Milliseconds. */
  constructor(deps: KnownUsersDeps, now = () => performance.now()) {
    this.#deps = deps;
    this.#now = now;
  }

  /** Never rejects. */
  async lookUp(userId: UserId): Promise<Knowledge> {
    if (this.#deps.roster.has(userId)) return "known";
    if (!this.#isFresh(this.#verdicts.get(userId))) await this.#ask(userId);
    const verdict = this.#verdicts.get(userId);
    if (verdict === undefined) return "unavailable";
    return verdict.isKnown ? "known" : "unknown";
  }

  #isFresh(verdict: Verdict | undefined): boolean {
    if (verdict === undefined) return false;
    const keptMs = verdict.isKnown ? KNOWN_USER_MS : UNKNOWN_USER_MS;
    return this.#now() - verdict.at < keptMs;
  }

  #ask(userId: UserId): Promise<void> {
    const asked = this.#asked.get(userId) ?? Promise.withResolvers<void>();
    this.#asked.set(userId, asked);
    this.#reading.wake();
    return asked.promise;
  }

  async #read(): Promise<void> {
    const asked = [...this.#asked].slice(0, KNOWN_USERS_READ_MAX);
    const ids = asked.map(([userId]) => userId);
    for (const userId of ids) this.#asked.delete(userId);
    try {
      const found = await this.#deps.store.findUsers(ids);
      this.#keep(ids, new Set(found.map(({ id }) => id)));
    } catch (err) {
      const reason = messageOf(err);
      this.#deps.log.warn(
        { users: ids.length, reason },
        "cannot look up users",
      );
    }
    for (const [, { resolve }] of asked) resolve();
    if (this.#asked.size > 0) this.#reading.wake();
  }

  #keep(ids: readonly UserId[], known: ReadonlySet<UserId>): void {
    for (const userId of ids) {
      this.#verdicts.delete(userId);
      const verdict = { isKnown: known.has(userId), at: this.#now() };
      this.#verdicts.set(userId, verdict);
    }
    deleteOldest(this.#verdicts, KNOWN_USERS_MAX);
  }
}
