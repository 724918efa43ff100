/** What another role of the database can do to Rollcall: nothing, until it is granted something. */
import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import pg from "pg";
import { explainMigration } from "../../src/postgres/explain.ts";
import { migrateDatabase } from "../../src/postgres/migrate.ts";
import { PostgresStore } from "../../src/postgres/postgres_store.ts";
import {
  DEFAULT_USERS,
  type UsersConfig,
} from "../../src/postgres/users_table.ts";
import { userIds, type UserIdType } from "../../src/client/protocol/user_id.ts";
import {
  postgresForThisFile,
  query,
  silentLog,
  uniqueName,
} from "../support/database.ts";
import { IGNORING } from "../support/fakes.ts";
import { idOf } from "../support/ids.ts";
import { until } from "../support/until.ts";

const postgres = postgresForThisFile();
const [A, B] = [1, 2].map((n) => `00000000-0000-4000-8000-00000000000${n}`) as [
  string,
  string,
];
const LEASE_MS = 60_000;

/** An empty database with a role for Rollcall, which may create schemas, and another role. */
async function open() {
  const owner = await postgres.emptyDatabase();
  const [role, other] = [uniqueName("rollcall"), uniqueName("other")];
  const as = (name: string) => {
    const url = new URL(owner);
    [url.username, url.password] = [name, "secret"];
    return url.href;
  };
  await query(
    owner,
    `create role ${role} login password 'secret';
     create role ${other} login password 'secret';
     alter role ${role} set search_path = "$user", public;
     grant create on database ${
      new URL(owner).pathname.slice(1)
    } to ${role}, ${other};
     grant create on schema public to ${role}, ${other}`,
  );
  return {
    ...{ owner, role, other },
    ours: as(role),
    theirs: as(other),
    run: (sql: string) => query(owner, sql),
  };
}

/** Everything that a server asks of the database, as the role. */
async function serve(
  url: string,
  idType: UserIdType = "integer",
): Promise<void> {
  const ada = idOf(idType, 1);
  const bob = idOf(idType, 2);
  const unknown = idOf(idType, 3);
  const store = new PostgresStore(url, silentLog, userIds(idType));
  const heads: number[] = [];
  const subscription = await store.subscribe({
    ...IGNORING,
    onHead: (head) => heads.push(head),
  });
  try {
    await store.join(A, LEASE_MS);
    await store.join(B, LEASE_MS, A);
    await store.provision(ada, "ada");
    await store.provision(ada, "lovelace");
    await store.provision(bob, undefined);
    const { transitions } = await store.apply(B, [ada, bob, unknown], []);
    equal(transitions.length, 2);
    await store.apply(B, [], [bob]);
    await store.heartbeat(B, LEASE_MS);
    await query(url, `select rollcall.groups_changed($1::${idType}[])`, [[
      ada,
    ]]);
    await store.regroup(B);
    await store.setTokenGroups([{ userId: ada, groups: ["a"], issuedAt: 1 }]);
    equal((await store.findUsers([ada, unknown])).length, 1);
    await query(url, "delete from users where username like 'user%'");
    await store.sweep(B);
    await store.skipTo(10);
    await store.revoke({ userId: ada, tokenId: undefined });
    equal((await store.readRevocations(0, 10)).length, 1);
    equal((await store.snapshot()).users.length, 1);
    deepEqual(await store.claimedBy(B), [ada]);
    ok((await store.readFeed(0, 10)).transitions.length > 0);
    await subscription.head();
    await until("a notification arrives", () => heads.length > 0);
    await store.leave(B, 0);
  } finally {
    await subscription.close();
    await store.close();
  }
}

const PROVISIONED: UsersConfig = { ...DEFAULT_USERS, autoProvision: true };

