/** Users tables that no framework makes, and that must not stop presence. */
import { deepEqual, equal, rejects } from "node:assert/strict";
import { migrateDatabase } from "../../src/postgres/migrate.ts";
import { postgresForThisFile, query, silentLog } from "../support/database.ts";
import {
  grantNeeded,
  makeApplication,
  makePlainApplication,
  usersConfig,
} from "./application.ts";
import { movesOf, NODE, withOnline } from "./online.ts";

const postgres = postgresForThisFile();

Deno.test("[U1] a view that returns a user more than once counts the user once", async () => {
  const application = await makeApplication(postgres, "laravel.sql");
  const { owner, url } = application;
  await query(
    owner,
    "create view members as select u.id, u.name from users u, generate_series(1, 3)",
  );
  const env = { USERS_TABLE: "members" };
  await grantNeeded(application, env);
  await migrateDatabase(url, usersConfig(env));
  await withOnline(url, "bigint", [1, 2], async (store) => {
    deepEqual(await store.sweep(NODE), []);
    deepEqual(
      await query(owner, "select count(*)::int from rollcall.online_users"),
      [{ count: 2 }],
    );
  });
});

Deno.test("[U4] a status column of a view that cannot be updated is refused", async () => {
  const application = await makePlainApplication(postgres);
  const { owner, url } = application;
  await query(
    owner,
    "create view members as select distinct id, name, status from users",
  );
  const env = { USERS_TABLE: "members", USERS_STATUS: "none" };
  await grantNeeded(application, env);
  await rejects(
    migrateDatabase(url, usersConfig({ ...env, USERS_STATUS: "status" })),
    /members\.status: the view cannot be updated; set USERS_STATUS to none/,
  );
  await migrateDatabase(url, usersConfig(env));
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
  await grantNeeded(application, env);
  await migrateDatabase(url, usersConfig(env));
  const warnings: unknown[] = [];
  const log = {
    ...silentLog,
    warn: (fields: unknown) => void warnings.push(fields),
  };
  const sweepTwice = async (
    store: { sweep(node: string): Promise<unknown> },
  ) => {
    await store.sweep(NODE);
    await store.sweep(NODE);
  };
  await withOnline(url, "text", [], sweepTwice, log);
  deepEqual(warnings, []);
  deepEqual(
    await query(owner, "select name, status from users order by name"),
    [
      { name: "Ada", status: "offline" },
      { name: "Bob", status: "offline" },
      { name: "Invited", status: null },
    ],
  );
});

Deno.test("[U1] deleted users are found while the column of the copy is missing", async () => {
  const application = await makePlainApplication(postgres);
  const { owner, url } = application;
  const env = { USERS_TABLE: "users" };
  await grantNeeded(application, env);
  await migrateDatabase(url, usersConfig(env));
  await withOnline(url, "integer", [1, 2], async (store) => {
    await query(
      owner,
      "alter table users drop column status; delete from users where id = 2",
    );
    deepEqual(movesOf(await store.sweep(NODE)), [[2, "offline"]]);
    const { transitions } = await store.apply(NODE, [], [1]);
    deepEqual(movesOf(transitions), [[1, "offline"]]);
  });
});

Deno.test("[U5] the users table is not made in the schema rollcall where the search path begins with it", async () => {
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

Deno.test("[U4] a name without its quotes: the start names the table that is there", async () => {
  const { app } = await makeApplication(postgres, "prisma.sql");
  await rejects(
    migrateDatabase(app, usersConfig({ USERS_TABLE: "User" })),
    /Cannot find the users table User: this role sees no such table or view; there is public\."User"; check USERS_TABLE \(a name with capitals needs its double quotes, in a shell as USERS_TABLE='public\."User"'\), or grant/,
  );
});
