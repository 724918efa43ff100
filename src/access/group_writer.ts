/**
 * The group writer puts the groups of verified tokens where the store reads them
 * (`JWT_GROUPS_CLAIM`).
 *
 * The newest token of a user holds, on every node and for every connection. The database decides
 * which one that is: a token that was issued before the one it has changes nothing. So an older
 * token, however many groups it has, makes nobody visible to its user.
 *
 * Users that come meanwhile are written together, one batch at a time, so the writes of one user
 * are in order. What was written is remembered for a while, so that a client that reconnects, or
 * reads the list, with the same token costs no write. It is forgotten again, because the rows may
 * be lost with the database.
 *
 * @module
 */
import { BackgroundTask } from "../base/background_task.ts";
import { Deadlines } from "../base/deadlines.ts";
import { deleteOldest } from "../base/delete_oldest.ts";
import type { Log } from "../base/log.ts";
import { messageOf } from "../base/message_of.ts";
import type { UserId } from "../client/protocol/user_id.ts";
import type { TokenGroups } from "../postgres/postgres_store.ts";
import {
  GROUP_WRITE_MS,
  GROUP_WRITE_USERS_MAX,
  GROUP_WRITES_WAITING_MAX,
  WRITTEN_GROUPS_MS,
  WRITTEN_GROUPS_USERS_MAX,
} from "./limits.ts";
import type { GoodVerdict } from "./token/verifier.ts";

/** Writes the groups of users, each once, unless the database has those of a newer token. */
export type SetTokenGroups = (entries: readonly TokenGroups[]) => Promise<void>;

/** `"failed"`: they may or may not be written. */
export type GroupsWritten = "written" | "failed";

export interface GroupWriterDeps {
  readonly store: { readonly setTokenGroups: SetTokenGroups };
  readonly log: Log;
}

/** The groups of a user that are to be written, for all calls that wait for it. */
interface Pending {
  entry: TokenGroups;
  readonly written: PromiseWithResolvers<GroupsWritten>;
}

export class GroupWriter {
  readonly #deps: GroupWriterDeps;
  readonly #now: () => number;
  /** Oldest first. */
  readonly #written = new Map<UserId, { entry: TokenGroups; at: number }>();
  readonly #pending = new Map<UserId, Pending>();
  readonly #deadlines: Deadlines<Pending>;
  readonly #writing = new BackgroundTask(() => this.#writeBatch());

  /** @param now Milliseconds. */
  constructor(deps: GroupWriterDeps, now = () => performance.now()) {
    this.#deps = deps;
    this.#now = now;
    this.#deadlines = new Deadlines(
      GROUP_WRITE_MS,
      (pending) => this.#giveUp(pending),
      now,
    );
  }

  /**
   * Resolves with `"written"` when the database has the groups of this token, or of a newer one of
   * the user. A token without groups needs no write. Never rejects, and waits a bounded time.
   */
  async write(
    { userId, groups, issuedAt }: Pick<
      GoodVerdict,
      "userId" | "groups" | "issuedAt"
    >,
  ): Promise<GroupsWritten> {
    if (groups === undefined) return "written";
    const entry = { userId, groups, issuedAt };
    if (this.#isWritten(entry)) return "written";
    const pending = this.#pending.get(userId) ?? this.#begin(entry);
    if (pending === undefined) return "failed";
    if (!covers(pending.entry, entry)) pending.entry = entry;
    return await pending.written.promise;
  }

  #isWritten(entry: TokenGroups): boolean {
    const written = this.#written.get(entry.userId);
    return written !== undefined && covers(written.entry, entry) &&
      this.#now() - written.at < WRITTEN_GROUPS_MS;
  }

  #begin(entry: TokenGroups): Pending | undefined {
    if (this.#pending.size >= GROUP_WRITES_WAITING_MAX) {
      this.#logFailure(1, "too many users are waiting");
      return undefined;
    }
    const pending = { entry, written: Promise.withResolvers<GroupsWritten>() };
    this.#pending.set(entry.userId, pending);
    this.#deadlines.begin(pending);
    this.#writing.wake();
    return pending;
  }

  /** One that is being written is in the hands of the store, and has no entry here any more. */
  #giveUp(pending: Pending): void {
    const { entry: { userId }, written } = pending;
    if (this.#pending.get(userId) === pending) this.#pending.delete(userId);
    written.resolve("failed");
  }

  async #writeBatch(): Promise<void> {
    const batch = [...this.#pending.values()].slice(0, GROUP_WRITE_USERS_MAX);
    for (const { entry: { userId } } of batch) this.#pending.delete(userId);
    const result = await this.#writeAll(batch.map(({ entry }) => entry));
    for (const pending of batch) {
      this.#deadlines.end(pending);
      pending.written.resolve(result);
    }
    if (this.#pending.size > 0) this.#writing.wake();
  }

  async #writeAll(batch: readonly TokenGroups[]): Promise<GroupsWritten> {
    // The batch before may have written the same token.
    const entries = batch.filter((entry) => !this.#isWritten(entry));
    if (entries.length === 0) return "written";
    try {
      await this.#deps.store.setTokenGroups(entries);
    } catch (err) {
      this.#logFailure(entries.length, messageOf(err));
      return "failed";
    }
    for (const entry of entries) {
      this.#written.delete(entry.userId);
      this.#written.set(entry.userId, { entry, at: this.#now() });
    }
    deleteOldest(this.#written, WRITTEN_GROUPS_USERS_MAX);
    return "written";
  }

  #logFailure(users: number, reason: string): void {
    this.#deps.log.warn({ users, reason }, "cannot write the groups of tokens");
  }
}

/**
 * Whether the second one needs no write after the first. Of two tokens that were issued at
 * the same time the one that is used last holds.
 */
function covers(first: TokenGroups, second: TokenGroups): boolean {
  if (first.issuedAt !== second.issuedAt) {
    return first.issuedAt > second.issuedAt;
  }
  const { groups } = first;
  return groups.length === second.groups.length &&
    groups.every((group, at) => group === second.groups[at]);
}