/** Rights of a role on anything in Rollcall's schemas and on the users table. */
const RIGHTS = `
  select 'schema ' || n.nspname as object from pg_namespace n
   where n.nspname in ('rollcall', 'rollcall_internal') and has_schema_privilege($1, n.oid, 'usage, create')
  union all
  select 'relation ' || c.oid::regclass from pg_class c
   where (c.relnamespace::regnamespace::text in ('rollcall', 'rollcall_internal') or c.oid = to_regclass('public.users'))
     and c.relkind in ('r', 'v')
     and has_table_privilege($1, c.oid, 'select, insert, update, delete, truncate, references, trigger')
  union all
  select 'function ' || p.oid::regprocedure from pg_proc p
   where p.pronamespace::regnamespace::text in ('rollcall', 'rollcall_internal')
     and has_function_privilege($1, p.oid, 'execute')`;

Deno.test("[U5] default privileges of the database give no other role a right on anything that a start makes", async () => {
  const it = await open();
  await it.run(
    `alter default privileges for role ${it.role} grant usage, create on schemas to ${it.other}, public;
     alter default privileges for role ${it.role} grant all on tables to ${it.other}, public;
     alter default privileges for role ${it.role} grant all on functions to ${it.other}, public`,
  );
  await migrateDatabase(it.ours);
  deepEqual(await query(it.owner, RIGHTS, [it.other]), []);
  for (
    const sql of [
      "select * from rollcall.online_users",
      "select * from rollcall.presence",
      "select * from rollcall_internal.presence",
      `select rollcall_internal.revoke(1, null)`,
      "select * from users",
    ]
  ) {
    await rejects(query(it.theirs, sql), /permission denied/);
  }
});

Deno.test("[U5] a role reads the public views once it is granted them, and nothing else", async () => {
  const it = await open();
  await migrateDatabase(it.ours);
  await it.run("insert into users (id, username) values (1, 'ada')");
  const store = new PostgresStore(it.ours, silentLog);
  await store.join(A, LEASE_MS);
  await store.apply(A, [1], []);
  await store.close();
  await it.run(
    `grant usage on schema rollcall to ${it.other};
     grant select on rollcall.online_users, rollcall.presence to ${it.other}`,
  );
  const read = async (sql: string) => await query(it.theirs, sql);
  deepEqual(await read("select id, username from rollcall.online_users"), [
    { id: 1, username: "ada" },
  ]);
  deepEqual(await read("select user_id, status from rollcall.presence"), [
    { user_id: 1, status: "online" },
  ]);
  deepEqual(
    (await query(it.owner, RIGHTS, [it.other])).map(({ object }) => object)
      .sort(),
    [
      "relation rollcall.online_users",
      "relation rollcall.presence",
      "schema rollcall",
    ],
  );
  await rejects(read("delete from rollcall.online_users"), /permission denied/);
  // A later start with changed functions takes nothing away, and gives nothing.
  await it.run(
    "update rollcall_internal.migrations set sha256 = 'x' where name like 'functions/%'",
  );
  ok((await migrateDatabase(it.ours)).applied.length > 0);
  await read("select id from rollcall.online_users");
  await rejects(read("table rollcall_internal.presence"), /permission denied/);
});

Deno.test("[U5] advisory locks, and open transactions that read what they were granted, hold up no start and no server", async () => {
  const it = await open();
  const locker = new pg.Client({ connectionString: it.theirs });
  await locker.connect();
  for (
    const name of [
      "rollcall",
      "rollcall.migrate",
      "migrate",
      "rollcall_internal",
    ]
  ) {
    await locker.query(
      "select pg_advisory_lock(hashtext($1)), pg_advisory_lock(hashtext($1), 0)",
      [name],
    );
  }
  await locker.query(
    "select pg_advisory_lock(n), pg_advisory_lock(n, n) from generate_series(0, 1000) n",
  );
  await migrateDatabase(it.ours, PROVISIONED);
  await it.run(
    `grant usage on schema rollcall to ${it.other};
     grant select on rollcall.online_users, rollcall.presence to ${it.other}`,
  );
  await locker.query("begin isolation level repeatable read");
  await locker.query("select from rollcall.online_users, rollcall.presence");
  await serve(it.ours);
  await migrateDatabase(it.ours, PROVISIONED);
  for (
    const table of ["presence", "counter", "nodes", "locks", "migration_lock"]
  ) {
    await rejects(
      query(
        it.theirs,
        `begin; lock table rollcall_internal.${table} in access share mode`,
      ),
      /permission denied/,
    );
  }
  await locker.end();
});

