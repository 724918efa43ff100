/** Which users table a start finds or makes, and what it says about one that does not fit. */
import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { StartError } from "../../src/base/start_error.ts";
import { logMigration, migrateDatabase } from "../../src/postgres/migrate.ts";
import { explainMigration } from "../../src/postgres/explain.ts";
import {
  DEFAULT_USERS,
  type UsersConfig,
} from "../../src/postgres/users_table.ts";
import { postgresForThisFile, query, uniqueName } from "../support/database.ts";
import { describeSchema } from "../support/schema.ts";

const postgres = postgresForThisFile();

type Settings = Partial<UsersConfig>;

const withDefaults = (settings: Settings): UsersConfig => ({
  ...DEFAULT_USERS,
  ...settings,
});

/** Everything of the application, and whether Rollcall's own schemas are there. */
async function stateOf(url: string): Promise<unknown> {
  return [
    await describeSchema(url),
    await query(
      url,
      "select nspname from pg_namespace where nspname like 'rollcall%'",
    ),
  ];
}

interface Unfit {
  readonly sql: string;
  readonly settings?: Settings;
  readonly says: RegExp;
}

const PLAN =
  "create table users (id integer primary key, username text, status text default 'offline');";

const unfit: Record<string, Unfit> = {
  "a table users is missing, and others look like one": {
    sql: `create table auth_user (id integer primary key);
      create table "User" (id integer primary key);
      create schema auth; create table auth.users (id uuid primary key);
      create table orders (id integer primary key)`,
    says:
      /^Cannot find a table named users; there is auth\.users, public\."User", public\.auth_user: set USERS_TABLE=auth\.users and, .* USERS_ID, USERS_NAME and USERS_STATUS; or set CREATE_USERS=true to have Rollcall make a table users of its own$/,
  },
  "the table that was named is missing": {
    sql: "",
    settings: { table: "auth.people" },
    says:
      /^Cannot find the users table auth\.people: this role sees no such table or view.*; check USERS_TABLE, or grant usage on its schema, or set CREATE_USERS=true/,
  },
  "the name is no name": {
    sql: PLAN,
    settings: { table: 'auth."users' },
    says:
      /^Cannot look for the users table auth\."users: .*; expected USERS_TABLE as in SQL, for example auth\.users or public\."User"$/,
  },
  "the name is that of a sequence": {
    sql: "create sequence users",
    says: /^Cannot read users from public\.users: expected a table or a view$/,
  },
  "there is no column with the id": {
    sql:
      'create table users (user_id integer primary key, "Key" uuid unique, username text, tenant integer, score numeric unique)',
    says:
      /^Cannot read users from public\.users: it has no column id; set USERS_ID to user_id or Key$/,
  },
  "the id has a type that is no id's": {
    sql: "create table users (id numeric primary key, username text)",
    says:
      /^Cannot read users from public\.users: the column id is numeric; expected smallint, integer, bigint, uuid, text, character varying, or a domain over one; no other column fits$/,
  },
  "the id is not unique": {
    sql:
      "create table users (id integer, tenant integer, username text unique, primary key (id, tenant))",
    says:
      /^Cannot read users from public\.users: the column id is not unique; expected a primary key or a unique index on it alone; set USERS_ID to username$/,
  },
  "the id is unique among some rows only": {
    sql:
      "create table users (id integer, username text); create unique index on users (id) where username is not null",
    says: /the column id is not unique/,
  },
  "different ids are equal by their collation": {
    sql:
      `create collation loose (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
      create table users (id text collate loose primary key, username text)`,
    says:
      /^Cannot read users from public\.users: different ids can be equal by the collation of the column id; expected a deterministic collation; no other column fits$/,
  },
  "the column with the name is missing": {
    sql: PLAN,
    settings: { name: "email" },
    says:
      /^Cannot read names from public\.users: it has no column email; set USERS_NAME to one of id, username, status$/,
  },
  "the column with the name is no text": {
    sql: PLAN,
    settings: { name: "id" },
    says:
      /^Cannot read names from public\.users: the column id is integer; expected text, character varying or citext: set USERS_NAME to another column$/,
  },
  "the column for the status is missing": {
    sql: PLAN,
    settings: { status: "presence" },
    says:
      /^Cannot copy the status into public\.users: it has no column presence; set USERS_STATUS to one of id, username, status, or to none$/,
  },
  "the column for the status is generated": {
    sql:
      "create table users (id integer primary key, username text, shown text generated always as (username || '!') stored)",
    settings: { status: "shown" },
    says:
      /^Cannot copy the status into public\.users\.shown: it is a generated column; expected text, .*: set USERS_STATUS to another column, or to none$/,
  },
  "the column for the status is no text": {
    sql: PLAN,
    settings: { status: "id" },
    says:
      /^Cannot copy the status into public\.users\.id: it is integer; expected text, character varying, or an enum with 'online' and 'offline'/,
  },
  "the column for the status is an enum of other words": {
    sql: `create type mood as enum ('glad', 'online');
      create table users (id integer primary key, username text, mood mood)`,
    settings: { status: "mood" },
    says:
      /^Cannot copy the status into public\.users\.mood: it is public\.mood; expected/,
  },
  "the column for the status has another meaning": {
    sql:
      `${PLAN} alter table users add state text; insert into users (id, state) values (1, 'online'), (2, 'active')`,
    settings: { status: "state" },
    says:
      /^Cannot copy the status into public\.users\.state: it holds "active"; expected 'online' and 'offline' only: set USERS_STATUS to another column, or to none$/,
  },
};

