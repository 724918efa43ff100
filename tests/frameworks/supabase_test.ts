/** A database as Supabase sets it up: roles of the API, default privileges, row level security. */
import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import pg from "pg";
import { StartError } from "../../src/base/start_error.ts";
import { migrateDatabase } from "../../src/postgres/migrate.ts";
import {
  DEFAULT_USERS,
  type UsersConfig,
} from "../../src/postgres/users_table.ts";
import { postgresForThisFile, query } from "../support/database.ts";
import { startServer, TEST_SECRET } from "../support/server.ts";
import { tokenFor } from "../support/client.ts";
import { connectSync } from "../support/sync_client.ts";
import { until } from "../support/until.ts";
import {
  adapted,
  type Application,
  explained,
  makeApplication,
} from "./application.ts";

const postgres = postgresForThisFile();
const API_ROLES = ["anon", "authenticated", "service_role"];
const ADA = "7d9f1c52-3a44-4b6e-9c1e-2f0a5b6c7d8e";
const BOB = "8e0a2d63-4b55-4c7f-8d2f-3a1b6c7d8e9f";

/** A project of Supabase whose default privileges give everything that Rollcall's role makes to others. */
async function hostileApplication(): Promise<Application> {
  const application = await makeApplication(postgres, "supabase.sql");
  const { owner, role, database } = application;
  const defaults = ["tables", "sequences", "functions", "types", "schemas"].map(
    (kind) =>
      `alter default privileges for role ${role} grant all on ${kind} to public, ${
        API_ROLES.join(", ")
      }`,
  );
  await query(
    owner,
    [
      ...defaults,
      `grant create on database ${database} to ${role}`,
      `grant usage, create on schema public to ${role}`,
      `grant select on public.profiles to ${role}`,
      `alter role ${role} bypassrls`,
    ].join("; "),
  );
  return application;
}

/** What a role may do with anything in Rollcall's schemas. */
async function rightsOf(
  { owner }: Application,
  role: string,
): Promise<string[]> {
  const rows = await query(
    owner,
    `with ours as (select oid, nspname from pg_namespace where nspname in ('rollcall', 'rollcall_internal'))
     select 'schema ' || nspname as found from ours
      where has_schema_privilege($1, oid, 'usage') or has_schema_privilege($1, oid, 'create')
     union all
     select case c.relkind when 'v' then 'view ' else 'table ' end || nspname || '.' || relname from pg_class c join ours on ours.oid = c.relnamespace
      where c.relkind in ('r', 'v')
        and (has_table_privilege($1, c.oid, 'select') or has_table_privilege($1, c.oid, 'insert')
          or has_table_privilege($1, c.oid, 'update') or has_table_privilege($1, c.oid, 'delete')
          or has_any_column_privilege($1, c.oid, 'select'))
     union all
     select 'function ' || p.oid::regprocedure from pg_proc p join ours on ours.oid = p.pronamespace
      where has_function_privilege($1, p.oid, 'execute')`,
    [role],
  );
  return rows.map(({ found }) => found);
}

async function expectNoRights(application: Application): Promise<void> {
  for (const role of [...API_ROLES, "supabase_owner"]) {
    deepEqual(await rightsOf(application, role), [], role);
  }
}

const PROFILES: UsersConfig = { ...DEFAULT_USERS, table: "public.profiles" };

Deno.test("[U5] the roles of the API have no right in Rollcall's schemas, also where default privileges give all rights", async () => {
  const application = await hostileApplication();
  const { owner, url } = application;
  // A start that fails leaves nothing behind that others may use.
  await rejects(
    migrateDatabase(url, { ...DEFAULT_USERS, table: "public.absent" }),
    StartError,
  );
  await expectNoRights(application);
  await migrateDatabase(url, PROFILES);
  await expectNoRights(application);
  // An update of Rollcall that replaces all functions, and one that brings a new one.
  await query(
    url,
    `drop function rollcall_internal.copies_done;
     update rollcall_internal.migrations set sha256 = '' where name like 'functions/%'`,
  );
  await migrateDatabase(url, PROFILES);
  await expectNoRights(application);
  await rejects(
    query(owner, "set role anon; select * from rollcall.online_users"),
    /permission denied for schema rollcall/,
  );
});

Deno.test("[U5] a right that was granted on purpose survives updates", async () => {
  const application = await hostileApplication();
  const { url } = application;
  await migrateDatabase(url, PROFILES);
  await query(
    url,
    "grant usage on schema rollcall to authenticated; grant select on rollcall.presence to authenticated",
  );
  const before = await rightsOf(application, "authenticated");
  deepEqual(before, ["schema rollcall", "view rollcall.presence"]);
  await query(
    url,
    "update rollcall_internal.migrations set sha256 = '' where name like 'functions/%'",
  );
  await migrateDatabase(url, PROFILES);
  deepEqual(await rightsOf(application, "authenticated"), before);
});

