/**
 * The users of the demo in the database: adds them, and reads since when they are online.
 *
 * Only demo mode does this. Elsewhere users belong to the application.
 *
 * @module
 */
import type pg from "pg";
import type { UserId } from "../protocol/user_id.ts";
import { connect } from "../postgres/connect.ts";

export interface OnlineSince {
  readonly id: UserId;
  /** When the user came online, in ISO 8601. */
  readonly since: string;
}

/**
 * Adds users with ascending ids. Users that exist stay as they are. Rejects as the database does.
 *
 * @param url `undefined`: the `PG*` variables say where the database is.
 */
export async function addUsers(
  url: string | undefined,
  usernames: readonly string[],
  firstId: UserId = 1,
): Promise<void> {
  await runStatement(
    url,
    `insert into users (id, username)
     select $2::int + position - 1, name
       from unnest($1::text[]) with ordinality as given (name, position)
         on conflict do nothing`,
    [usernames, firstId],
  );
}

/** The online users, ids ascending, at most `limit`. Rejects as the database does. */
export async function onlineSince(
  url: string | undefined,
  limit: number,
): Promise<OnlineSince[]> {
  const { rows } = await runStatement(
    url,
    "select id, since from online_users where since is not null order by id limit $1",
    [limit],
  );
  return rows.map(({ id, since }) => ({ id, since: since.toISOString() }));
}

/** Runs one statement on a database connection of its own. */
async function runStatement(
  url: string | undefined,
  sql: string,
  values: unknown[],
): Promise<pg.QueryResult> {
  const client = await connect(url);
  try {
    return await client.query(sql, values);
  } finally {
    await client.end();
  }
}
