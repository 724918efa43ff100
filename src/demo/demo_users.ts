/**
 * What demo mode does with the database beside what every server does: it puts users there,
 * and reads since when they are online.
 *
 * @module
 */
import type pg from "pg";
import type { UserId } from "../protocol/user_id.ts";
import { connect } from "../postgres/connect.ts";

/** Since when a user is online, as an ISO date. */
export interface OnlineSince {
  readonly id: UserId;
  readonly since: string;
}

/** Adds users that are not there yet, ids ascending from the first. */
export async function addUsers(
  url: string | undefined,
  usernames: readonly string[],
  firstId: UserId = 1,
): Promise<void> {
  await ask(
    url,
    `insert into users (id, username)
     select $2::int + position - 1, name
       from unnest($1::text[]) with ordinality as given (name, position)
         on conflict do nothing`,
    [usernames, firstId],
  );
}

/** Those with the lowest ids, if there are more than the limit. */
export async function onlineSince(
  url: string | undefined,
  limit: number,
): Promise<OnlineSince[]> {
  const { rows } = await ask(
    url,
    "select id, since from online_users where since is not null order by id limit $1",
    [limit],
  );
  return rows.map(({ id, since }) => ({ id, since: since.toISOString() }));
}

/** One statement over a connection of its own. */
async function ask(
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
