/** The error of a role that lacks rights names statements. Once they are run, the role can start. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { StartError } from "../../src/base/start_error.ts";
import { explainMigration } from "../../src/postgres/explain.ts";
import { migrateDatabase } from "../../src/postgres/migrate.ts";
import {
  DEFAULT_USERS,
  type UsersConfig,
} from "../../src/postgres/users_table.ts";
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

async function faultOf(
  url: string,
  config: UsersConfig = DEFAULT_USERS,
): Promise<string> {
  try {
    await migrateDatabase(url, config);
  } catch (err) {
    ok(err instanceof StartError, String(err));
    return err.message;
  }
  throw new Error("the migration did not fail");
}

/** The statements at the end of an error message. */
function statementsOf(message: string): string[] {
  const [, list = ""] = /; as an owner or a superuser, run: (.*)$/
    .exec(message) ?? [];
  return list.split("; ");
}

async function runAll(url: string, statements: string[]): Promise<void> {
  for (const statement of statements) await query(url, statement);
}

/** The status of user 1, as the role reads it. `undefined`: there is no copy. */
async function copyOf(url: string): Promise<string | undefined> {
  const [row] = await query(url, "select to_jsonb(u) as u from users u");
  return row.u.status;
}

/** Lets a user come and go, as the role. */
async function serve(url: string): Promise<void> {
  const store = new PostgresStore(url, silentLog);
  try {
    await store.join(NODE, 60_000);
    const { transitions } = await store.apply(NODE, [1], []);
    equal(transitions.length, 1);
    equal(await copyOf(url), "online");
    await store.sweep(NODE);
    await store.leave(NODE, 0);
    equal(await copyOf(url), "offline");
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

Deno.test("a role that may only read the table users: it needs create on the database and nothing else", async () => {
  const { owner, role, database, url } = await openAsRole();
  await query(
    owner,
    `${USERS_TABLE};
     insert into users values (1, 'ada');
     grant create on database ${database} to ${role}`,
  );
  const message = await faultOf(url);
  const statements = statementsOf(message);
  deepEqual(statements, [
    `grant select (id, username) on public.users to ${role}`,
  ]);
  await runAll(owner, statements);
  await migrateDatabase(url);
  const store = new PostgresStore(url, silentLog);
  await store.join(NODE, 60_000);
  equal((await store.apply(NODE, [1], [])).transitions.length, 1);
  await store.close();
});

Deno.test("a role without any right, beside a table users: one error names everything, and so does --explain", async () => {
  const { owner, role, database, url } = await openAsRole();
  await query(
    owner,
    `create schema app;
     create table app.users (id integer primary key, username text, status text not null default 'offline');
     alter table app.users enable row level security`,
  );
  const config = { ...DEFAULT_USERS, table: "app.users" };
  const { lacking, text } = await explainMigration(url, config);
  deepEqual(lacking, [
    `grant create on database ${database} to ${role}`,
    `grant usage on schema app to ${role}`,
    `grant select (id, username, status) on app.users to ${role}`,
    `grant update (status) on app.users to ${role}`,
    `alter role ${role} bypassrls`,
  ]);
  match(text, /\nThe current role lacks:\n {2}grant create on database/);
  deepEqual(statementsOf(await faultOf(url, config)), lacking);
  await runAll(owner, [...lacking]);
  deepEqual((await explainMigration(url, config)).lacking, []);
  await migrateDatabase(url, config);
});

Deno.test("a role that does not own the table users: the error names the grants for the copy and for AUTO_PROVISION, and they are enough", async () => {
  const { owner, role, database, url } = await openAsRole();
  await query(
    owner,
    `create schema app;
     create table app.users (id integer primary key, username text, status text not null default 'offline', secret text);
     insert into app.users values (1, 'ada');
     grant create on database ${database} to ${role}`,
  );
  const config = {
    ...DEFAULT_USERS,
    ...{ table: "app.users", autoProvision: true },
  };
  const message = await faultOf(url, config);
  const statements = statementsOf(message);
  deepEqual(statements, [
    `grant usage on schema app to ${role}`,
    `grant select (id, username, status) on app.users to ${role}`,
    `grant update (status) on app.users to ${role}`,
    `grant insert (id, username) on app.users to ${role}`,
    `grant update (username) on app.users to ${role}`,
  ]);
  await runAll(owner, statements);
  await migrateDatabase(url, config);
  const store = new PostgresStore(url, silentLog);
  await store.join(NODE, 60_000);
  equal((await store.provision(1, "lovelace")).outcome, "there");
  equal((await store.provision(2, "bob")).outcome, "there");
  equal((await store.apply(NODE, [1, 2], [])).transitions.length, 2);
  await store.sweep(NODE);
  await store.close();
  const rows = await query(
    owner,
    "select id, username, status from app.users order by id",
  );
  deepEqual(rows, [
    { id: 1, username: "lovelace", status: "online" },
    { id: 2, username: "bob", status: "online" },
  ]);
});

Deno.test("a role that owns prepared schemas needs no grant", async () => {
  const { owner, role, url } = await openAsRole();
  await query(
    owner,
    `create schema app authorization ${role};
     create schema rollcall_internal authorization ${role};
     create schema rollcall authorization ${role};
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
     create schema rollcall;
     grant create on schema public to ${role}`,
  );
  const statements = statementsOf(await faultOf(url));
  deepEqual(statements, [
    `grant usage, create on schema rollcall to ${role}`,
    `grant usage, create on schema rollcall_internal to ${role}`,
  ]);
  await runAll(owner, statements);
  await migrateDatabase(url);
  await query(url, "insert into users (id, username) values (1, 'ada')");
  await serve(url);
});

Deno.test("a role that only serves: the error names the grants on what another role migrated and on the users table", async () => {
  const { owner, role, url } = await openAsRole();
  await migrateDatabase(owner);
  await query(owner, "insert into users (id, username) values (1, 'ada')");
  const statements = statementsOf(await faultOf(url));
  deepEqual(
    (await explainMigration(url, DEFAULT_USERS)).lacking,
    statements,
  );
  deepEqual(statements, [
    `grant usage on schema rollcall_internal to ${role}`,
    `grant select, insert, update, delete on all tables in schema rollcall_internal to ${role}`,
    `grant execute on all functions in schema rollcall_internal to ${role}`,
    `grant select (id, username, status) on public.users to ${role}`,
    `grant update (status) on public.users to ${role}`,
  ]);
  await runAll(owner, statements);
  deepEqual((await migrateDatabase(url)).applied, []);
  await serve(url);
});

Deno.test("a role that only serves, and a pending migration: the error names the role that has to migrate", async () => {
  const { owner, role, url } = await openAsRole();
  await migrateDatabase(owner);
  await query(
    owner,
    `grant usage on schema rollcall_internal to ${role};
     grant select, insert, update, delete on all tables in schema rollcall_internal to ${role};
     grant select, update on users to ${role};
     update rollcall_internal.migrations set sha256 = 'older' where name = 'functions/feed.sql'`,
  );
  match(
    await faultOf(url),
    /^Cannot apply migrations\/functions\/feed\.sql: permission denied.*; run deno task migrate as \w+, the owner of its tables; as an owner or a superuser, run: /,
  );
  deepEqual((await migrateDatabase(owner)).applied, ["functions/feed.sql"]);
});
