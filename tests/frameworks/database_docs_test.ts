/** What docs/database.md says about rights, views, queries and the way out, run as it stands there. */
import { deepEqual, match, ok, rejects } from "node:assert/strict";
import { migrateDatabase } from "../../src/postgres/migrate.ts";
import { postgresForThisFile, query, uniqueName } from "../support/database.ts";
import { agree, readDocument, tableRows } from "../support/documents.ts";
import { describeSchema } from "../support/schema.ts";
import {
  adapted,
  type Application,
  explained,
  grantNeeded,
  makeApplication,
  makePlainApplication,
  pictureOf,
  runStatements,
  usersConfig,
} from "./application.ts";
import { movesOf, NODE, withOnline } from "./online.ts";
import { documented, statementsIn } from "./documented.ts";

const postgres = postgresForThisFile();
const text = await readDocument("docs/database.md");
const PLAIN = usersConfig({ USERS_TABLE: "users", AUTO_PROVISION: "true" });

Deno.test("database.md, rights: the lines are those of deno task migrate --explain, and they are enough", async () => {
  const application = await makePlainApplication(postgres);
  const env = { USERS_TABLE: "users", AUTO_PROVISION: "true" };
  const statements = statementsIn("Rights")
    .map((statement) => adapted(application, statement));
  agree(statements, (await explained(application, env)).needed);
  await runStatements(application, statements);
  deepEqual((await explained(application, env)).lacking, []);
  await migrateDatabase(application.url, PLAIN);
  await withOnline(application.url, "integer", [1], async () => {
    deepEqual(
      await query(application.owner, "select status from users order by id"),
      [{ status: "online" }, { status: "offline" }],
    );
  });
});

Deno.test("database.md, rights: each grant that is missing is named by the start", async () => {
  const application = await makePlainApplication(postgres);
  const statements = statementsIn("Rights")
    .map((statement) => adapted(application, statement))
    // Everybody may use the schema public.
    .filter((statement) => !statement.includes("usage on schema public"));
  for (const missing of statements) {
    await runStatements(application, statements);
    await runStatements(application, [
      missing.replace("grant", "revoke").replace(" to ", " from "),
    ]);
    const fault = await migrateDatabase(application.url, PLAIN)
      .then(() => "", (err) => err.message);
    match(fault, /^Cannot .*run: /);
    ok(fault.endsWith(missing), `${fault} does not end with ${missing}`);
  }
});

Deno.test("database.md, rights: prepared schemas do in place of create on the database", async () => {
  const application = await makePlainApplication(postgres);
  const [first = "", ...rest] = statementsIn("Rights");
  match(first, /create on database/);
  await runStatements(application, rest);
  await runStatements(application, statementsIn("Rights", 1));
  await migrateDatabase(application.url, PLAIN);
});

Deno.test("database.md, rights: a second role serves with the rights that are listed, and cannot migrate", async () => {
  const application = await makePlainApplication(postgres);
  await runStatements(application, statementsIn("Rights"));
  await migrateDatabase(application.url, PLAIN);
  const server = uniqueName("server");
  await query(
    application.owner,
    `create role ${server} login password 'secret'`,
  );
  const url = new URL(application.url);
  url.username = server;
  const onTable = statementsIn("Rights").slice(1)
    .map((statement) => statement.replace("to rollcall", `to ${server}`));
  const onOurs = statementsIn("Rights", 2)
    .map((statement) => statement.replace("to server", `to ${server}`));
  for (const statement of [...onTable, ...onOurs]) {
    await query(application.owner, statement);
  }
  deepEqual((await migrateDatabase(url.href, PLAIN)).applied, []);
  await withOnline(url.href, "integer", [1, 2]);
  await query(
    application.owner,
    "update rollcall_internal.migrations set sha256 = '' where name like 'functions/%'",
  );
  await rejects(migrateDatabase(url.href, PLAIN), /run deno task migrate as/);
});

