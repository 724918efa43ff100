/**
 * Brings the schema of a database up to date. `deno task migrate` and every start of a server run it.
 *
 * Everything happens in one transaction that holds a row lock, so that servers that start together
 * wait for each other, and a start that fails changes nothing. Nothing is set for the session: the
 * connection may be one of a pooler, which gives it to the application next. In the transaction:
 * 1. The application's users table is found and checked (`users_table.ts`), or made.
 * 2. The numbered files of `migrations/` are applied, each once.
 * 3. The files of `migrations/functions/` are applied whose text differs from what was applied. Each
 *    holds the one definition of its functions and views, as "create or replace". Placeholders
 *    such as `:USERS` are filled before the text is compared.
 *
 * Rules for a change of `migrations/`:
 * - A numbered file never changes once it was released. `tests/project/released_migrations_test.ts`
 *   has the hashes of all releases.
 * - Put `-- breaking` into the first line of a numbered file that older servers cannot work with.
 *   They then refuse to start. Without it they start, and apply nothing.
 * - A release that changes a function needs a new numbered file too, be it empty. It tells older
 *   servers that the database is newer. Without it, an older server would apply its own function.
 * - "create or replace" cannot change a function's parameters or its result. A numbered file drops
 *   the old function then. It is breaking, because older servers call it.
 *
 * This runner is Rollcall's own because no package takes plain SQL files, fills placeholders, holds
 * a lock while it works, and refuses files that were edited after they were applied.
 *
 * @module
 */
import pg from "pg";
import { systemClock } from "../base/clock.ts";
import { USERNAME_LENGTH_MAX } from "../base/limits.ts";
import type { Log } from "../base/log.ts";
import { messageOf } from "../base/message_of.ts";
import { StartError } from "../base/start_error.ts";
import { isNewer, readApplied, refuseEdited } from "./applied_files.ts";
import { connect } from "./connect.ts";
import { describeGroups } from "./groups_table.ts";
import { MIGRATE_LOCK_MS, MIGRATE_MS } from "./limits.ts";
import {
  fillFile,
  type MigrationFile,
  MIGRATIONS_DIRECTORY,
  readMigrationFiles,
} from "./migration_files.ts";
import {
  refusePreReleaseMigrations,
  refusePreReleaseSchema,
} from "./pre_release.ts";
import { pinned } from "./pinned.ts";
import { adviceOnRights, requireRightsToServe } from "./rights.ts";
import {
  DEFAULT_USERS,
  describeUsers,
  placeholders,
  type UsersConfig,
} from "./users_table.ts";
import { LackingRightsError } from "./users_catalog.ts";
import { type Mapping, settleUsersTable } from "./mapping.ts";
import {
  BOOKKEEPING,
  describeHolder,
  readOurObjects,
  revokeDefaultGrants,
} from "./bookkeeping.ts";

/** What a migration did. */
export interface Migrated extends Mapping {
  /** Names of the files that were applied now, in their order. */
  readonly applied: readonly string[];
}

/** Postgres raises it when a lock is not available within `MIGRATE_LOCK_MS`. */
const LOCK_NOT_AVAILABLE = "55P03";

/** Postgres raises it when the role lacks a right. */
const INSUFFICIENT_PRIVILEGE = "42501";

/** Of two servers that create the schema or a table at the same moment, one gets one of these. */
const CREATED_MEANWHILE = ["23505", "42P06", "42P07", "XX000"];

/** After its first try, a server sees what the other one created. */
const CREATED_TRIES_MAX = 5;

/**
 * Migrates over a connection of its own.
 *
 * @throws {StartError} when the database cannot be reached, or as `migrate` does.
 */
export async function migrateDatabase(
  url: string | undefined,
  config: UsersConfig = DEFAULT_USERS,
  log?: Log,
): Promise<Migrated> {
  const client = await connect(url);
  try {
    const onWait = (holder: string) =>
      log?.warn({ holder }, "waiting for a lock before the migration");
    return await migrate(client, config, MIGRATIONS_DIRECTORY, onWait);
  } finally {
    await client.end();
  }
}

/** Says what was done, which tables are read and written from now on, and whether there are groups. */
export function logMigration(
  { applied, users, madeUsers, groups }: Migrated,
  log: Log,
): void {
  if (madeUsers) log.info({ table: users.table }, `made table ${users.table}`);
  if (applied.length > 0) log.info({ applied }, "schema updated");
  log.info({}, describeUsers(users));
  log.info({}, describeGroups(groups));
}

/**
 * Migrates over a given connection.
 *
 * @param onWait Called once, with a description of the transaction that has to end first.
 * @throws {StartError} when the users table does not fit, a pre-release made the database, a newer
 *   server made it and marked a file as breaking, an applied file was edited, the role lacks a
 *   right, or a file fails.
 */