for (const [name, { sql, settings = {}, says }] of Object.entries(unfit)) {
  Deno.test(`[U4] if ${name}, the start is refused with what to do, and changes nothing`, async () => {
    const url = await postgres.emptyDatabase();
    await query(url, sql);
    const before = await stateOf(url);
    const config = withDefaults(settings);
    await rejects(migrateDatabase(url, config), (err) => {
      ok(err instanceof StartError, String(err));
      match(err.message, says);
      return true;
    });
    deepEqual(await stateOf(url), before);
    // An explanation refuses the same, without a write.
    await rejects(explainMigration(url, config), (err) => {
      ok(err instanceof StartError, String(err));
      match(err.message, says);
      return true;
    });
    deepEqual(await stateOf(url), before);
  });
}

interface LackingRole {
  readonly grants: string;
  readonly settings?: Settings;
  readonly says: RegExp;
}

const lacking: Record<string, LackingRole> = {
  "may not use the schema": {
    grants: "grant select on app.users to R",
    says:
      /the role R lacks rights; as an owner or a superuser, run: grant usage on schema app to R; /,
  },
  "may not read the id": {
    grants:
      "grant usage on schema app to R; grant select (username, status), update on app.users to R",
    says:
      /lacks rights; as an owner or a superuser, run: grant select \(id, username, status\) on app\.users to R$/,
  },
  "may not write the status": {
    grants:
      "grant usage on schema app to R; grant select, update (username) on app.users to R",
    says:
      /lacks rights; as an owner or a superuser, run: grant update \(status\) on app\.users to R$/,
  },
  "may not insert, with AUTO_PROVISION": {
    grants:
      "grant usage on schema app to R; grant select, update on app.users to R",
    settings: { autoProvision: true },
    says:
      /lacks rights; as an owner or a superuser, run: grant insert \(id, username\) on app\.users to R$/,
  },
  "sees no row, by the policies of the table": {
    grants:
      `grant usage on schema app to R; grant select, update on app.users to R;
      alter table app.users enable row level security`,
    says:
      /^Cannot read users from app\.users: row level security hides rows from the role R; run: alter role R bypassrls; or /,
  },
  "sees not all rows, by the policies of a table behind a view": {
    grants:
      `grant usage on schema app to R; grant usage, create on schema app to O;
      alter table app.users rename to people; alter table app.people enable row level security;
      create policy mine on app.people using (username = current_user);
      grant select, update on app.people to O;
      set role O; create view app.users as select * from app.people; grant select, update on app.users to R; reset role`,
    says:
      /^Cannot read users from app\.users: query would be affected by row-level security policy for table "people"; set USERS_TABLE to /,
  },
};