Deno.test("database.md, queries: the views have the columns that are listed, for a role that was granted them", async () => {
  const application = await makePlainApplication(postgres);
  await runStatements(application, statementsIn("Rights"));
  await migrateDatabase(application.url, PLAIN);
  for (const [view = "", columns = ""] of tableRows(text, "Queries").slice(1)) {
    const found = await query(
      application.owner,
      `select string_agg(attname, ', ' order by attnum) as columns from pg_attribute
        where attrelid = $1::regclass and attnum > 0`,
      [view],
    );
    deepEqual(found, [{ columns }]);
  }
  const app = uniqueName("app");
  await query(application.owner, `create role ${app}`);
  await rejects(
    query(application.owner, `set role ${app}; table rollcall.presence`),
    /permission denied/,
  );
  for (const statement of statementsIn("Queries")) {
    await query(application.owner, statement.replace("to app", `to ${app}`));
  }
  await withOnline(application.url, "integer", [1, 2], async () => {
    await query(
      application.owner,
      "update rollcall_internal.presence set nodes = '{}' where user_id = 2",
    );
    await query(application.owner, `set role ${app}; table rollcall.presence`);
    deepEqual(
      await query(
        application.owner,
        "select user_id, status from rollcall.presence order by user_id",
      ),
      [{ user_id: 1, status: "online" }, { user_id: 2, status: "offline" }],
    );
    deepEqual(
      await query(
        application.owner,
        "select id, username from rollcall.online_users",
      ),
      [{ id: 1, username: "Ada" }],
    );
  });
});

Deno.test("[U3] database.md, views: a view of the application is the users table", async () => {
  const application = await makeApplication(postgres);
  const { owner, url } = application;
  await query(
    owner,
    `create table accounts (
       id bigint primary key generated always as identity, display_name text, deactivated_at timestamptz
     );
     insert into accounts (display_name) values ('Ada'), (null), ('Eve');
     update accounts set deactivated_at = now() where display_name = 'Eve'`,
  );
  await runStatements(application, statementsIn("A view as the users table"));
  const env = { USERS_TABLE: "presence_users" };
  await grantNeeded(application, env);
  const before = await pictureOf(application);
  await migrateDatabase(url, usersConfig(env));
  await withOnline(url, "bigint", [1, 2], async (store) => {
    deepEqual(
      await query(
        owner,
        "select id, username from rollcall.online_users order by id",
      ),
      [{ id: "1", username: "Ada" }, { id: "2", username: "user 2" }],
    );
    deepEqual((await store.apply(NODE, [3], [])).unknown, [3]);
    await query(
      owner,
      "update accounts set deactivated_at = now() where id = 1",
    );
    deepEqual(movesOf(await store.sweep(NODE)), [[1, "offline"]]);
  });
  deepEqual(await pictureOf(application), before);
});

Deno.test("database.md, uninstall: the database is as it was, without the role", async () => {
  const application = await makeApplication(postgres, "laravel.sql");
  const { owner, role } = application;
  const before = await describeSchema(owner);
  const { statements } = documented("Laravel");
  await runStatements(application, statements);
  await migrateDatabase(application.url, usersConfig({ USERS_TABLE: "users" }));
  await withOnline(application.url, "bigint", [1]);
  await uninstall(application);
  deepEqual(await describeSchema(owner), before);
  deepEqual(
    await query(owner, "select from pg_roles where rolname = $1", [role]),
    [],
  );
});

Deno.test("database.md, uninstall: a users table that Rollcall made stays", async () => {
  const application = await makeApplication(postgres);
  const { owner } = application;
  await runStatements(application, documented("Clerk").statements);
  await migrateDatabase(application.url);
  await query(owner, "insert into users (id, username) values (1, 'Ada')");
  await uninstall(application);
  deepEqual(await query(owner, "select username from users"), [{
    username: "Ada",
  }]);
});

async function uninstall(application: Application): Promise<void> {
  const [drop = "", ...rest] = statementsIn("Uninstall");
  await query(application.owner, drop);
  for (const statement of rest) {
    await query(
      application.owner,
      adapted(application, statement).replace("app_owner", "current_user"),
    );
  }
}
