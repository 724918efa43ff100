/**
 * Brings the schema up to date: the numbered files of `migrations/`, each once and each in a
 * transaction, then those of `migrations/functions/` that are not there as they are now.
 *
 * A numbered file is never edited. A file of functions (triggers, views) is: it says "or replace",
 * and holds the one definition that there is. A server that is older than the database applies
 * nothing, and starts if no number that it does not know is marked `-- breaking`.
 *
 * Written here because no runner in the registry takes plain SQL files, holds a lock while
 * it works, and refuses files that were edited after they were applied.
 *
 * @module
 */
import { createHash } from "node:crypto";
import pg from "pg";
import { MIGRATE_LOCK_MS, MIGRATE_MS } from "./limits.ts";
import type { Log } from "../base/log.ts";
import { messageOf } from "../base/message_of.ts";
import { StartError } from "../base/start_error.ts";
import { connect } from "./connect.ts";

interface Migration {
  readonly name: string;
  readonly sql: string;
  readonly sha256: string;
  /** An older server must not run on it. */
  readonly isBreaking: boolean;
}

interface Applied {
  readonly sha256: string;
  readonly isBreaking: boolean;
}

const DIRECTORY = new URL("../../migrations/", import.meta.url);

const CREATE = `
  create schema if not exists rollcall_internal;
  create table rollcall_internal.migrations (
    name text primary key,
    sha256 text not null,
    breaking boolean not null,
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
  const numbered = await readFiles(directory, "", /^\d{4}_\w+\.sql$/);
  const functions = await readFiles(directory, "functions/", /^\w+\.sql$/);
  // Held until the connection ends: any number of servers may start together.
  await client.query("select pg_advisory_lock(hashtext('rollcall.migrate'))");
  const applied = await readApplied(client);
  if (isNewer(applied, numbered)) return [];
  const pending = findPending(numbered, applied);
  for (const migration of pending) {
    await applyPatiently(client, [migration], onWait);
  }
  const changed = functions.filter(({ name, sha256 }) =>
    applied.get(name)?.sha256 !== sha256
  );
  if (changed.length > 0) await applyPatiently(client, changed, onWait);
  return [...pending, ...changed].map(({ name }) => name);
}

/** Names and hashes of what was applied. Creates the table only where it is missing, for want of rights. */
async function readApplied(client: pg.Client): Promise<Map<string, Applied>> {
  try {
    const { rows: [found] } = await client.query(
      "select to_regclass('rollcall_internal.migrations') is not null as here",
    );
    if (!found.here) await client.query(CREATE);
    const { rows } = await client.query(
      "select name, sha256, breaking from rollcall_internal.migrations",
    );
    return new Map(
      rows.map((row) => [
        row.name,
        { sha256: row.sha256, isBreaking: row.breaking },
      ]),
    );
  } catch (cause) {
    throw new StartError(
      `Cannot prepare the schema rollcall_internal: ${
        messageOf(cause)
      }; expected a role that may create it, or that was granted its use`,
      { cause },
    );
  }
}

async function readFiles(
  directory: URL,
  below: string,
  pattern: RegExp,
): Promise<Migration[]> {
  const migrations: Migration[] = [];
  const folder = new URL(`./${below}`, directory);
  try {
    for await (const { name } of Deno.readDir(folder)) {
      if (!pattern.test(name)) continue;
      const sql = await Deno.readTextFile(new URL(name, folder));
      migrations.push({
        name: below + name,
        sql,
        sha256: createHash("sha256").update(sql).digest("hex"),
        isBreaking: sql.startsWith("-- breaking"),
      });
    }
  } catch (err) {
    if (!(err instanceof Deno.errors.NotFound)) throw err;
  }
  return migrations.sort((a, b) => a.name < b.name ? -1 : 1);
}

/** Whether the database is newer than these files. */
function isNewer(
  applied: Map<string, Applied>,
  numbered: readonly Migration[],
): boolean {
  const known = new Set(numbered.map(({ name }) => name));
  const unknown = [...applied].filter(([name]) =>
    !name.startsWith("functions/") && !known.has(name)
  );
  const breaking = unknown.find(([, { isBreaking }]) => isBreaking);
  if (breaking === undefined) return unknown.length > 0;
  throw new StartError(
    `Cannot migrate: the database has ${
      breaking[0]
    }, which is not in migrations/; expected a server of the same or a newer version`,
  );
}

function findPending(
  numbered: readonly Migration[],
  applied: Map<string, Applied>,
): Migration[] {
  const edited = numbered.find(({ name, sha256 }) =>
    (applied.get(name)?.sha256 ?? sha256) !== sha256
  );
  if (edited !== undefined) {
    throw new StartError(
      `Cannot migrate: migrations/${edited.name} was edited after it was applied; restore it and add a new file instead`,
    );
  }
  return numbered.filter(({ name }) => !applied.has(name));
}

/** Everybody who needs a table waits behind whoever waits to change it. So they get their turn. */
async function applyPatiently(
  client: pg.Client,
  migrations: readonly Migration[],
  onWait: (name: string) => void,
): Promise<void> {
  const startedAt = performance.now();
  for (let tries = 1;; tries++) {
    try {
      return await apply(client, migrations);
    } catch (err) {
      const isOver = performance.now() - startedAt > MIGRATE_MS;
      if (isOver || !isLockFault(err)) throw err;
      if (tries === 1) onWait(migrations.map(({ name }) => name).join());
      await new Promise((resolve) => setTimeout(resolve, MIGRATE_LOCK_MS));
    }
  }
}

function isLockFault(err: unknown): boolean {
  const { cause } = err as Error;
  return cause instanceof pg.DatabaseError &&
    cause.code === LOCK_NOT_AVAILABLE;
}

/** All of them in one transaction. */
async function apply(
  client: pg.Client,
  migrations: readonly Migration[],
): Promise<void> {
  let current = "";
  try {
    await client.query("begin");
    await client.query(`set local lock_timeout = ${MIGRATE_LOCK_MS}`);
    for (const { name, sql, sha256, isBreaking } of migrations) {
      current = name;
      await client.query(sql);
      await client.query(
        `insert into rollcall_internal.migrations (name, sha256, breaking)
         values ($1, $2, $3)
             on conflict (name) do update
                set sha256 = excluded.sha256, applied_at = now()`,
        [name, sha256, isBreaking],
      );
    }
    await client.query("commit");
  } catch (cause) {
    await client.query("rollback").catch(() => {});
    throw new StartError(
      `Cannot apply migrations/${current}: ${messageOf(cause)}`,
      { cause },
    );
  }
}
