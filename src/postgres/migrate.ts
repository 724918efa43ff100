/**
 * Applies the numbered SQL files of `migrations/`, each once and each in a transaction.
 *
 * Written here because no runner in the registry takes plain SQL files, holds a lock while
 * it works, and refuses files that were edited after they were applied.
 *
 * @module
 */
import { createHash } from "node:crypto";
import pg from "pg";
import { MIGRATE_LOCK_MS, MIGRATE_MS } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import { reasonOf } from "../base/reason.ts";
import { StartError } from "../base/start_error.ts";
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

/** Raised where a lock is not there within `MIGRATE_LOCK_MS`. */
const LOCK_NOT_AVAILABLE = "55P03";

/** Applies pending migrations over a connection of their own, and returns their names. */
export async function migrateDatabase(
  url: string | undefined,
  log?: Log,
): Promise<string[]> {
  const client = await connect(url);
  try {
    await client.query(`set statement_timeout = ${MIGRATE_MS}`);
    const onWait = (migration: string) =>
      log?.warn({ migration }, "a migration waits for somebody's transaction");
    return await migrate(client, DIRECTORY, onWait);
  } finally {
    await client.end();
  }
}

/**
 * Brings the schema up to date and returns the names of the files applied now.
 *
 * @param onWait Called with a file's name if somebody else's transaction has to end first.
 * @throws {StartError} when an applied file was edited or is gone, or a file fails.
 */
export async function migrate(
  client: pg.Client,
  directory = DIRECTORY,
  onWait: (name: string) => void = () => {},
): Promise<string[]> {
  const migrations = await readMigrations(directory);
  // Held until the connection ends: any number of servers may start together.
  await client.query("select pg_advisory_lock(hashtext('rollcall.migrate'))");
  const pending = findPending(migrations, await readApplied(client));
  for (const migration of pending) {
    await applyPatiently(client, migration, onWait);
  }
  return pending.map((migration) => migration.name);
}

/** Names and hashes of what was applied. Creates the table only where it is missing, for want of rights. */
async function readApplied(client: pg.Client): Promise<Map<string, string>> {
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

/** Everybody who needs a table waits behind whoever waits to change it. So they get their turn. */
async function applyPatiently(
  client: pg.Client,
  migration: Migration,
  onWait: (name: string) => void,
): Promise<void> {
  const startedAt = performance.now();
  for (let tries = 1;; tries++) {
    try {
      return await apply(client, migration);
    } catch (err) {
      const isOver = performance.now() - startedAt > MIGRATE_MS;
      if (isOver || !isLockFault(err)) throw err;
      if (tries === 1) onWait(migration.name);
      await new Promise((resolve) => setTimeout(resolve, MIGRATE_LOCK_MS));
    }
  }
}

function isLockFault(err: unknown): boolean {
  const { cause } = err as Error;
  return cause instanceof pg.DatabaseError &&
    cause.code === LOCK_NOT_AVAILABLE;
}

async function apply(
  client: pg.Client,
  { name, sql, sha256 }: Migration,
): Promise<void> {
  try {
    await client.query("begin");
    await client.query(`set local lock_timeout = ${MIGRATE_LOCK_MS}`);
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