/** Functions and operators of another role whose parameters fit better than those of Postgres' own. */
function traps(schema: string, idType: string): string {
  const functions = [
    ...["cardinality(T[])", "cardinality(uuid[])", "cardinality(text[])"],
    ...[
      "unnest(T[])",
      "unnest(uuid[])",
      "unnest(text[])",
      "unnest(T[], text[])",
    ],
    ...["array_remove(uuid[], uuid)", "array_replace(uuid[], uuid, uuid)"],
    ...["array_append(uuid[], uuid)", "array_to_string(text[], text)"],
    ...[
      "format(text)",
      "format(text, T, text)",
      "format(text, name)",
      "format(text, text)",
    ],
    ...[
      "format(text, name, name)",
      "format(text, text, text)",
      "format(text, regclass, text)",
    ],
    ...[
      "quote_ident(name)",
      "concat(text, T)",
      "concat(text, text)",
      "left(varchar, integer)",
    ],
    ...[
      "has_database_privilege(name, text)",
      "has_schema_privilege(name, text)",
    ],
    ...[
      "to_regclass(name)",
      "parse_ident(name)",
      "current_schemas(integer)",
      "lower(name)",
    ],
    ...[
      "array_length(name[], integer)",
      "coalesce_names(name)",
      "pg_notify(text, bigint)",
    ],
    ...[
      "greatest(bigint, bigint)",
      "floor(numeric)",
      "row_security_active(regclass)",
    ],
    ...[
      "has_table_privilege(name, oid, text)",
      "length(varchar)",
      "jsonb_to_recordset(json)",
      "has_column_privilege(oid, smallint, text)",
    ],
  ].filter((name) =>
    !name.startsWith("coalesce") && !name.startsWith("greatest")
  );
  const operators = [
    ...[
      "uuid[] <> uuid[]",
      "uuid[] = uuid[]",
      "uuid[] && uuid[]",
      "uuid[] <@ uuid[]",
    ],
    ...[
      "uuid[] || uuid",
      "uuid[] || uuid[]",
      "T[] || T[]",
      "T[] = T[]",
      "T[] <> T[]",
      "T[] || T",
    ],
    ...[
      "text || T",
      "name = varchar",
      "varchar = text",
      "varchar = varchar",
      "name || name",
    ],
    ...[
      "timestamptz - interval",
      "integer * interval",
      "bigint * interval",
      "name <> text",
    ],
    ...[
      "numeric - bigint",
      "boolean = boolean",
      "varchar <> text",
      "T > text",
      "text ~ name",
    ],
  ];
  const fill = (text: string) => text.replaceAll(/\bT\b/g, idType);
  const all = (texts: string[]) => [...new Set(texts.map(fill))];
  const body = (result: string) =>
    `returns ${result} language plpgsql as $t$ begin
       perform ${schema}.spring(); return null; end $t$`;
  return [
    `create table ${schema}.sprung (role name, query text)`,
    `grant insert on ${schema}.sprung to public; grant usage on schema ${schema} to public`,
    `create function ${schema}.spring() returns void language sql as
       $t$ insert into ${schema}.sprung values (current_user, current_query()) $t$`,
    ...all(functions).map((name) =>
      `create function ${schema}.${name} ${
        body(name.startsWith("unnest") ? "integer" : "text")
      }`
    ),
    ...all(operators).map((text, index) => {
      const [left, name, right] = text.split(" ");
      return `create function ${schema}.op${index}(${left}, ${right}) ${
        body("boolean")
      };
        create operator ${schema}.${name} (function = ${schema}.op${index}, leftarg = ${left}, rightarg = ${right})`;
    }),
  ].join(";\n");
}

