/**
 * Reads rows of the functions in `migrations/` into the core's types.
 *
 * @module
 */
import type { Applied, Snapshot, Transition } from "../core/store/store.ts";
import type { Status } from "../client/protocol/messages.ts";
import type { UserId, UserIds } from "../client/protocol/user_id.ts";

/** A row of a function that decides transitions. `pg` returns `bigint` as text. */
export interface TransitionRow {
  readonly seq: string;
  readonly user_id: unknown;
  readonly username: string;
  /** No transition: there is more to do, or the groups could not be read. */
  readonly status: Status | "more" | "unreadable";
  readonly groups: readonly string[] | null;
  readonly groups_before: readonly string[] | null;
}

/** Whether the groups could be read in the call that returned these rows. */
export function areGroupsReadable(
  rows: readonly { readonly status: string }[],
): boolean {
  return !rows.some(({ status }) => status === "unreadable");
}

/** A row of `apply`, which also returns the users for whom it wrote nothing. */
export interface ApplyRow extends Omit<TransitionRow, "status"> {
  readonly status:
    | Status
    | "unknown"
    | "deferred"
    | "ungrouped"
    | "overgrouped"
    | "unreadable";
}

/** One user who is online. If nobody is, one row without a user. */
export interface SnapshotRow {
  readonly seq: string;
  readonly id: unknown;
  readonly username: string;
  readonly groups: readonly string[] | null;
}

/** A row of `find_users`. */
export interface FoundRow {
  readonly user_id: unknown;
  readonly groups: readonly string[] | null;
  readonly is_over: boolean;
}

/** A user of the users table. */
export interface FoundUser {
  readonly id: UserId;
  /** `undefined`: everybody sees everybody. */
  readonly groups: readonly string[] | "too many" | undefined;
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
        ...(row.groups === null ? {} : { groups: row.groups }),
        ...(row.groups_before === null
          ? {}
          : { groupsBefore: row.groups_before }),
      }))
      .sort((a, b) => a.seq - b.seq);
  }

  toApplied(rows: readonly ApplyRow[]): Applied {
    const idsWith = (status: ApplyRow["status"]) =>
      rows.filter((row) => row.status === status)
        .map((row) => this.toId(row.user_id));
    return {
      transitions: this.toTransitions(rows),
      unknown: idsWith("unknown"),
      deferred: idsWith("deferred"),
      ungrouped: idsWith("ungrouped"),
      overgrouped: idsWith("overgrouped"),
    };
  }

  toSnapshot(rows: readonly SnapshotRow[]): Snapshot {
    const users = rows.flatMap(({ id, username, groups }) => {
      if (id === null) return [];
      const user = { id: this.toId(id), username };
      return [groups === null ? user : { ...user, groups }];
    });
    return { seq: Number(rows[0]?.seq ?? 0), users };
  }

  toFoundUser({ user_id, groups, is_over }: FoundRow): FoundUser {
    const found = is_over ? "too many" : groups ?? undefined;
    return { id: this.toId(user_id), groups: found };
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
