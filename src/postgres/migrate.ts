/**
 * Brings the schema of a database up to date. `deno task migrate` and every start of a server run it.
 *
 * First come the numbered files of `migrations/`: each is applied once, in a transaction of its
 * own. Then come the files of `migrations/functions/` whose text differs from what was applied:
 * all in one transaction. Each of these holds the one definition of its functions, triggers and
 * views, as "create or replace". An advisory lock makes servers that start together wait for each
 * other.
 *
 * Rules for changes in `migrations/`:
 * - A numbered file never changes once it was released. `tests/project/released_migrations_test.ts`
 *   has the hashes of all releases.
 * - Put `-- breaking` into the first line of a numbered file that older servers cannot work with.
 *   They then refuse to start. Without it they start, and apply nothing.
 * - A release that changes a function needs a new numbered file too, be it empty. It tells older
 *   servers that the database is newer. Without it, an older server would apply its own function.
 * - "create or replace" cannot change a function's parameters or its result. A numbered file drops
 *   the old function then. It is breaking, because older servers call it.
 *
 * This runner is Rollcall's own because no package takes plain SQL files, holds a lock while it
 * works, and refuses files that were edited after they were applied.
 *
 * @module
 */
import pg from "pg";
import { systemClock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { messageOf } from "../base/message_of.ts";
import { StartError } from "../base/start_error.ts";
import { connect } from "./connect.ts";
import { MIGRATE_LOCK_MS, MIGRATE_MS } from "./limits.ts";
import {
  type MigrationFile,
  MIGRATIONS_DIRECTORY,
  readMigrationFiles,
} from "./migration_files.ts";
import {
  adviceToStartOver,
  refusePreReleaseMigrations,
  refusePreReleaseSchema,
} from "./pre_release.ts";
import { adviceOnRights } from "./rights.ts";

/** What the database says about a file that was applied. */
interface Applied {
  readonly sha256: string;
  readonly isBreaking: boolean;
}

/** The table of applied files. Made here, because the first migration is recorded in it. */
const CREATE_TABLE = `
  create table rollcall_internal.migrations (
    name text primary key,
    sha256 text not null,
    breaking boolean not null,
    applied_at timestamptz not null default now()
  )`;

/** Postgres raises it when a lock is not available within `MIGRATE_LOCK_MS`. */
const LOCK_NOT_AVAILABLE = "55P03";

/**
 * Migrates over a connection of its own.
 *
 * @returns The names of the files applied now, in their order.
 * @throws {StartError} when the database cannot be reached, or as `migrate` does.
 */
export async function migrateDatabase(
  url: string | undefined,
  log?: Log,
): Promise<string[]> {
  const client = await connect(url);
  try {
    await client.query(`set statement_timeout = ${MIGRATE_MS}`);
    const onWait = (migration: string) =>
      log?.warn(
        { migration },
        "a migration waits for a lock",
      );
    return await migrate(client, MIGRATIONS_DIRECTORY, onWait);
  } finally {
    await client.end();
  }
}

/**
 * Migrates over a given connection, and keeps the advisory lock until the connection ends.
 *
 * @param onWait Called with a file's name if another transaction has to end first.
 * @returns The names of the files applied now, in their order.
 * @throws {StartError} when a pre-release made the database, a newer server made it and marked a
 *   file as breaking, an applied file was edited, the role lacks a right, or a file fails.
 */
export async function migrate(
  client: pg.Client,
  directory = MIGRATIONS_DIRECTORY,
  onWait: (name: string) => void = () => {},
): Promise<string[]> {
  const { numbered, functions } = await readMigrationFiles(directory);
  await client.query("select pg_advisory_lock(hashtext('rollcall.migrate'))");
  await refusePreReleaseSchema(client);
  const applied = await readApplied(client);
  refusePreReleaseMigrations(applied.keys());
  refuseEdited(numbered, applied);
  if (isNewer(applied, numbered)) return [];

  const pending = numbered.filter(({ name }) => !applied.has(name));
  for (const file of pending) await applyWithRetry(client, [file], onWait);
  const changed = functions.filter(({ name, sha256 }) =>
    applied.get(name)?.sha256 !== sha256
  );
  if (changed.length > 0) await applyWithRetry(client, changed, onWait);
  return [...pending, ...changed].map(({ name }) => name);
}

/**
 * The files that were applied, by name. Creates the schema and its table of migrations only if
 * they are missing: a role that only serves may not create anything.
 */
async function readApplied(client: pg.Client): Promise<Map<string, Applied>> {
  try {
    const { rows: [found] } = await client.query(
      `select to_regnamespace('rollcall_internal') is not null as "hasSchema",
              exists (select from pg_tables
                       where schemaname = 'rollcall_internal' and tablename = 'migrations') as "hasTable"`,
    );
    // Not named "rollcall": "$user" comes first on the default search path, and a role may have
    // that name.
    if (!found.hasSchema) await client.query("create schema rollcall_internal");
    if (!found.hasTable) await client.query(CREATE_TABLE);
    const { rows } = await client.query(
      "select name, sha256, breaking from rollcall_internal.migrations",
    );
    return new Map(rows.map(({ name, sha256, breaking }) => [
      name,
      { sha256, isBreaking: breaking },
    ]));
  } catch (cause) {
    const advice = await adviceOnRights(client, cause);
    throw new StartError(
      `Cannot prepare the schema rollcall_internal: ${
        messageOf(cause)
      }${advice}`,
      { cause },
    );
  }
}

/** @throws {StartError} when the text of a numbered file is not what was applied. */
function refuseEdited(
  numbered: readonly MigrationFile[],
  applied: ReadonlyMap<string, Applied>,
): void {
  const edited = numbered.find(({ name, sha256 }) =>
    (applied.get(name)?.sha256 ?? sha256) !== sha256
  );
  if (edited === undefined) return;
  throw new StartError(
    `Cannot migrate: migrations/${edited.name} was edited after it was applied; restore it and put the change into a new file. If a pre-release of Rollcall made this database, the file was not final. ${adviceToStartOver()}`,
  );
}

/**
 * Whether a newer server has migrated the database.
 *
 * @throws {StartError} when one of its migrations is breaking.
 */
function isNewer(
  applied: ReadonlyMap<string, Applied>,
  numbered: readonly MigrationFile[],
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
    }, which is not in migrations/ and which servers without it cannot work with; expected a server of the same or a newer version`,
  );
}

/**
 * Applies files, and retries until `MIGRATE_MS` have passed if a lock is not available. While a
 * statement waits for a lock on a table, every later statement on that table waits behind it. So
 * each try is short, and the others get their turn before the next one.
 */
async function applyWithRetry(
  client: pg.Client,
  files: readonly MigrationFile[],
  onWait: (name: string) => void,
): Promise<void> {
  const startedAt = performance.now();
  for (let attempt = 1;; attempt++) {
    try {
      return await apply(client, files);
    } catch (err) {
      const isOver = performance.now() - startedAt > MIGRATE_MS;
      if (isOver || !isLockFault(err)) throw err;
      if (attempt === 1) onWait(files.map(({ name }) => name).join());
      await systemClock.sleep(MIGRATE_LOCK_MS);
    }
  }
}

function isLockFault(err: unknown): boolean {
  const { cause } = err as Error;
  return cause instanceof pg.DatabaseError &&
    cause.code === LOCK_NOT_AVAILABLE;
}

/** Applies files and records them, all in one transaction. */
async function apply(
  client: pg.Client,
  files: readonly MigrationFile[],
): Promise<void> {
  let current = "";
  try {
    await client.query("begin");
    await client.query(`set local lock_timeout = ${MIGRATE_LOCK_MS}`);
    for (const { name, sql, sha256, isBreaking } of files) {
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
    const advice = await adviceOnRights(client, cause);
    throw new StartError(
      `Cannot apply migrations/${current}: ${messageOf(cause)}${advice}`,
      { cause },
    );
  }
}