for (const [name, { grants, settings = {}, says }] of Object.entries(lacking)) {
  Deno.test(`[U4] if the role ${name}, the start is refused with what to do, and changes nothing`, async () => {
    const url = new URL(await postgres.emptyDatabase());
    const owner = url.href;
    const [role, other] = [uniqueName("r"), uniqueName("o")];
    const named = (text: string) =>
      text.replaceAll(/\bR\b/g, role).replaceAll(/\bO\b/g, other);
    await query(
      owner,
      named(`create role R login password 'secret'; create role O;
        grant create on database ${url.pathname.slice(1)} to R;
        create schema app;
        create table app.users (id integer primary key, username text, status text default 'offline');
        ${grants}`),
    );
    const before = await stateOf(owner);
    [url.username, url.password] = [role, "secret"];
    const config = withDefaults({ table: "app.users", ...settings });
    await rejects(migrateDatabase(url.href, config), (err) => {
      ok(err instanceof StartError, String(err));
      match(err.message, new RegExp(named(says.source)));
      return true;
    });
    deepEqual(await stateOf(owner), before);
  });
}

interface Fitting {
  readonly sql: string;
  readonly settings?: Settings;
  readonly logs: string;
}

const fitting: Record<string, Fitting> = {
  "an empty database": {
    sql: "",
    logs:
      "users: public.users(id integer, name from username), the status is kept in rollcall.presence and copied to public.users.status",
  },
  "an empty database, with uuid ids and no copy": {
    sql: "",
    settings: { idType: "uuid", status: "none", name: "nick" },
    logs:
      "users: public.users(id uuid, name from nick), the status is kept in rollcall.presence",
  },
  "tables that look like users, and CREATE_USERS": {
    sql: "create table auth_user (id integer primary key)",
    settings: { table: "users", create: true },
    logs:
      "users: public.users(id integer, name from username), the status is kept in rollcall.presence and copied to public.users.status",
  },
  "the plan's table": {
    sql: PLAN,
    logs:
      "users: public.users(id integer, name from username), the status is kept in rollcall.presence and copied to public.users.status",
  },
  "a status of another meaning by its default": {
    sql:
      "create table users (id integer primary key, name varchar(40), status text default 'active')",
    logs:
      "users: public.users(id integer, name from name), the status is kept in rollcall.presence",
  },
  "a status of another meaning by its words": {
    sql: `${PLAN} insert into users values (1, 'ada', 'suspended')`,
    logs:
      "users: public.users(id integer, name from username), the status is kept in rollcall.presence",
  },
  "no name": {
    sql: "create table users (id smallint primary key)",
    logs:
      "users: public.users(id smallint, name is the id), the status is kept in rollcall.presence",
  },
  "quoted names, a unique column that is no key, and an enum": {
    sql: `create type st as enum ('away', 'offline', 'online');
      create table "User" (key serial primary key, "clerkId" varchar(60) unique, "fullName" text, st st)`,
    settings: {
      ...{ table: '"User"', id: "clerkId", name: "fullName", status: "st" },
    },
    logs:
      'users: public."User"(clerkId text, name from fullName), the status is kept in rollcall.presence and copied to public."User".st',
  },
  "a view": {
    sql: `create table people (id bigint primary key, email text);
      create view users as select id, email as username from people`,
    logs:
      "users: public.users(id bigint, name from username), the status is kept in rollcall.presence",
  },
};

for (const [name, { sql, settings = {}, logs }] of Object.entries(fitting)) {
  Deno.test(`[U4] with ${name} the log says which table is read and written, and whether it was made`, async () => {
    const url = await postgres.emptyDatabase();
    await query(url, sql);
    const tables = async () =>
      (await describeSchema(url)).filter((line) => line.startsWith("relation"));
    const before = await tables();
    const config = withDefaults(settings);
    const { text: explained } = await explainMigration(url, config);
    const migrated = await migrateDatabase(url, config);
    const lines: string[] = [];
    const note = (_fields: unknown, event: string) => void lines.push(event);
    logMigration(migrated, {
      debug: note,
      info: note,
      warn: note,
      error: note,
    });
    const isMade = (await tables()).length > before.length;
    equal(migrated.madeUsers, isMade);
    equal(explained.includes(`  log     ${logs}\n`), !isMade, explained);
    equal(/makes .*table \S+ with ids/.test(explained), isMade, explained);
    deepEqual(lines, [
      ...isMade ? [`made table ${migrated.users.table}`] : [],
      "schema updated",
      logs,
      "groups: none are configured, everybody sees everybody",
    ]);
    // The next start makes nothing, and says the same.
    const again = await migrateDatabase(url, config);
    deepEqual([again.applied, again.madeUsers], [[], false]);
    deepEqual(again.users, migrated.users);
  });
}