Deno.test("[U5] a users table that Rollcall makes has no rights for the roles of the API", async () => {
  const application = await hostileApplication();
  const { owner, url } = application;
  await migrateDatabase(url, {
    ...DEFAULT_USERS,
    table: "presence_users",
    idType: "uuid",
    create: true,
  });
  for (const role of API_ROLES) {
    await rejects(
      query(owner, `set role ${role}; select * from public.presence_users`),
      /permission denied for table presence_users/,
    );
  }
});

for (const table of ["auth.users", "public.profiles"]) {
  Deno.test(`[U4] ${table}: row level security that hides rows is refused, and the statement in the message is enough`, async () => {
    const application = await makeApplication(postgres, "supabase.sql");
    const { owner, url, role } = application;
    const env = { USERS_TABLE: table };
    const { needed, lacking } = await explained(application, env);
    // Everybody may use the schema public.
    const given = `grant usage on schema public to ${role}`;
    deepEqual(lacking, needed.filter((statement) => statement !== given));
    equal(needed.at(-1), `alter role ${role} bypassrls`);
    for (const statement of needed.slice(0, -1)) await query(owner, statement);
    const fault = await migrateDatabase(url, { ...DEFAULT_USERS, table })
      .catch((err) => err.message);
    match(fault, /row level security hides rows from the role/);
    const [, advice = ""] = /run: (.*?);/.exec(fault) ?? [];
    await query(owner, adapted(application, advice));
    const { users } = await migrateDatabase(url, { ...DEFAULT_USERS, table });
    equal(users.table, table);
    deepEqual((await explained(application, env)).lacking, []);
  });
}

Deno.test("[U4] a view with security_invoker on a table with row level security is refused", async () => {
  const application = await makeApplication(postgres, "supabase.sql");
  const { owner, url } = application;
  const views = (options: string) =>
    `create schema if not exists presence; grant usage on schema auth, presence to ${application.role};
     grant select on auth.users to ${application.role}; drop view if exists presence.users;
     create view presence.users ${options} as select id, email as name from auth.users;
     grant select on presence.users to ${application.role};
     grant create on database ${application.database} to ${application.role}`;
  const config = { ...DEFAULT_USERS, table: "presence.users" };
  await query(owner, views("with (security_invoker)"));
  await rejects(
    migrateDatabase(url, config),
    /Cannot read users from presence\.users: .*row-level security policy/,
  );
  await query(owner, views(""));
  await migrateDatabase(url, config);
});

Deno.test("[U3] auth.users: users come online by their uuid, and go offline when their row is deleted", async () => {
  const application = await makeApplication(postgres, "supabase.sql");
  const { owner, url } = application;
  const env = { USERS_TABLE: "auth.users", USERS_NAME: "email" };
  for (const statement of (await explained(application, env)).needed) {
    await query(owner, statement);
  }
  await using server = await startServer({
    env: {
      ...env,
      DATABASE_URL: url,
      JWT_SECRET: TEST_SECRET,
      HEARTBEAT_MS: "200",
    },
  });
  const line = server.log.find((line) => line.includes("users: auth.users"));
  match(line ?? "", /users: auth\.users\(id uuid, name from email\)/);
  const token = await tokenFor(BOB);
  await using watcher = await connectSync(server.url, BOB, { token });
  await using ada = await connectSync(server.url, ADA, {
    // Postgres writes uuids in lower case, others need not.
    token: await tokenFor(ADA.toUpperCase()),
  });
  await until("ada is online", () => watcher.model.online.has(ADA));
  await query(owner, "delete from auth.users where id = $1", [ADA]);
  deepEqual(await ada.closed, { code: 1008, reason: "unknown user" });
  await until("ada is offline", () => !watcher.model.online.has(ADA));
  // The trigger of the guide and the foreign key still work.
  deepEqual(await query(owner, "select username from public.profiles"), [
    { username: "bob" },
  ]);
});

Deno.test("[U5] a request of the API can neither lock nor call anything of Rollcall", async () => {
  const application = await hostileApplication();
  const { owner, url } = application;
  await migrateDatabase(url, PROFILES);
  // What PostgREST runs for a client: as anon, in a transaction that it may leave open.
  const api = new pg.Client({ connectionString: owner });
  await api.connect();
  try {
    await api.query("begin; set local role anon");
    for (
      const attempt of [
        "select rollcall_internal.renew(gen_random_uuid(), 1, 0, false)",
        "lock table rollcall_internal.presence",
        "select from rollcall_internal.migration_lock for update",
      ]
    ) {
      await api.query("savepoint before");
      await rejects(api.query(attempt), /permission denied/);
      await api.query("rollback to before");
    }
    const { applied } = await migrateDatabase(url, PROFILES);
    ok(applied.length === 0);
  } finally {
    await api.end();
  }
});
