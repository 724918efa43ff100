/**
 * A reader of changes: one `for await` loop, however slow it is.
 *
 * @module
 */
import type { UserId } from "../protocol/user_id.ts";
import type { Change } from "./replica.ts";

/** What one reader has not seen yet: per user at most one change. */
export class Reader implements AsyncIterableIterator<Change> {
  readonly #changes = new Map<UserId, Change>();
  readonly #onEnd: (reader: Reader) => void;
  #waiting: ((result: IteratorResult<Change>) => void)[] = [];
  #isOver = false;

  constructor(onEnd: (reader: Reader) => void) {
    this.#onEnd = onEnd;
  }

  push(change: Change): void {
    const waiting = this.#waiting.shift();
    if (waiting !== undefined) return waiting({ done: false, value: change });
    // Whoever came and went, or went and came, since the last turn is as before.
    if (!this.#changes.delete(change.user.id)) {
      this.#changes.set(change.user.id, change);
    }
  }

  /** Others are watched: what was not read yet and is not so any more is no news. */
  reset(users: ReadonlyMap<UserId, unknown>): void {
    for (const [id, { type }] of this.#changes) {
      if (users.has(id) !== (type === "online")) this.#changes.delete(id);
    }
  }

  next(): Promise<IteratorResult<Change>> {
    for (const [id, value] of this.#changes) {
      this.#changes.delete(id);
      return Promise.resolve({ done: false, value });
    }
    if (this.#isOver) return Promise.resolve({ done: true, value: undefined });
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  return(): Promise<IteratorResult<Change>> {
    this.#changes.clear();
    this.end();
    return this.next();
  }

  end(): void {
    this.#isOver = true;
    this.#onEnd(this);
    for (const resolve of this.#waiting.splice(0)) {
      resolve({ done: true, value: undefined });
    }
  }

  [Symbol.asyncIterator](): this {
    return this;
  }
}