Deno.test("[U4] a table that was there at an earlier start is not made again while the application replaces it", async () => {
  const url = await postgres.emptyDatabase();
  await query(url, PLAN);
  await migrateDatabase(url);
  await query(url, "alter table users rename to users_old");
  const before = await stateOf(url);
  const says =
    /^StartError: Cannot find the users table public\.users: it was there at an earlier start, .*; make it again, or grant usage on its schema, or set CREATE_USERS=true/;
  await rejects(migrateDatabase(url), says);
  await rejects(explainMigration(url, DEFAULT_USERS), says);
  deepEqual(await stateOf(url), before);
  await query(url, "alter table users_old rename to users");
  equal((await migrateDatabase(url)).madeUsers, false);
  await query(url, "drop table users");
  const made = await migrateDatabase(url, withDefaults({ create: true }));
  equal(made.madeUsers, true);
});

const otherNames: Record<string, string> = {
  "no USERS_TABLE": "USERS_TABLE is not set",
  "a misspelt USERS_TABLE": "USERS_TABLE is membres, which is not there",
};

for (const [name, now] of Object.entries(otherNames)) {
  Deno.test(`[U4] a start with ${name} says which table presence belongs to, also where a table may be made`, async () => {
    const url = await postgres.emptyDatabase();
    await query(url, "create table members (id integer primary key)");
    await migrateDatabase(url, withDefaults({ table: "members" }));
    const before = await stateOf(url);
    const table = now.includes("membres") ? "membres" : undefined;
    for (const create of [false, true]) {
      const config = withDefaults({ table, create });
      const says = new RegExp(
        `^StartError: Cannot find the users table: presence in this database belongs to public\\.members, and ${now}: set USERS_TABLE=public\\.members$`,
      );
      await rejects(migrateDatabase(url, config), says);
      await rejects(explainMigration(url, config), says);
    }
    deepEqual(await stateOf(url), before);
  });
}

const changes: Record<string, Settings> = {
  "another table": { table: "people" },
  "another column": { id: "number" },
  "a table whose ids have another type": { table: "others" },
};

for (const [name, settings] of Object.entries(changes)) {
  Deno.test(`[U4] a start with ${name} than before is refused with both and what to do, and changes nothing`, async () => {
    const url = await postgres.emptyDatabase();
    await query(
      url,
      `create table users (id integer primary key, number integer unique, username text);
       create table people (id integer primary key, username text);
       create table others (id uuid primary key, username text)`,
    );
    await migrateDatabase(url);
    const dump = async () => [
      await describeSchema(url),
      await query(url, "table rollcall_internal.settings"),
      await query(
        url,
        "select name, sha256 from rollcall_internal.migrations order by name",
      ),
    ];
    const before = await dump();
    const says =
      /^StartError: Cannot use the users table public\.\w+\(\w+ \w+\): presence in this database belongs to public\.users\(id integer\); set USERS_TABLE and USERS_ID back, use another database, or .* "drop schema rollcall_internal, rollcall cascade"$/;
    await rejects(migrateDatabase(url, withDefaults(settings)), says);
    await rejects(explainMigration(url, withDefaults(settings)), says);
    deepEqual(await dump(), before);
    await query(url, "drop schema rollcall_internal, rollcall cascade");
    await migrateDatabase(url, withDefaults(settings));
  });
}

Deno.test("[U4] a word that the application wrote into the copy refuses no later start, and another name or status column may be set", async () => {
  const url = await postgres.emptyDatabase();
  await query(
    url,
    `${PLAN} alter table users add shown text default 'offline', add email text`,
  );
  await migrateDatabase(url);
  await query(url, "insert into users values (1, 'ada', 'away')");
  const { users } = await migrateDatabase(url);
  equal(users.statusColumn, "status");
  const settings = { status: "shown", name: "email" };
  const changed = await migrateDatabase(url, withDefaults(settings));
  equal(changed.users.statusColumn, "shown");
  ok(changed.applied.length > 0);
});