export async function migrate(
  client: pg.Client,
  config: UsersConfig = DEFAULT_USERS,
  directory = MIGRATIONS_DIRECTORY,
  onWait: (holder: string) => void = () => {},
): Promise<Migrated> {
  const startedAt = performance.now();
  let hasWaited = false;
  for (let attempt = 1;; attempt++) {
    try {
      return await pinned(
        client,
        () => migrateOnce(client, config, directory),
      );
    } catch (err) {
      const code = codeOf(err);
      const isOver = performance.now() - startedAt > MIGRATE_MS;
      if (CREATED_MEANWHILE.includes(code) && attempt < CREATED_TRIES_MAX) {
        continue;
      }
      if (isOver || code !== LOCK_NOT_AVAILABLE) {
        throw await explain(client, config, err);
      }
      if (!hasWaited) {
        onWait(await pinned(client, () => describeHolder(client)));
      }
      hasWaited = true;
      // Statements that queued behind ours get their turn before the next try.
      await systemClock.sleep(MIGRATE_LOCK_MS);
    }
  }
}

/** Creates the schema and the tables of the bookkeeping if they are missing, and nothing otherwise. */
async function prepareBookkeeping(client: pg.Client): Promise<void> {
  try {
    const { rows: [found] } = await client.query(
      `select to_regclass('rollcall_internal.settings') is not null as here`,
    );
    if (!found.here) await client.query(BOOKKEEPING);
  } catch (cause) {
    throw new StartError(
      `Cannot prepare the schema rollcall_internal: ${messageOf(cause)}`,
      { cause },
    );
  }
}

/** What happens in the transaction. */
async function migrateOnce(
  client: pg.Client,
  config: UsersConfig,
  directory: URL,
): Promise<Migrated> {
  const files = await readMigrationFiles(directory);
  await client.query(
    `set local statement_timeout = ${MIGRATE_MS}; set local lock_timeout = ${MIGRATE_LOCK_MS}`,
  );
  await refusePreReleaseSchema(client);
  const known = await readOurObjects(client);
  await prepareBookkeeping(client);
  await client.query("select from rollcall_internal.migration_lock for update");
  const applied = await readApplied(client);
  refusePreReleaseMigrations(applied.keys());
  refuseEdited(files.numbered, applied);
  const mapping = await settleUsersTable(client, config);
  const { users, groups } = mapping;
  const values = placeholders(users, groups, USERNAME_LENGTH_MAX);
  const changed = isNewer(applied, files.numbered) ? [] : [
    ...files.numbered.filter(({ name }) => !applied.has(name)),
    ...files.functions.filter((file) =>
      applied.get(file.name)?.sha256 !== fillFile(file, values).sha256
    ),
  ];
  for (const file of changed) await applyFile(client, file, values);
  await revokeDefaultGrants(client, known);
  await requireRightsToServe(client);
  return { ...mapping, applied: changed.map(({ name }) => name) };
}

/** Numbered files are recorded by their own hash: their placeholders never change, see `mapping.ts`. */
async function applyFile(
  client: pg.Client,
  file: MigrationFile,
  values: Readonly<Record<string, string>>,
): Promise<void> {
  const filled = fillFile(file, values);
  const isFunctions = file.name.startsWith("functions/");
  try {
    await client.query(filled.sql);
  } catch (cause) {
    throw new StartError(
      `Cannot apply migrations/${file.name}: ${messageOf(cause)}`,
      { cause },
    );
  }
  await client.query(
    `insert into rollcall_internal.migrations (name, sha256, breaking)
     values ($1, $2, $3)
         on conflict (name) do update
            set sha256 = excluded.sha256, applied_at = now()`,
    [file.name, isFunctions ? filled.sha256 : file.sha256, file.isBreaking],
  );
}

function causeOf(err: unknown): unknown {
  return err instanceof StartError && err.cause !== undefined ? err.cause : err;
}

/** The SQLSTATE of what the database answered. */
function codeOf(err: unknown): string {
  const cause = causeOf(err);
  return cause instanceof pg.DatabaseError ? cause.code ?? "" : "";
}

/** Adds what gives the role the rights that it lacks, if that was the fault. */
async function explain(
  client: pg.Client,
  config: UsersConfig,
  err: unknown,
): Promise<unknown> {
  const isDenied = codeOf(err) === INSUFFICIENT_PRIVILEGE;
  const advice = isDenied || err instanceof LackingRightsError
    ? await pinned(client, () => adviceOnRights(client, config, isDenied))
    : "";
  if (err instanceof StartError) {
    return advice === ""
      ? err
      : new StartError(`${err.message}${advice}`, { cause: err.cause });
  }
  if (!(err instanceof pg.DatabaseError)) return err;
  return new StartError(`Cannot migrate: ${messageOf(err)}${advice}`, {
    cause: err,
  });
}
