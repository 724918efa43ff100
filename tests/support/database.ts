/**
 * A real Postgres for a test file, and databases in it.
 *
 * @module
 */
import pg from "pg";
import type { Log } from "../../src/log.ts";
import { type Embedded, startEmbedded } from "../../src/store/embedded.ts";
import { migrateDatabase } from "../../src/store/migrate.ts";

export const silentLog: Log = { debug() {}, info() {}, warn() {}, error() {} };

export interface TestPostgres {
  /** The URL of a new database, empty. */
  emptyDatabase(): Promise<string>;
  /** The URL of a new database with the schema and users 1 to `users`. */
  database(users?: number): Promise<string>;
}

/** Starts one Postgres before the file's tests and stops it after them. */
export function postgresForThisFile(): TestPostgres {
  let directory: string;
  let embedded: Embedded;
  let count = 0;
  Deno.test.beforeAll(async () => {
    directory = await Deno.makeTempDir({ prefix: "rollcall-postgres-" });
    embedded = await startEmbedded(directory, silentLog);
  });
  Deno.test.afterAll(async () => {
    await embedded.stop();
    await Deno.remove(directory, { recursive: true });
  });
  const emptyDatabase = async () => {
    count += 1;
    const url = new URL(embedded.url);
    await query(url.href, `create database test${count}`);
    url.pathname = `/test${count}`;
    return url.href;
  };
  return {
    emptyDatabase,
    database: async (users = 10) => {
      const url = await emptyDatabase();
      await migrateDatabase(url);
      await query(
        url,
        "insert into users (id, username) select n, 'user' || n from generate_series(1, $1::int) n",
        [users],
      );
      return url;
    },
  };
}

/** One statement over a connection of its own. Its rows are what the statement says. */
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

/** The status column as another application reads it. */
export async function statusOf(url: string, userId: number): Promise<string> {
  const [row] = await query(url, "select status from users where id = $1", [
    userId,
  ]);
  return row.status;
}
