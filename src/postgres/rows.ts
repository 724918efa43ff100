/**
 * Reads rows of the functions in `migrations/` into the core's types.
 *
 * @module
 */
import type { Transition } from "../core/store/store.ts";
import type { Status } from "../client/protocol/messages.ts";
import type { UserId, UserIds } from "../client/protocol/user_id.ts";

/** A row of a function that decides transitions. `pg` returns `bigint` as text. */
export interface TransitionRow {
  readonly seq: string;
  readonly user_id: unknown;
  readonly username: string;
  /** `more`: no transition, there is more to do. */
  readonly status: Status | "more";
}

export class Rows {
  readonly #ids: UserIds;

  constructor(ids: UserIds) {
    this.#ids = ids;
  }

  /** The rows that are transitions, in the feed's order. */
  toTransitions(
    rows: readonly (Omit<TransitionRow, "seq" | "status"> & {
      seq: string | null;
      status: string;
    })[],
  ): Transition[] {
    return rows
      .filter((row) => row.seq !== null)
      .map((row) => ({
        seq: Number(row.seq),
        userId: this.toId(row.user_id),
        username: row.username,
        status: row.status as Status,
      }))
      .sort((a, b) => a.seq - b.seq);
  }

  /** `pg` returns a `bigint` as text, which may have to be a number. */
  toId(value: unknown): UserId {
    const id = this.#ids.parse(value);
    if (id !== undefined) return id;
    throw new RangeError(
      `Cannot use the user id ${
        JSON.stringify(value)
      } of the database: expected ${this.#ids.expected}`,
    );
  }
}
