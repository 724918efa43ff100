/**
 * A real Postgres for a test file, and databases in it.
 *
 * @module
 */
import pg from "pg";
import type { Log } from "../../src/base/log.ts";
import { startEmbedded } from "../../src/embedded/embedded.ts";
import { migrateDatabase } from "../../src/postgres/migrate.ts";
import { DEFAULT_USERS } from "../../src/postgres/users_table.ts";
import type { UserId, UserIdType } from "../../src/client/protocol/user_id.ts";
import { idOf } from "./ids.ts";
import { openFolder } from "./scratch_folder.ts";
import { until } from "./until.ts";

export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} };

export interface TestPostgres {
  /** The URL of a new database, empty. */
  emptyDatabase(): Promise<string>;
  /**
   * The URL of a new database with the schema, and users 1 to `users` with ids as `idOf` makes them.
   * Its first transition has the seq 1.
   */
  database(users?: number, idType?: UserIdType): Promise<string>;
}

/** A Postgres to use instead of the embedded one, for example an older version. */
const OTHER_SERVER = Deno.env.get("TEST_DATABASE_URL");

export interface ScratchPostgres extends AsyncDisposable {
  readonly url: string;
  /** The data directory. */
  readonly directory: string;
}

/** An embedded Postgres in a folder of its own. */
export async function scratchPostgres(): Promise<ScratchPostgres> {
  const directory = await openFolder("rollcall-postgres-");
  const { url, stop } = await startEmbedded(directory, silentLog);
  return {
    ...{ url, directory },
    [Symbol.asyncDispose]: async () => {
      await stop();
      await Deno.remove(directory, { recursive: true });
    },
  };
}

/** Starts one Postgres before the tests of a file, and stops it after them. */
export function postgresForThisFile(): TestPostgres {
  let embedded: ScratchPostgres | undefined;
  let server = OTHER_SERVER ?? "";
  Deno.test.beforeAll(async () => {
    if (OTHER_SERVER !== undefined) return;
    embedded = await scratchPostgres();
    server = embedded.url;
  });
  Deno.test.afterAll(async () => await embedded?.[Symbol.asyncDispose]());
  const emptyDatabase = async () => {
    const url = new URL(server);
    url.pathname = `/${uniqueName("test")}`;
    await query(server, `create database ${url.pathname.slice(1)}`);
    return url.href;
  };
  return {
    emptyDatabase,
    database: async (users = 10, idType = "integer") => {
      const url = await emptyDatabase();
      await migrateDatabase(url, { ...DEFAULT_USERS, idType });
      await query(
        url,
        `insert into users (id, username)
         select id, 'user' || n from unnest($1::${idType}[]) with ordinality as given (id, n)`,
        [Array.from({ length: users }, (_, index) => idOf(idType, 1 + index))],
      );
      await query(url, "update rollcall_internal.counter set seq = 0");
      return url;
    },
  };
}

/** A name for a database or a role that no other test uses, also on a shared server. */
export function uniqueName(prefix: string): string {
  return `${prefix}_${crypto.randomUUID().replaceAll("-", "")}`;
}

/** Runs one statement over a connection of its own, and returns its rows. */
export async function query(
  url: string,
  sql: string,
  values?: unknown[],
): Promise<pg.QueryResult["rows"]> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return (await client.query(sql, values)).rows;
  } finally {
    await client.end();
  }
}

/** The column users.status of a user, as an application reads it. */
export async function statusOf(url: string, userId: UserId): Promise<string> {
  const [row] = await query(url, "select status from users where id = $1", [
    userId,
  ]);
  return row.status;
}

/** The node that claims a user, if one node alone does. */
export async function nodeOf(url: string, userId: UserId): Promise<string> {
  const [row] = await query(
    url,
    "select nodes[1] as node from rollcall_internal.presence where user_id = $1",
    [userId],
  );
  return row.node;
}

/** Ends a node's lease now, whatever the node thinks of it. */
export async function endLease(url: string, nodeId: string): Promise<void> {
  await query(
    url,
    "update rollcall_internal.nodes set expires_at = clock_timestamp() where id = $1",
    [nodeId],
  );
}

/**
 * Waits until every node that is not leaving has renewed its lease `count` times from now on.
 * A sweep starts after a renewal, and is over before the next but one.
 */
export async function renewals(url: string, count: number): Promise<void> {
  const seen = new Map<string, Set<string>>();
  await until(`each node has renewed its lease ${count} times`, async () => {
    const rows = await query(
      url,
      "select id, expires_at::text from rollcall_internal.nodes where not leaving",
    );
    for (const { id, expires_at } of rows) {
      seen.set(id, (seen.get(id) ?? new Set()).add(expires_at));
    }
    return rows.every(({ id }) => (seen.get(id)?.size ?? 0) > count);
  });
}
