/**
 * The reader: the changes that one `for await` loop has not read yet.
 *
 * It owns at most one unread change per user, however slow the loop is. It does not know
 * where changes come from.
 *
 * @module
 */
import type { UserId } from "./protocol/user_id.ts";
import type { PresenceChange } from "./presence.ts";

export class Reader implements AsyncIterableIterator<PresenceChange> {
  readonly #unread = new Map<UserId, PresenceChange>();
  readonly #onEnd: (reader: Reader) => void;
  #pendingReads: ((result: IteratorResult<PresenceChange>) => void)[] = [];
  #isEnded = false;

  /** @param onEnd Called when the loop ends. It may be called more than once. */
  constructor(onEnd: (reader: Reader) => void) {
    this.#onEnd = onEnd;
  }

  push(change: PresenceChange): void {
    const resolve = this.#pendingReads.shift();
    if (resolve !== undefined) return resolve({ done: false, value: change });
    // Two changes of one user cancel out: the user is as it was when the loop last read.
    if (!this.#unread.delete(change.user.id)) {
      this.#unread.set(change.user.id, change);
    }
  }

  /** After `users` was replaced: drops each unread change that `users` contradicts. */
  reset(users: ReadonlyMap<UserId, unknown>): void {
    for (const [id, { type }] of this.#unread) {
      if (users.has(id) !== (type === "online")) this.#unread.delete(id);
    }
  }

  next(): Promise<IteratorResult<PresenceChange>> {
    for (const [id, value] of this.#unread) {
      this.#unread.delete(id);
      return Promise.resolve({ done: false, value });
    }
    if (this.#isEnded) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => this.#pendingReads.push(resolve));
  }

  /** The loop was left by `break`, `return` or an error. */
  return(): Promise<IteratorResult<PresenceChange>> {
    this.#unread.clear();
    this.end();
    return this.next();
  }

  /** No more changes follow. Changes that are unread can still be read. */
  end(): void {
    this.#isEnded = true;
    this.#onEnd(this);
    for (const resolve of this.#pendingReads.splice(0)) {
      resolve({ done: true, value: undefined });
    }
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
