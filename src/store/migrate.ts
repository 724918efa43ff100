/**
 * Applies the numbered SQL files of `migrations/`, each once and each in a transaction.
 *
 * Written here because no runner in the registry takes plain SQL files, holds a lock while
 * it works, and refuses files that were edited after they were applied.
 *
 * @module
 */
import { createHash } from "node:crypto";
import type { Client } from "pg";
import { MIGRATE_MS } from "../limits.ts";
import { reasonOf } from "../reason.ts";
import { StartError } from "../start_error.ts";
import { connect } from "./connect.ts";

interface Migration {
  readonly name: string;
  readonly sql: string;
  readonly sha256: string;
}

const DIRECTORY = new URL("../../migrations/", import.meta.url);

const CREATE = `
  create schema if not exists rollcall_internal;
  create table rollcall_internal.migrations (
    name text primary key,
    sha256 text not null,
    applied_at timestamptz not null default now()
  )`;

/** Applies pending migrations over a connection of their own, and returns their names. */
export async function migrateDatabase(
  url: string | undefined,
): Promise<string[]> {
  const client = await connect(url);
  try {
    await client.query(`set statement_timeout = ${MIGRATE_MS}`);
    return await migrate(client);
  } finally {
    await client.end();
  }
}

/**
 * Brings the schema up to date and returns the names of the files applied now.
 *
 * @throws {StartError} when an applied file was edited or is gone, or a file fails.
 */
export async function migrate(
  client: Client,
  directory = DIRECTORY,
): Promise<string[]> {
  const migrations = await readMigrations(directory);
  // Held until the connection ends: any number of servers may start together.
  await client.query("select pg_advisory_lock(hashtext('rollcall.migrate'))");
  const pending = findPending(migrations, await readApplied(client));
  for (const migration of pending) await apply(client, migration);
  return pending.map((migration) => migration.name);
}

/** Names and hashes of what was applied. Creates the table only where it is missing, for want of rights. */
async function readApplied(client: Client): Promise<Map<string, string>> {
  try {
    const { rows: [found] } = await client.query(
      "select to_regclass('rollcall_internal.migrations') is not null as here",
    );
    if (!found.here) await client.query(CREATE);
    const { rows } = await client.query(
      "select name, sha256 from rollcall_internal.migrations",
    );
    return new Map(rows.map((row) => [row.name, row.sha256]));
  } catch (cause) {
    throw new StartError(
      `Cannot prepare the schema rollcall_internal: ${
        reasonOf(cause)
      }; expected a role that may create it, or that was granted its use`,
      { cause },
    );
  }
}

async function readMigrations(directory: URL): Promise<Migration[]> {
  const migrations: Migration[] = [];
  for await (const { name } of Deno.readDir(directory)) {
    if (!/^\d{4}_\w+\.sql$/.test(name)) continue;
    const sql = await Deno.readTextFile(new URL(name, directory));
    migrations.push({
      name,
      sql,
      sha256: createHash("sha256").update(sql).digest("hex"),
    });
  }
  return migrations.sort((a, b) => a.name < b.name ? -1 : 1);
}

/** A database that is newer than the files is refused too: an older server must not write to it. */
function findPending(
  migrations: Migration[],
  applied: Map<string, string>,
): Migration[] {
  for (const [name, sha256] of applied) {
    const migration = migrations.find((candidate) => candidate.name === name);
    if (migration === undefined) {
      throw new StartError(
        `Cannot migrate: the database has ${name}, which is not in migrations/; expected a server of the same or a newer version`,
      );
    }
    if (migration.sha256 !== sha256) {
      throw new StartError(
        `Cannot migrate: migrations/${name} was edited after it was applied; restore it and add a new file instead`,
      );
    }
  }
  return migrations.filter((migration) => !applied.has(migration.name));
}

async function apply(
  client: Client,
  { name, sql, sha256 }: Migration,
): Promise<void> {
  try {
    await client.query("begin");
    await client.query(sql);
    await client.query(
      "insert into rollcall_internal.migrations (name, sha256) values ($1, $2)",
      [
        name,
        sha256,
      ],
    );
    await client.query("commit");
  } catch (cause) {
    await client.query("rollback").catch(() => {});
    throw new StartError(
      `Cannot apply migrations/${name}: ${reasonOf(cause)}`,
      { cause },
    );
  }
}
