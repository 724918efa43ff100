/** What a start says about the table with the groups: what it reads, and what does not fit. */
import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import { StartError } from "../../src/base/start_error.ts";
import { explainMigration } from "../../src/postgres/explain.ts";
import type { GroupsConfig } from "../../src/postgres/groups_table.ts";
import { logMigration, migrateDatabase } from "../../src/postgres/migrate.ts";
import {
  DEFAULT_USERS,
  type UsersConfig,
} from "../../src/postgres/users_table.ts";
import {
  postgresForThisFile,
  query,
  silentLog,
  uniqueName,
} from "../support/database.ts";

const postgres = postgresForThisFile();

const withTable = (name: string): UsersConfig => ({
  ...DEFAULT_USERS,
  groups: { source: { kind: "table", name }, perUserMax: 100 },
});

/** An empty database, and a role with rights on its table `users` alone. */
async function openAsRole(sql: string) {
  const owner = await postgres.emptyDatabase();
  const role = uniqueName("rollcall");
  const url = new URL(owner);
  await query(
    owner,
    `create table users (id integer primary key, username text);
     create role ${role} login password 'secret';
     grant create on database ${url.pathname.slice(1)} to ${role};
     grant select on users to ${role}; ${sql}`,
  );
  [url.username, url.password] = [role, "secret"];
  return { owner, role, url: url.href };
}

const unfit: Record<
  string,
  { sql: string; name?: string; says: RegExp; isExplained?: boolean }
> = {
  "is missing": {
    sql: "",
    says:
      /^Cannot find the groups table memberships: this role sees no such table or view; check GROUPS_TABLE, or grant usage on its schema$/,
  },
  "has a name that is none": {
    sql: "",
    name: 'app."x',
    says:
      /^Cannot look for the groups table app\."x: .*; expected GROUPS_TABLE as in SQL/,
  },
  "is a sequence": {
    sql: "create sequence memberships",
    says:
      /^Cannot read groups from public\.memberships: expected a table or a view$/,
  },
  "has no column user_id": {
    sql: "create table memberships (member_id integer, group_id integer)",
    says:
      /^Cannot read groups from public\.memberships: it has no column user_id; expected the columns user_id and group_id: set GROUPS_TABLE to a view that has them$/,
  },
  "has no column group_id": {
    sql: "create table memberships (user_id integer, team_id integer)",
    says:
      /^Cannot read groups from public\.memberships: it has no column group_id; /,
  },
  "has user ids of another type": {
    sql: "create table memberships (user_id uuid, group_id integer)",
    says:
      /^Cannot read groups from public\.memberships: the column user_id is uuid, and the ids of users are integer; expected smallint or integer or bigint: set GROUPS_TABLE to a view that casts it$/,
  },
  "is a view that cannot be read": {
    sql: `create table kept (user_id integer, group_id integer, team integer);
      alter table kept enable row level security;
      create policy none on kept using (false);
      create view memberships with (security_invoker) as select user_id, group_id from kept;
      grant select on kept, memberships to public`,
    says:
      /^Cannot read groups from public\.memberships: .*row-level security.*; set GROUPS_TABLE to a table or view that can be read as a whole$/,
    isExplained: false,
  },
};

for (const [title, { sql, says, ...rest }] of Object.entries(unfit)) {
  Deno.test(`[V5] a start is refused where the groups table ${title}, and makes nothing`, async () => {
    const { owner, url } = await openAsRole(sql);
    const { name = "memberships", isExplained = true } = rest;
    const refuses = (err: unknown) => {
      ok(err instanceof StartError, String(err));
      match(err.message, says);
      return true;
    };
    await rejects(migrateDatabase(url, withTable(name)), refuses);
    if (isExplained) {
      await rejects(explainMigration(url, withTable(name)), refuses);
    }
    const ours =
      "select nspname from pg_namespace where nspname like 'rollcall%'";
    deepEqual(await query(owner, ours), []);
  });
}

