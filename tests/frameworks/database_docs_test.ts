/** What docs/database.md says about rights, views, queries and the way out, run as it stands there. */
import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { migrateDatabase } from "../../src/postgres/migrate.ts";
import { PostgresStore } from "../../src/postgres/postgres_store.ts";
import {
  DEFAULT_USERS,
  type UsersConfig,
} from "../../src/postgres/users_table.ts";
import { userIds } from "../../src/protocol/user_id.ts";
import {
  postgresForThisFile,
  query,
  silentLog,
  uniqueName,
} from "../support/database.ts";
import {
  agree,
  codeBlocks,
  readDocument,
  sectionOf,
  tableRows,
} from "../support/documents.ts";
import { describeSchema } from "../support/schema.ts";
import {
  adapted,
  type Application,
  explained,
  makeApplication,
  pictureOf,
} from "./application.ts";
import { documented, readStatements } from "./documented.ts";

const postgres = postgresForThisFile();
const text = await readDocument("docs/database.md");
const NODE = "00000000-0000-4000-8000-000000000001";

/** The statements of a block of SQL below a heading. */
function statementsIn(heading: string, block = 0): string[] {
  return readStatements(
    codeBlocks(sectionOf(text, heading), "sql")[block] ?? "",
  );
}

async function run(
  application: Application,
  statements: readonly string[],
): Promise<void> {
  for (const statement of statements) {
    await query(application.owner, adapted(application, statement));
  }
}

/** The plan's table, as an application has it. */
async function plainApplication(): Promise<Application> {
  const application = await makeApplication(postgres);
  await query(
    application.owner,
    `create table users (id integer primary key, name text not null, status text not null default 'offline');
     insert into users (id, name) values (1, 'Ada'), (2, 'Bob')`,
  );
  return application;
}

/** Lets users come online, calls back, and lets them go. */
async function withOnline(
  url: string,
  type: "integer" | "bigint",
  ids: number[],
  then: (store: PostgresStore) => Promise<void> = () => Promise.resolve(),
): Promise<void> {
  const store = new PostgresStore(url, silentLog, userIds(type));
  try {
    await store.join(NODE, 60_000);
    equal((await store.apply(NODE, ids, [])).transitions.length, ids.length);
    await then(store);
    await store.leave(NODE, 0);
  } finally {
    await store.close();
  }
}

const PLAIN: UsersConfig = {
  ...DEFAULT_USERS,
  table: "users",
  autoProvision: true,
};

Deno.test("database.md, rights: the lines are those of deno task migrate --explain, and they are enough", async () => {
  const application = await plainApplication();
  const env = { USERS_TABLE: "users", AUTO_PROVISION: "true" };
  const statements = statementsIn("Rights")
    .map((statement) => adapted(application, statement));
  agree(statements, (await explained(application, env)).needed);
  await run(application, statements);
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
  const application = await plainApplication();
  const statements = statementsIn("Rights")
    .map((statement) => adapted(application, statement))
    // Everybody may use the schema public.
    .filter((statement) => !statement.includes("usage on schema public"));
  for (const missing of statements) {
    await run(application, statements);
    await run(application, [
      missing.replace("grant", "revoke").replace(" to ", " from "),
    ]);
    const fault = await migrateDatabase(application.url, PLAIN)
      .then(() => "", (err) => err.message);
    match(fault, /^Cannot .*run: /);
    ok(fault.endsWith(missing), `${fault} does not end with ${missing}`);
  }
});

Deno.test("database.md, rights: prepared schemas do in place of create on the database", async () => {
  const application = await plainApplication();
  const [first = "", ...rest] = statementsIn("Rights");
  match(first, /create on database/);
  await run(application, rest);
  await run(application, statementsIn("Rights", 1));
  await migrateDatabase(application.url, PLAIN);
});

Deno.test("database.md, rights: a second role serves with the rights that are listed, and cannot migrate", async () => {
  const application = await plainApplication();
  await run(application, statementsIn("Rights"));
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
  const application = await plainApplication();
  await run(application, statementsIn("Rights"));
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
  await run(application, statementsIn("A view as the users table"));
  const env = { USERS_TABLE: "presence_users" };
  await run(application, (await explained(application, env)).needed);
  const before = await pictureOf(application);
  await migrateDatabase(url, { ...DEFAULT_USERS, table: "presence_users" });
  const store = new PostgresStore(url, silentLog, userIds("bigint"));
  try {
    await store.join(NODE, 60_000);
    const { transitions, unknown } = await store.apply(NODE, [1, 2, 3], []);
    deepEqual(
      transitions.map(({ userId, username }) => [userId, username]),
      [[1, "Ada"], [2, "user 2"]],
    );
    deepEqual(unknown, [3]);
    await query(
      owner,
      "update accounts set deactivated_at = now() where id = 1",
    );
    const swept = await store.sweep(NODE);
    deepEqual(swept.map(({ userId, status }) => [userId, status]), [[
      1,
      "offline",
    ]]);
    await store.leave(NODE, 0);
  } finally {
    await store.close();
  }
  deepEqual(await pictureOf(application), before);
});

