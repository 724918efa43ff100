/**
 * Waits until a server, its clients and the database agree who is online.
 *
 * @module
 */
import { deepEqual } from "node:assert/strict";
import { isDeepStrictEqual } from "node:util";
import type { UserStatusBroadcast } from "../../src/client/protocol/messages.ts";
import type { UserId } from "../../src/client/protocol/user_id.ts";
import type { TestClient } from "./client.ts";
import { query } from "./database.ts";
import { type Located, onlineIds } from "./endpoints.ts";
import { until, untilEqual } from "./until.ts";

/** Waits until exactly these users are listed, ascending. */
export async function listed(
  server: Located,
  wanted: readonly UserId[],
  headers: Record<string, string> = {},
): Promise<void> {
  await untilEqual(
    `${wanted.join() || "nobody"} is listed`,
    () => onlineIds(server, headers),
    [...wanted],
  );
}

/** Waits until exactly these users have status online, and exactly these are claimed. */
export async function recorded(
  databaseUrl: string,
  wanted: readonly UserId[],
): Promise<void> {
  await untilEqual(
    `the database has ${wanted.join() || "nobody"} online`,
    () => onlineInDatabase(databaseUrl),
    { online: wanted.map(String), claimed: wanted.map(String) },
  );
}

/** Both in one statement, which sees one moment. */
async function onlineInDatabase(
  databaseUrl: string,
): Promise<{ online: string[]; claimed: string[] }> {
  const [row] = await query(
    databaseUrl,
    `select array(select u.id::text from users u where u.status = 'online' order by u.id) as online,
            array(select p.user_id::text from rollcall_internal.presence p where p.nodes <> '{}' order by p.user_id) as claimed`,
  );
  return row;
}

/** The feed as messages of version 1, without the transitions of some users. */
export async function broadcasts(
  databaseUrl: string,
  without: readonly UserId[] = [],
): Promise<UserStatusBroadcast[]> {
  return await query(
    databaseUrl,
    `select 'user_' || status as type, user_id as "userId"
       from rollcall_internal.feed where user_id <> all ($1) order by seq`,
    [without],
  );
}

/**
 * P6: waits until a client has received exactly the feed, in its order, without some users.
 * Both sides are read again and again, because the last writes may still be under way.
 */
export async function receivedFeed(
  client: TestClient,
  databaseUrl: string,
  without: readonly UserId[],
): Promise<void> {
  let feed: UserStatusBroadcast[] = [];
  const received = () =>
    client.messages.filter(({ userId }) => !without.includes(userId));
  try {
    await until("the client has received the feed", async () => {
      feed = await broadcasts(databaseUrl, without);
      return isDeepStrictEqual(received(), feed);
    });
  } catch (err) {
    deepEqual(received(), feed);
    throw err;
  }
}

/** The transitions of one user that a client received. */
export function transitionsOf(client: TestClient, userId: UserId): string[] {
  return client.messages.filter((message) => message.userId === userId).map((
    { type },
  ) => type);
}

/** P6: online and offline alternate, beginning with online (or the given first). */
export function alternates(
  types: readonly string[],
  first: "user_online" | "user_offline" = "user_online",
): void {
  const second = first === "user_online" ? "user_offline" : "user_online";
  deepEqual(types, types.map((_, index) => index % 2 === 0 ? first : second));
}
