/** The error of a role that lacks rights names statements. Once they are run, the role can start. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { StartError } from "../../src/base/start_error.ts";
import { migrateDatabase } from "../../src/postgres/migrate.ts";
import { PostgresStore } from "../../src/postgres/postgres_store.ts";
import {
  postgresForThisFile,
  query,
  silentLog,
  uniqueName,
} from "../support/database.ts";

const postgres = postgresForThisFile();
const NODE = "00000000-0000-4000-8000-000000000001";
const USERS_TABLE =
  "create table users (id integer primary key, username text not null)";

/** An empty database, and a role without rights in it, as two URLs. */
async function openAsRole() {
  const owner = await postgres.emptyDatabase();
  const role = uniqueName("app");
  await query(owner, `create role ${role} login password 'secret'`);
  const url = new URL(owner);
  const database = url.pathname.slice(1);
  url.username = role;
  url.password = "secret";
  return { owner, role, database, url: url.href };
}

async function faultOf(url: string): Promise<string> {
  try {
    await migrateDatabase(url);
  } catch (err) {
    ok(err instanceof StartError, String(err));
    return err.message;
  }
  throw new Error("the migration did not fail");
}

/** The statements at the end of an error message. */
function statementsOf(message: string): string[] {
  const [, list = ""] = /(?:run|needs): (.*?)(?:, or run deno task migrate.*)?$/
    .exec(message) ?? [];
  return list.split("; ");
}

async function runAll(url: string, statements: string[]): Promise<void> {
  for (const statement of statements) await query(url, statement);
}

/** Lets a user come and go, as the role. */
async function serve(url: string): Promise<void> {
  const store = new PostgresStore(url, silentLog);
  try {
    await store.join(NODE, 60_000);
    const { transitions } = await store.apply(NODE, [1], []);
    equal(transitions.length, 1);
    await store.leave(NODE, 0);
  } finally {
    await store.close();
  }
}

Deno.test("a role without rights: the error names both grants, and they are enough", async () => {
  const { owner, role, database, url } = await openAsRole();
  const message = await faultOf(url);
  ok(
    message.startsWith(
      "Cannot prepare the schema rollcall_internal: permission denied",
    ),
    message,
  );
  const statements = statementsOf(message);
  deepEqual(statements, [
    `grant create on database ${database} to ${role}`,
    `grant create on schema public to ${role}`,
  ]);
  await runAll(owner, statements);
  await migrateDatabase(url);
  await query(url, "insert into users (id, username) values (1, 'ada')");
  await serve(url);
});

Deno.test("a role with create on the database alone: the error names the grant on schema public", async () => {
  const { owner, role, database, url } = await openAsRole();
  await query(owner, `grant create on database ${database} to ${role}`);
  const message = await faultOf(url);
  ok(message.includes("permission denied for schema public"), message);
  const statements = statementsOf(message);
  deepEqual(statements, [`grant create on schema public to ${role}`]);
  await runAll(owner, statements);
  await migrateDatabase(url);
  await query(url, "insert into users (id, username) values (1, 'ada')");
  await serve(url);
});

Deno.test("a role that owns a prepared table users: the error names the grant on schema public, for the view", async () => {
  const { owner, role, database, url } = await openAsRole();
  await query(
    owner,
    `grant create on database ${database} to ${role};
     ${USERS_TABLE};
     insert into users values (1, 'ada');
     alter table users owner to ${role}`,
  );
  const message = await faultOf(url);
  ok(message.includes("permission denied for schema public"), message);
  const statements = statementsOf(message);
  deepEqual(statements, [`grant create on schema public to ${role}`]);
  await runAll(owner, statements);
  await migrateDatabase(url);
  await serve(url);
});

Deno.test("a role that does not own the table users: the error names its owner", async () => {
  const { owner, role, database, url } = await openAsRole();
  await query(
    owner,
    `grant create on database ${database} to ${role};
     grant create on schema public to ${role};
     ${USERS_TABLE};
     insert into users values (1, 'ada')`,
  );
  const message = await faultOf(url);
  const [{ owned_by }] = await query(
    owner,
    "select quote_ident(tableowner) as owned_by from pg_tables where tablename = 'users'",
  );
  ok(message.includes("must be owner of table users"), message);
  ok(
    message.endsWith(
      `, or run deno task migrate as ${owned_by}, the owner of the table`,
    ),
    message,
  );
  const statements = statementsOf(message);
  deepEqual(statements, [`alter table users owner to ${role}`]);
  await runAll(owner, statements);
  await migrateDatabase(url);
  await serve(url);
});

Deno.test("a role that owns prepared schemas needs no grant", async () => {
  const { owner, role, url } = await openAsRole();
  await query(
    owner,
    `create schema app authorization ${role};
     create schema rollcall_internal authorization ${role};
     alter role ${role} set search_path = app`,
  );
  await migrateDatabase(url);
  await query(url, "insert into users (id, username) values (1, 'ada')");
  await serve(url);
});

Deno.test("a role without create on the prepared schema: the error names the grant", async () => {
  const { owner, role, url } = await openAsRole();
  await query(
    owner,
    `create schema rollcall_internal;
     grant create on schema public to ${role}`,
  );
  const statements = statementsOf(await faultOf(url));
  deepEqual(statements, [
    `grant usage, create on schema rollcall_internal to ${role}`,
  ]);
  await runAll(owner, statements);
  await migrateDatabase(url);
  await query(url, "insert into users (id, username) values (1, 'ada')");
  await serve(url);
});

Deno.test("a role that only serves: the error names the grants on what another role migrated", async () => {
  const { owner, role, url } = await openAsRole();
  await migrateDatabase(owner);
  await query(owner, "insert into users (id, username) values (1, 'ada')");
  const message = await faultOf(url);
  ok(message.includes("run deno task migrate as"), message);
  const statements = statementsOf(message);
  deepEqual(statements, [
    `grant usage on schema rollcall_internal to ${role}`,
    `grant select, insert, update, delete on all tables in schema rollcall_internal to ${role}`,
    `grant select, update on users to ${role}`,
  ]);
  await runAll(owner, statements);
  deepEqual(await migrateDatabase(url), []);
  await serve(url);
});

Deno.test("a role that only serves, and a pending migration: the error names the role that has to migrate", async () => {
  const { owner, role, url } = await openAsRole();
  await migrateDatabase(owner);
  await query(
    owner,
    `grant usage on schema rollcall_internal to ${role};
     grant select, insert, update, delete on all tables in schema rollcall_internal to ${role};
     update rollcall_internal.migrations set sha256 = 'older' where name = 'functions/feed.sql'`,
  );
  match(
    await faultOf(url),
    /^Cannot apply migrations\/functions\/feed\.sql: permission denied.*; run deno task migrate as \w+, the owner of its tables;/,
  );
  deepEqual(await migrateDatabase(owner), ["functions/feed.sql"]);
});