Deno.test("[U1] a view that returns a user more than once counts it once", async () => {
  const application = await makeApplication(postgres, "laravel.sql");
  const { owner, url } = application;
  await query(
    owner,
    "create view members as select u.id, u.name from users u, generate_series(1, 3)",
  );
  const env = { USERS_TABLE: "members" };
  await run(application, (await explained(application, env)).needed);
  await migrateDatabase(url, { ...DEFAULT_USERS, table: "members" });
  await withOnline(url, "bigint", [1, 2], async () => {
    deepEqual(
      await query(owner, "select count(*)::int from rollcall.online_users"),
      [{ count: 2 }],
    );
  });
});

Deno.test("[U4] a status column of a view that cannot be updated is refused", async () => {
  const application = await plainApplication();
  const { owner, url } = application;
  await query(
    owner,
    "create view members as select distinct id, name, status from users",
  );
  await run(
    application,
    (await explained(application, { USERS_TABLE: "members" })).needed,
  );
  const config = { ...DEFAULT_USERS, table: "members", status: "status" };
  await rejects(
    migrateDatabase(url, config),
    /members\.status: the view cannot be updated; set USERS_STATUS to none/,
  );
  await migrateDatabase(url, { ...config, status: "none" });
});

Deno.test("[U1] rows without an id do not stop the sweep of a table with a copy", async () => {
  const application = await makeApplication(postgres, "clerk_id.sql");
  const { owner, url } = application;
  await query(
    owner,
    `alter table users alter clerk_id drop not null, add status text;
     insert into users (name, email) values ('Invited', 'eve@app.example')`,
  );
  const env = {
    USERS_TABLE: "users",
    USERS_ID: "clerk_id",
    USERS_STATUS: "status",
  };
  await run(application, (await explained(application, env)).needed);
  await migrateDatabase(url, {
    ...DEFAULT_USERS,
    table: "users",
    id: "clerk_id",
    status: "status",
  });
  const warnings: unknown[] = [];
  const store = new PostgresStore(
    url,
    { ...silentLog, warn: (fields) => warnings.push(fields) },
    userIds("text"),
  );
  try {
    await store.join(NODE, 60_000);
    await store.sweep(NODE);
  } finally {
    await store.close();
  }
  deepEqual(warnings, []);
  deepEqual(
    await query(owner, "select name, status from users order by name"),
    [{ name: "Ada", status: "offline" }, { name: "Bob", status: "offline" }, {
      name: "Invited",
      status: null,
    }],
  );
});

Deno.test("[U1] deleted users are found while the column of the copy is missing", async () => {
  const application = await plainApplication();
  const { owner, url } = application;
  await run(application, statementsIn("Rights"));
  await migrateDatabase(url, PLAIN);
  await withOnline(url, "integer", [1, 2], async (store) => {
    await query(
      owner,
      "alter table users drop column status; delete from users where id = 2",
    );
    const swept = await store.sweep(NODE);
    deepEqual(swept.map(({ userId, status }) => [userId, status]), [[
      2,
      "offline",
    ]]);
    const { transitions } = await store.apply(NODE, [], [1]);
    deepEqual(transitions.map(({ status }) => status), ["offline"]);
  });
});

Deno.test("[U5] the users table is not made in the schema rollcall, even for a role of that name", async () => {
  const application = await makeApplication(postgres);
  const { owner, url, role } = application;
  await query(
    owner,
    `create schema rollcall authorization ${role}; create schema rollcall_internal authorization ${role};
     alter role ${role} set search_path = rollcall, public; grant create on schema public to ${role}`,
  );
  const { users } = await migrateDatabase(url);
  equal(users.table, "public.users");
});

Deno.test("database.md, uninstall: the database is as it was, without the role", async () => {
  const application = await makeApplication(postgres, "laravel.sql");
  const { owner, role } = application;
  const before = await describeSchema(owner);
  const { statements } = documented("Laravel");
  await run(application, statements);
  await migrateDatabase(application.url, { ...DEFAULT_USERS, table: "users" });
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
  await run(application, documented("Clerk").statements);
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