for (const idType of ["integer", "uuid", "text"] as const) {
  Deno.test(`[U5] functions and operators of another role on the search path are not executed, with ${idType} ids`, async () => {
    const it = await open();
    // The path is "$user", public. The other role has made the schema that comes first.
    const schemas = [it.role, "public"];
    await query(it.theirs, `create schema ${it.role}`);
    for (const schema of schemas) await query(it.theirs, traps(schema, idType));
    // Postgres' own tables are found before those on the path.
    const config: UsersConfig = {
      ...PROVISIONED,
      idType,
      table: "public.users",
      create: true,
      groups: {
        source: { kind: "table", name: "public.memberships" },
        perUserMax: 100,
      },
    };
    await it.run(
      `create table public.memberships (user_id ${
        idType === "text" ? "varchar" : idType
      }, group_id varchar(9));
       grant select on public.memberships to ${it.role};
       insert into public.memberships values ('${
        String(idOf(idType, 1)).replaceAll("'", "''")
      }', 'a')`,
    );
    await explainMigration(it.ours, config);
    await migrateDatabase(it.ours, config);
    await it.run(
      `insert into users (id, username)
       values ('${String(idOf(idType, 2)).replaceAll("'", "''")}', 'user2')`,
    );
    await serve(it.ours, idType);
    await migrateDatabase(it.ours, config);
    // A role without rights gets advice, which reads the catalog too.
    const poor = uniqueName("poor");
    await it.run(`create role ${poor} login password 'secret'`);
    const url = new URL(it.owner);
    [url.username, url.password] = [poor, "secret"];
    await rejects(
      migrateDatabase(url.href, config),
      /run deno task migrate as/,
    );
    // The same with the groups of tokens, and without groups.
    const source = { kind: "claim", name: "teams" } as const;
    for (const groups of [{ source, perUserMax: 100 }, undefined]) {
      await migrateDatabase(it.ours, { ...config, groups });
      const store = new PostgresStore(it.ours, silentLog, userIds(idType));
      await store.join(A, LEASE_MS);
      await store.apply(A, [idOf(idType, 1)], []);
      await store.sweep(A);
      await store.leave(A, 0);
      await store.close();
    }
    for (const schema of schemas) {
      deepEqual(await it.run(`select role, query from ${schema}.sprung`), []);
    }
    // The traps work: a statement that does not name its schemas runs into one.
    await query(
      it.ours,
      "select array[gen_random_uuid()] && array[gen_random_uuid()]",
    );
    equal((await it.run(`select from ${it.role}.sprung`)).length, 1);
  });
}

Deno.test("[U5] a table of another role that is found first on the search path is not taken for the one that presence belongs to", async () => {
  const it = await open();
  const { users } = await migrateDatabase(it.ours);
  equal(users.table, "public.users");
  await query(
    it.theirs,
    `create schema ${it.role}; grant usage on schema ${it.role} to public;
     create table ${it.role}.users (id integer primary key, username text, status text default 'offline');
     grant all on ${it.role}.users to public`,
  );
  equal((await migrateDatabase(it.ours)).users.table, "public.users");
});

Deno.test("[U5] notifications of another role change nothing", async () => {
  const it = await open();
  await migrateDatabase(it.ours);
  await it.run("insert into users (id, username) values (1, 'ada')");
  const store = new PostgresStore(it.ours, silentLog);
  const heads: number[] = [];
  const subscription = await store.subscribe({
    ...IGNORING,
    onHead: (head) => heads.push(head),
  });
  await store.join(A, LEASE_MS);
  for (
    const payload of [
      "9007199254740991",
      "99999999999999999999",
      "-1",
      "1e9",
      "x",
      "",
    ]
  ) {
    await query(it.theirs, "select pg_notify('rollcall', $1)", [payload]);
  }
  const [last] = (await store.apply(A, [1], [])).transitions;
  await until("the own head arrives", () => heads.includes(last?.seq ?? 0));
  equal(await subscription.head(), last?.seq);
  await subscription.close();
  await store.close();
});
