/**
 * Known users: whether the user of a good token is one, and in which groups. The issuer's signature
 * stays good after the application deleted the user.
 *
 * A user who is online needs no read. For others the database is read: one read at a time, for all
 * who are asked for meanwhile, and its answers are kept for a while. While it cannot be read the
 * last answer counts, however old; but not with groups, because the user may have left one since.
 *
 * @module
 */
import { BackgroundTask } from "../base/background_task.ts";
import { deleteOldest } from "../base/delete_oldest.ts";
import type { Log } from "../base/log.ts";
import { messageOf } from "../base/message_of.ts";
import { EVERYBODY, type Groups, groupsFor } from "../core/roster/groups.ts";
import type { Roster } from "../core/roster/roster.ts";
import type { UserId } from "../client/protocol/user_id.ts";
import type { FoundUser } from "../postgres/rows.ts";
import {
  KNOWN_GROUPS_MS,
  KNOWN_USER_MS,
  KNOWN_USERS_MAX,
  KNOWN_USERS_READ_MAX,
  UNKNOWN_USER_MS,
} from "./limits.ts";

/**
 * The groups of a user, or why there are none. `"unavailable"`: it cannot be known now.
 * `"overgrouped"`: the user is in more groups than a user may be.
 */
export type Knowledge = Groups | "unknown" | "unavailable" | "overgrouped";

/** Reads which of these users exist, with their groups. Rejects if either cannot be read. */
export type FindUsers = (
  ids: readonly UserId[],
) => Promise<readonly FoundUser[]>;

export interface KnownUsersDeps {
  readonly roster: Pick<Roster, "groupsOf">;
  /** `undefined`: there are none, and everybody sees everybody. */
  readonly groups: { readonly perUserMax: number } | undefined;
  readonly store: { readonly findUsers: FindUsers };
  readonly log: Log;
}

interface Answer {
  readonly knowledge: Knowledge;
  readonly at: number;
}

export class KnownUsers {
  readonly #deps: KnownUsersDeps;
  readonly #now: () => number;
  /** Oldest first. */
  readonly #answers = new Map<UserId, Answer>();
  readonly #asked = new Map<UserId, PromiseWithResolvers<Knowledge>>();
  readonly #reading = new BackgroundTask(() => this.#read());

  /** @param now Milliseconds. */
  constructor(deps: KnownUsersDeps, now = () => performance.now()) {
    this.#deps = deps;
    this.#now = now;
  }

  /** Never rejects. */
  async lookUp(userId: UserId): Promise<Knowledge> {
    const online = this.#deps.roster.groupsOf(userId);
    // The roster may have users from before groups were configured, or from a time with groups.
    if (online !== undefined && (online !== EVERYBODY) === this.#hasGroups) {
      return online;
    }
    const kept = this.#answers.get(userId);
    if (kept !== undefined && this.#isFresh(kept)) return kept.knowledge;
    const knowledge = await this.#ask(userId);
    if (knowledge !== "unavailable" || this.#hasGroups) return knowledge;
    return kept?.knowledge ?? knowledge;
  }

  get #hasGroups(): boolean {
    return this.#deps.groups !== undefined;
  }

  #isFresh({ knowledge, at }: Answer): boolean {
    const ageMs = this.#now() - at;
    if (this.#hasGroups) return ageMs < KNOWN_GROUPS_MS;
    return ageMs < (knowledge === "unknown" ? UNKNOWN_USER_MS : KNOWN_USER_MS);
  }

  #ask(userId: UserId): Promise<Knowledge> {
    const asked = this.#asked.get(userId) ??
      Promise.withResolvers<Knowledge>();
    this.#asked.set(userId, asked);
    this.#reading.wake();
    return asked.promise;
  }

  async #read(): Promise<void> {
    const asked = [...this.#asked].slice(0, KNOWN_USERS_READ_MAX);
    const ids = asked.map(([userId]) => userId);
    for (const userId of ids) this.#asked.delete(userId);
    const found = await this.#find(ids);
    for (const [userId, { resolve }] of asked) {
      if (found === undefined) resolve("unavailable");
      else resolve(this.#keep(userId, found));
    }
    deleteOldest(this.#answers, KNOWN_USERS_MAX);
    if (this.#asked.size > 0) this.#reading.wake();
  }

  /** By their ids. `undefined`: they cannot be read now. */
  async #find(
    ids: readonly UserId[],
  ): Promise<ReadonlyMap<UserId, FoundUser> | undefined> {
    const { store, log } = this.#deps;
    try {
      const users = await store.findUsers(ids);
      return new Map(users.map((user) => [user.id, user]));
    } catch (err) {
      const about = { users: ids.length, reason: messageOf(err) };
      log.warn(about, "cannot look up users");
      return undefined;
    }
  }

  #keep(userId: UserId, found: ReadonlyMap<UserId, FoundUser>): Knowledge {
    const knowledge = this.#knowledgeOf(found.get(userId));
    this.#answers.delete(userId);
    this.#answers.set(userId, { knowledge, at: this.#now() });
    return knowledge;
  }

  #knowledgeOf(user: FoundUser | undefined): Knowledge {
    if (user === undefined) return "unknown";
    const { id, groups } = user;
    if (!this.#hasGroups) return EVERYBODY;
    return groups === "too many" ? "overgrouped" : groupsFor(id, groups ?? []);
  }
}