Deno.test("[V5] a role that may not read the groups is told the grants, which are enough", async () => {
  const { owner, role, url } = await openAsRole(
    "create schema app; create table app.memberships (user_id integer, group_id integer, secret text)",
  );
  const config = withTable("app.memberships");
  const grants = [
    `grant usage on schema app to ${role}`,
    `grant select (user_id, group_id) on app.memberships to ${role}`,
  ];
  await rejects(migrateDatabase(url, config), (err) => {
    equal(
      (err as Error).message,
      `Cannot read groups from app.memberships: the role ${role} lacks rights; as an owner or a superuser, run: ${
        grants.join("; ")
      }`,
    );
    return true;
  });
  const { text, lacking } = await explainMigration(url, config);
  deepEqual(lacking, grants);
  ok(
    text.includes(
      "  reads   public.users: id (integer), username as the name\n          app.memberships: user_id, group_id\n",
    ),
    text,
  );
  ok(grants.every((grant) => text.includes(`  ${grant};`)), text);
  for (const grant of grants) await query(owner, grant);
  deepEqual((await explainMigration(url, config)).lacking, []);
  await migrateDatabase(url, config);
});

Deno.test("[V5] row level security that hides groups from the role is refused, with the ways out", async () => {
  const { owner, role, url } = await openAsRole(
    `create table memberships (user_id integer, group_id integer);
     alter table memberships enable row level security;
     create view seen as select * from memberships;
     grant select on memberships, seen to public`,
  );
  await rejects(migrateDatabase(url, withTable("memberships")), (err) => {
    equal(
      (err as Error).message,
      `Cannot read groups from public.memberships: row level security hides rows from the role ${role}; run: alter role ${role} bypassrls; or set GROUPS_TABLE to a view that the table's owner made`,
    );
    return true;
  });
  const { lacking } = await explainMigration(url, withTable("memberships"));
  deepEqual(lacking, [`alter role ${role} bypassrls`]);
  await migrateDatabase(url, withTable("seen"));
  await query(owner, `alter role ${role} bypassrls`);
  await migrateDatabase(url, withTable("memberships"));
});

const claim: GroupsConfig = {
  source: { kind: "claim", name: "app.teams" },
  perUserMax: 100,
};

Deno.test("[V1] the log and --explain say who sees whom, at each start by the configuration of that start", async () => {
  const url = await postgres.emptyDatabase();
  await query(
    url,
    "create table users (id integer primary key); create table memberships (user_id bigint, group_id varchar(9))",
  );
  for (
    const [groups, says] of [
      [undefined, "none are configured, everybody sees everybody"],
      [
        withTable("memberships").groups,
        "public.memberships(user_id bigint, group_id character varying), a user sees who shares a group with it",
      ],
      [
        claim,
        "the token claim app.teams, a user sees who shares a group with it",
      ],
      [undefined, "none are configured, everybody sees everybody"],
    ] as const
  ) {
    const config = { ...DEFAULT_USERS, groups };
    const { text } = await explainMigration(url, config);
    ok(text.includes(`          groups: ${says}\n`), text);
    const lines: string[] = [];
    const log = {
      ...silentLog,
      info: (_: unknown, event: string) => void lines.push(event),
    };
    logMigration(await migrateDatabase(url, config), log);
    equal(lines.at(-1), `groups: ${says}`);
    deepEqual((await migrateDatabase(url, config)).applied, []);
  }
});

Deno.test("[V5] a table of another role that is found first on the search path is not taken for the groups of before", async () => {
  const { owner, role, url } = await openAsRole(
    "create table memberships (user_id integer, group_id integer); grant select on memberships to public",
  );
  const config = withTable("memberships");
  const tableOf = async (config: UsersConfig) =>
    (await migrateDatabase(url, config)).groups?.table;
  equal(await tableOf(config), "public.memberships");
  await query(
    owner,
    `create schema ${role}; grant usage on schema ${role} to public;
     create table ${role}.memberships (user_id integer, group_id integer);
     grant select on ${role}.memberships to public`,
  );
  equal(await tableOf(config), "public.memberships");
  equal(
    await tableOf(withTable(`${role}.memberships`)),
    `${role}.memberships`,
  );
});
