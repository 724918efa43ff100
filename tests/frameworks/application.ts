/**
 * A database as an application has it, and a role of Rollcall's own in it that owns nothing there.
 *
 * @module
 */
import { readDatabaseConfig } from "../../src/config/config.ts";
import { explainMigration } from "../../src/postgres/explain.ts";
import type { UsersConfig } from "../../src/postgres/users_table.ts";
import { query, type TestPostgres, uniqueName } from "../support/database.ts";
import { describeSchema, dumpSchema } from "../support/schema.ts";
import { ROOT } from "../support/server.ts";

export interface Application {
  /** The database, as a superuser. */
  readonly owner: string;
  /** The database, as the application that owns it. */
  readonly app: string;
  /** The database, as the role that Rollcall gets. */
  readonly url: string;
  readonly role: string;
  readonly database: string;
}

/** Makes a database with the schema of a file in `schemas/`; without one it is empty. */
export async function makeApplication(
  postgres: TestPostgres,
  file?: string,
): Promise<Application> {
  const owner = await postgres.emptyDatabase();
  if (file !== undefined) await query(owner, await readSchema(file));
  const [role, app] = [uniqueName("rollcall"), uniqueName("app")];
  const database = new URL(owner).pathname.slice(1);
  await query(
    owner,
    `create role ${role} login password 'secret'; create role ${app} login password 'secret';
     alter database ${database} owner to ${app}`,
  );
  return {
    owner,
    app: asRole(owner, app),
    url: asRole(owner, role),
    role,
    database,
  };
}

function asRole(owner: string, role: string): string {
  const url = new URL(owner);
  url.username = role;
  url.password = "secret";
  return url.href;
}

/** One with two users in the table that Rollcall would make, but for the name of a column. */
export async function makePlainApplication(
  postgres: TestPostgres,
): Promise<Application> {
  const application = await makeApplication(postgres);
  await query(
    application.owner,
    `create table users (id integer primary key, name text not null, status text not null default 'offline');
     insert into users (id, name) values (1, 'Ada'), (2, 'Bob')`,
  );
  return application;
}

export async function readSchema(file: string): Promise<string> {
  return await Deno.readTextFile(`${ROOT}tests/frameworks/schemas/${file}`);
}

/** A statement of the documentation, for this role and this database. */
export function adapted(
  { role, database }: Application,
  statement: string,
): string {
  return statement
    .replaceAll(/\b(to|by|role|authorization) rollcall\b/g, `$1 ${role}`)
    .replaceAll(/\bdatabase app\b/g, `database ${database}`);
}

/** Runs statements of the documentation, as a superuser. */
export async function runStatements(
  application: Application,
  statements: readonly string[],
): Promise<void> {
  for (const statement of statements) {
    await query(application.owner, adapted(application, statement));
  }
}

/** Grants what `deno task migrate --explain` says for these variables. */
export async function grantNeeded(
  application: Application,
  env: Readonly<Record<string, string>>,
): Promise<void> {
  await runStatements(application, (await explained(application, env)).needed);
}

/** What a server reads from these variables. */
export function usersConfig(
  env: Readonly<Record<string, string>>,
): UsersConfig {
  return readDatabaseConfig(env).users;
}

/** The statements that `deno task migrate --explain` prints for the role: all, and those it lacks. */
export async function explained(
  { url }: Application,
  env: Readonly<Record<string, string>>,
): Promise<{ needed: string[]; lacking: string[] }> {
  const { text, lacking } = await explainMigration(url, usersConfig(env));
  const [, needed = ""] =
    /role of its own needs:\n([\s\S]*)\nThe current role lacks/.exec(text) ??
      [];
  const statements = needed.split("\n")
    .map((line) => line.trim().replace(/;$/, ""));
  return { needed: statements, lacking: [...lacking] };
}

/** Everything of the application. */
export interface Picture {
  /** Tables and the like outside of Rollcall's schemas that Rollcall's role owns. */
  readonly owned: number;
  readonly objects: readonly string[];
  /** As `pg_dump` writes it, where there is one for this server. */
  readonly dump: string | undefined;
}

export async function pictureOf(
  { owner, role }: Application,
): Promise<Picture> {
  const [{ owned }] = await query(
    owner,
    `select count(*)::int as owned from pg_class
      where relowner = $1::regrole and relnamespace::regnamespace::text not in ('rollcall', 'rollcall_internal', 'pg_toast')`,
    [role],
  );
  return {
    owned,
    objects: await describeSchema(owner),
    dump: await dumpSchema(owner),
  };
}

/** Locks that a role holds on tables of the application at this moment. */
export async function locksOf({ owner, role }: Application): Promise<number> {
  const [{ locks }] = await query(
    owner,
    `select count(*)::int as locks
       from pg_locks l join pg_stat_activity a on a.pid = l.pid join pg_class c on c.oid = l.relation
      where a.usename = $1 and a.state <> 'active'
        and c.relnamespace::regnamespace::text not in ('pg_catalog', 'rollcall', 'rollcall_internal')`,
    [role],
  );
  return locks;
}
