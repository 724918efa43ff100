/**
 * The users of the demo in the database: adds them, and reads since when they are online.
 *
 * Only demo mode does this. Elsewhere users belong to the application.
 *
 * @module
 */
import type pg from "pg";
import { connect } from "../postgres/connect.ts";
import type { UserId, UserIds } from "../client/protocol/user_id.ts";

export interface OnlineSince {
  readonly id: UserId;
  /** When the user came online, in ISO 8601. */
  readonly since: string;
}

/** The id of the nth user of the demo, from 1. */
export function demoUserId(ids: UserIds, nth: number): UserId {
  const value = ids.type === "uuid"
    ? `00000000-0000-4000-8000-${nth.toString(16).padStart(12, "0")}`
    : ids.type === "text"
    ? `user-${nth}`
    : nth;
  const id = ids.parse(value);
  if (id === undefined) {
    throw new RangeError(`Cannot use ${value}: expected ${ids.expected}`);
  }
  return id;
}

/**
 * Adds users from the nth on. Users that exist stay as they are. Rejects as the database does.
 *
 * @param url `undefined`: the `PG*` variables say where the database is.
 */
export async function addUsers(
  url: string | undefined,
  ids: UserIds,
  usernames: readonly string[],
  first = 1,
): Promise<void> {
  const userIds = usernames.map((_, index) => demoUserId(ids, first + index));
  const type = ids.type;
  await runStatement(
    url,
    `select rollcall_internal.provision(given.id::${type}, given.name)
       from unnest($1::text[], $2::text[]) as given (id, name)
      where not exists (
        select from rollcall_internal.read_users(array[given.id::${type}])
      )`,
    [userIds.map(String), usernames],
  );
}

/** The online users, ids ascending, at most `limit`. Rejects as the database does. */
export async function onlineSince(
  url: string | undefined,
  ids: UserIds,
  limit: number,
): Promise<OnlineSince[]> {
  const { rows } = await runStatement(
    url,
    "select id, since from rollcall.online_users order by id limit $1",
    [limit],
  );
  return rows.flatMap(({ id, since }) => {
    const userId = ids.parse(id);
    return userId === undefined
      ? []
      : [{ id: userId, since: since.toISOString() }];
  });
}

/** Runs one statement on a database connection of its own. */
export async function runStatement(
  url: string | undefined,
  sql: string,
  values: unknown[] = [],
): Promise<pg.QueryResult> {
  const client = await connect(url);
  try {
    return await client.query(sql, values);
  } finally {
    await client.end();
  }
}
