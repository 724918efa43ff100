/**
 * Users that the server itself puts into its database, in demo mode.
 *
 * @module
 */
import { connect } from "./connect.ts";

/** Adds users that are not there yet, ids ascending from 1. */
export async function addUsers(
  url: string | undefined,
  usernames: readonly string[],
): Promise<void> {
  const client = await connect(url);
  try {
    await client.query(
      `insert into users (id, username)
       select position, name from unnest($1::text[]) with ordinality as given (name, position)
           on conflict do nothing`,
      [usernames],
    );
  } finally {
    await client.end();
  }
}
