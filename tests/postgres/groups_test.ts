/** Groups of real tables and views, of tokens, and changes that the application makes and names. */
import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import pg from "pg";
import type { GroupsConfig } from "../../src/postgres/groups_table.ts";
import { migrateDatabase } from "../../src/postgres/migrate.ts";
import { PostgresStore } from "../../src/postgres/postgres_store.ts";
import { DEFAULT_USERS } from "../../src/postgres/users_table.ts";
import {
  type UserId,
  userIds,
  type UserIdType,
} from "../../src/client/protocol/user_id.ts";
import type { Transition } from "../../src/core/store/store.ts";
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
const MEMBERSHIPS =
  "create table memberships (user_id integer, group_id text); create index on memberships (user_id)";

const table = (name = "memberships", perUserMax = 100): GroupsConfig => ({
  source: { kind: "table", name },
  perUserMax,
});
const CLAIM: GroupsConfig = {
  source: { kind: "claim", name: "teams" },
  perUserMax: 100,
};

/** A store on users 1 to 5, with the groups of these statements. */
async function open(
  sql = MEMBERSHIPS,
  groups = table(),
  idType: UserIdType = "integer",
) {
  const url = await postgres.database(5, idType);
  await query(url, sql);
  await migrateDatabase(url, { ...DEFAULT_USERS, idType, groups });
  const store = new PostgresStore(url, silentLog, userIds(idType), true);
  await store.join(A, LEASE_MS);
  const clients: pg.Client[] = [];
  let closed: Promise<void> | undefined;
  const closeStore = () => closed ??= store.close();
  return {
    ...{ url, store, closeStore },
    run: (sql: string, values?: unknown[]) => query(url, sql, values),
    /** A connection of the application. */
    application: async (as = url) => {
      const client = new pg.Client({ connectionString: as });
      await client.connect();
      clients.push(client);
      return client;
    },
    /** The groups of users who are online. */
    groups: async () =>
      new Map(
        (await store.snapshot()).users.map(({ id, groups }) => [id, groups]),
      ),
    [Symbol.asyncDispose]: async () => {
      await closeStore();
      for (const client of clients) await client.end();
    },
  };
}

const brief = (transitions: readonly Transition[]) =>
  transitions.map(({ userId, status, groupsBefore, groups }) =>
    `${userId} ${status} ${groupsBefore ?? "-"} > ${groups ?? "-"}`
  );

/** What the application may have as ids. `$1` is the id of a user, `$2` one of two groups. */
const types: Record<
  string,
  { idType: UserIdType; user: string; group: string; groups: string[] }
> = {
  "integer users and integer groups": {
    ...{ idType: "integer", user: "integer", group: "integer" },
    groups: ["10", "9"],
  },
  "integer users, named by bigints, and groups of a domain over numeric": {
    ...{ idType: "integer", user: "bigint", group: "amount" },
    groups: ["1.50", "1.5"],
  },
  "bigint users, named by integers, and groups of an enum": {
    ...{ idType: "bigint", user: "integer", group: "role" },
    groups: ["admin", "guest"],
  },
  "smallint users, named by a domain, and groups of type varchar": {
    ...{ idType: "smallint", user: "person", group: "varchar(9)" },
    groups: ["", "a,b"],
  },
  "uuid users and uuid groups": {
    ...{ idType: "uuid", user: "uuid", group: "uuid" },
    groups: [
      "00000000-0000-4000-8000-0000000000aa",
      "00000000-0000-4000-8000-0000000000ab",
    ],
  },
  "text users, named by varchars, and groups whose collation ignores the case":
    {
      ...{ idType: "text", user: "varchar", group: "text collate caseless" },
      groups: ["Blue", "blue"],
    },
};

for (const [name, { idType, user, group, groups }] of Object.entries(types)) {
  Deno.test(`[V2] groups are compared as text, with ${name}`, async () => {
    await using it = await open(
      `create domain amount as numeric; create domain person as smallint;
       create type role as enum ('guest', 'admin');
       create collation caseless (provider = icu, locale = 'und-u-ks-level2', deterministic = false);
       create table memberships (user_id ${user}, group_id ${group})`,
      ...[table(), idType] as const,
    );
    const [ada, bob] = [idOf(idType, 1), idOf(idType, 2)];
    for (const id of groups) {
      await it.run(
        `insert into memberships values ($1, $2::text::${
          group.replace(/ collate.*/, "")
        })`,
        [ada, id],
      );
    }
    await it.store.apply(A, [ada, bob], []);
    const expected = new Map<UserId, string[]>([[ada, groups.toSorted()]]);
    deepEqual(await it.groups(), expected.set(bob, []));
  });
}

Deno.test("[V2] NULLs are no groups, a row that is there twice is one, and users that are none do no harm", async () => {
  await using it = await open();
  await it.run(
    `insert into memberships values (1, 'a'), (1, 'a'), (1, null), (null, 'a'), (null, null), (2, null), (-5, 'a')`,
  );
  await it.store.apply(A, [1, 2], []);
  deepEqual(await it.groups(), new Map([[1, ["a"]], [2, []]]));
});

Deno.test("[V2] a view joins several tables of the application", async () => {
  await using it = await open(
    `create schema app;
     create table app.tenants (id serial primary key, name text);
     create table app.people (user_id integer, tenant_id integer);
     create table app.friends (a integer, b integer);
     create view app.groups as
       select user_id, 'tenant ' || tenant_id as group_id from app.people join app.tenants t on t.id = tenant_id
       union all select a, 'friends ' || a || ' ' || b from app.friends
       union all select b, 'friends ' || a || ' ' || b from app.friends;
     insert into app.tenants (name) values ('red'), ('blue');
     insert into app.people values (1, 1), (2, 1), (3, 2), (4, 7);
     insert into app.friends values (1, 3)`,
    table("app.groups"),
  );
  await it.store.apply(A, [1, 2, 3, 4], []);
  deepEqual(
    await it.groups(),
    new Map([
      [1, ["friends 1 3", "tenant 1"]],
      [2, ["tenant 1"]],
      [3, ["friends 1 3", "tenant 2"]],
      [4, []],
    ]),
  );
  await it.run(
    "delete from app.friends; select rollcall.groups_changed(array[1, 3])",
  );
  deepEqual(brief((await it.store.regroup(A)).transitions), [
    "1 online friends 1 3,tenant 1 > tenant 1",
    "3 online friends 1 3,tenant 2 > tenant 2",
  ]);
});

/** What an application may do to its table while servers run. */
const faults: Record<string, { fault: string; mend: string }> = {
  "dropped": {
    fault: "create table kept as table memberships; drop table memberships",
    mend: "alter table kept rename to memberships",
  },
  "altered so that it has no group_id": {
    fault: "alter table memberships rename group_id to team",
    mend: "alter table memberships rename team to group_id",
  },
  "altered to another type of user_id": {
    fault: "alter table memberships alter user_id type text",
    mend:
      "alter table memberships alter user_id type integer using user_id::integer",
  },
  "replaced by a view that divides by zero": {
    fault:
      "alter table memberships rename to kept; create view memberships as select user_id, (1 / (user_id - user_id))::text as group_id from kept",
    mend: "drop view memberships; alter table kept rename to memberships",
  },
};

for (const [name, { fault, mend }] of Object.entries(faults)) {
  Deno.test(`[V5] while the groups table is ${name}, nobody new comes in, nobody changes, and the store says so`, async () => {
    await using it = await open();
    await it.run("insert into memberships values (1, 'a'), (2, 'a')");
    await it.store.apply(A, [1], []);
    await it.run(
      "update memberships set group_id = 'b'; select rollcall.groups_changed(array[1])",
    );
    await it.run(fault);
    equal(it.store.groupsReadable, true);
    deepEqual((await it.store.regroup(A)).transitions, []);
    equal(it.store.groupsReadable, false);
    const applied = await it.store.apply(A, [1, 2], []);
    deepEqual([applied.transitions, applied.ungrouped], [[], [2]]);
    deepEqual(await it.store.sweep(A), []);
    deepEqual(await it.groups(), new Map([[1, ["a"]]]));
    await rejects(it.store.findUsers([1]));
    equal(it.store.groupsReadable, false);
    await it.run(mend);
    // A node that does not sweep, because another one just did, finds out as well.
    await it.store.sweep(A, 60_000);
    equal(it.store.groupsReadable, true);
    deepEqual(brief((await it.store.regroup(A)).transitions), [
      "1 online a > b",
    ]);
    deepEqual(brief((await it.store.apply(A, [2], [])).transitions), [
      "2 online - > b",
    ]);
  });
}

Deno.test("[V5] groups that nobody needs are read by each sweep, so that the store says when they can be read again", async () => {
  await using it = await open();
  await it.run("alter table memberships rename to kept");
  await it.store.sweep(A);
  equal(it.store.groupsReadable, false);
  await it.run("alter table kept rename to memberships");
  await it.store.sweep(A);
  equal(it.store.groupsReadable, true);
});

Deno.test("[V5] row level security that is switched on later hides no group: the groups cannot be read then", async () => {
  const owner = await postgres.database(2);
  const role = uniqueName("rollcall");
  const url = new URL(owner);
  await query(
    owner,
    `${MEMBERSHIPS}; insert into memberships values (1, 'a');
     create role ${role} login password 'secret';
     grant create on database ${url.pathname.slice(1)} to ${role};
     grant select on users, memberships to ${role};
     grant update (status) on users to ${role};
     drop schema rollcall, rollcall_internal cascade`,
  );
  [url.username, url.password] = [role, "secret"];
  await migrateDatabase(url.href, { ...DEFAULT_USERS, groups: table() });
  const store = new PostgresStore(url.href, silentLog);
  await store.join(A, LEASE_MS);
  await store.apply(A, [1], []);
  await query(
    owner,
    "alter table memberships enable row level security; create policy none on memberships using (false)",
  );
  deepEqual(await store.sweep(A), []);
  deepEqual((await store.apply(A, [2], [])).ungrouped, [2]);
  deepEqual((await store.snapshot()).users.map(({ groups }) => groups), [
    ["a"],
  ]);
  await store.close();
});

Deno.test("[V3] a transaction of the application that names users waits for nothing of ours, and nothing of ours for it", async () => {
  await using it = await open();
  await it.store.join(B, LEASE_MS);
  await it.store.apply(A, [1, 2, 3], []);
  const [first, second] = [await it.application(), await it.application()];
  for (const client of [first, second]) {
    await client.query("set statement_timeout = '2s'; begin");
    await client.query("insert into memberships values (1, 'a'), (2, 'a')");
    // The same users in two open transactions, and twice in one.
    const name = "select rollcall.groups_changed(array[1, 2])";
    await client.query(name);
    await client.query(name);
  }
  await it.store.apply(B, [1, 2, 4], []);
  await it.store.apply(A, [], [2]);
  deepEqual(await it.store.regroup(A), { transitions: [], isMore: false });
  deepEqual(await it.store.sweep(A), []);
  await it.store.heartbeat(A, LEASE_MS);
  // Our locks do not hold up the application either.
  const ours = await it.application();
  await ours.query(
    `begin; lock table rollcall_internal.presence, rollcall_internal.feed, rollcall_internal.counter,
              rollcall_internal.nodes, rollcall_internal.writes in access exclusive mode`,
  );
  const third = await it.application();
  await third.query("set statement_timeout = '2s'");
  await third.query("select rollcall.groups_changed(array[3])");
  await first.query("commit");
  await ours.query("rollback");
  await second.query("rollback");
  deepEqual(brief((await it.store.regroup(A)).transitions), [
    "1 online  > a",
    "2 online  > a",
  ]);
});

Deno.test("[V3] a role changes groups with the two grants of the documentation, and not without them", async () => {
  await using it = await open();
  await it.run("insert into memberships values (1, 'a')");
  await it.store.apply(A, [1], []);
  const role = uniqueName("app");
  await it.run(
    `create role ${role} login password 'secret'; grant all on memberships to ${role}`,
  );
  const url = new URL(it.url);
  [url.username, url.password] = [role, "secret"];
  const application = await it.application(url.href);
  const name = "select rollcall.groups_changed(array[1])";
  await rejects(application.query(name), /permission denied for schema/);
  await it.run(`grant usage on schema rollcall to ${role}`);
  await rejects(application.query(name), /permission denied for function/);
  await it.run(
    `grant execute on function rollcall.groups_changed to ${role}`,
  );
  await application.query(
    `begin; update memberships set group_id = 'b'; ${name}; commit`,
  );
  deepEqual(brief((await it.store.regroup(A)).transitions), ["1 online a > b"]);
  for (
    const sql of [
      "table rollcall_internal.groups_due",
      "table rollcall.presence",
      "insert into rollcall_internal.groups_due (ids) values ('{1}')",
      "select rollcall_internal.read_groups('{1}')",
    ]
  ) {
    await rejects(application.query(sql), /permission denied/);
  }
});

Deno.test("[V3] ids that are none, beyond the type, or null change nothing, and an empty list neither", async () => {
  await using it = await open();
  await it.store.apply(A, [1], []);
  await it.run("insert into memberships values (1, 'a')");
  for (
    const ids of ["'{}'", "null", "array[null::bigint]", "array[99]"]
  ) {
    await it.run(`select rollcall.groups_changed(${ids})`);
  }
  deepEqual((await it.store.regroup(A)).transitions, []);
  await it.run(
    "select rollcall.groups_changed(array[9223372036854775807, -3000000000, 1, null, 1])",
  );
  deepEqual(brief((await it.store.regroup(A)).transitions), ["1 online  > a"]);
  equal((await it.run("table rollcall_internal.groups_due")).length, 0);
});

Deno.test("[V3] nodes are notified of users that the application names, after its commit", async () => {
  await using it = await open();
  const calls: string[] = [];
  const subscription = await it.store.subscribe({
    ...IGNORING,
    onGroupsChanged: () => calls.push("groups"),
  });
  const application = await it.application();
  await application.query(
    "begin; select rollcall.groups_changed(array[1]); rollback",
  );
  await application.query(
    "begin; select rollcall.groups_changed(array[1])",
  );
  await subscription.head();
  deepEqual(calls, []);
  await application.query("commit");
  await until("the notification arrives", () => calls.length > 0);
  await subscription.close();
});

Deno.test("[V3] a read that is older than a change is never written after a newer one", async () => {
  await using it = await open();
  await it.store.join(B, LEASE_MS);
  await it.run("insert into memberships values (1, '0')");
  const application = await it.application();
  let isOver = false;
  const change = async () => {
    for (let n = 1; n <= 60; n++) {
      await application.query("begin");
      await application.query("update memberships set group_id = $1", [n]);
      await application.query("select rollcall.groups_changed(array[1])");
      await application.query("commit");
      // As a notification does.
      await Promise.all([it.store.regroup(A), it.store.regroup(B)]);
      const now = (await it.groups()).get(1);
      ok(now === undefined || now[0] === String(n), `${now} is not ${n}`);
    }
    isOver = true;
  };
  const arrive = async (node: string) => {
    while (!isOver) {
      await it.store.apply(node, [1], []);
      await it.store.apply(node, [], [1]);
    }
  };
  await Promise.all([change(), arrive(A), arrive(B)]);
});

Deno.test("[V3] 100,000 ids in one call are compared in small transactions, and none is lost", async () => {
  await using it = await open();
  await it.store.apply(A, [1, 2, 3], []);
  await it.run(
    `with new as (insert into memberships select n, 'a' from generate_series(1, 3) n)
     select rollcall.groups_changed(array_agg(n order by n = 3, n = 2, n)) from generate_series(1, 100000) n`,
  );
  const transitions: Transition[] = [];
  let rounds = 0;
  for (let isMore = true; isMore; rounds++) {
    const regrouped = await it.store.regroup(A);
    transitions.push(...regrouped.transitions);
    isMore = regrouped.isMore;
  }
  deepEqual(brief(transitions), [
    ...["1 online  > a", "2 online  > a", "3 online  > a"],
  ]);
  ok(rounds > 10 && rounds < 100, `${rounds} rounds`);
});

Deno.test("[V3] eight sweeps compare the groups of all users, however many are online", async () => {
  await using it = await open();
  const users = 20_000;
  await it.run(
    `insert into users (id, username) select n, 'user' from generate_series(6, ${users}) n;
     insert into memberships select n, 'a' from generate_series(1, ${users}) n;
     insert into rollcall_internal.presence (user_id, username, nodes, groups, changed_at)
     select n, 'user', array['${A}'::uuid], '{a}', now() from generate_series(1, ${users}) n;
     analyze rollcall_internal.presence; analyze memberships`,
  );
  await it.run(
    `update memberships set group_id = 'b' where user_id in (1, 2000, 17777, ${users})`,
  );
  const found: Transition[] = [];
  for (let n = 0; n < 8; n++) found.push(...await it.store.sweep(A));
  deepEqual(brief(found), [
    ...["1 online a > b", "2000 online a > b"],
    ...["17777 online a > b", `${users} online a > b`],
  ]);
});

Deno.test("[V2] the newest token of a user says its groups, and an older one does not", async () => {
  await using it = await open("select", CLAIM);
  const set = (userId: UserId, issuedAt: number, ...groups: string[]) =>
    it.store.setTokenGroups([{ userId, groups, issuedAt }]);
  await it.store.setTokenGroups([
    { userId: 1, groups: ["old"], issuedAt: 5 },
    { userId: 2, groups: ['a,"b"', "NULL", "{}", "\\"], issuedAt: 0 },
    { userId: 1, groups: ["a", "b"], issuedAt: 10 },
    { userId: 99, groups: ["a"], issuedAt: 10 },
  ]);
  const { transitions, unknown } = await it.store.apply(A, [1, 2, 3, 99], []);
  deepEqual(brief(transitions), [
    ...["1 online - > a,b", '2 online - > NULL,\\,a,"b",{}', "3 online - > "],
  ]);
  deepEqual(unknown, [99]);
  await set(1, 9, "older");
  deepEqual(brief((await it.store.apply(A, [1], [])).transitions), []);
  await set(1, 10, "same second");
  await set(2, 0);
  deepEqual(brief((await it.store.apply(A, [1, 2], [])).transitions), [
    '2 online NULL,\\,a,"b",{} > ',
    "1 online a,b > same second",
  ]);
  deepEqual(await it.store.findUsers([1, 2, 3, 99]), [
    { id: 1, groups: ["same second"] },
    { id: 2, groups: [] },
    { id: 3, groups: [] },
  ]);
});

Deno.test("[L1] the groups of an old token are deleted, but not while its user is online or connects again", async () => {
  await using it = await open("select", CLAIM);
  const set = (...ids: number[]) =>
    it.store.setTokenGroups(
      ids.map((userId) => ({ userId, groups: ["a"], issuedAt: 1 })),
    );
  await set(1, 2, 3, 4);
  await it.store.apply(A, [1], []);
  await it.run(
    "update rollcall_internal.token_groups set written_at = now() - interval '31 days' where user_id < 4",
  );
  await set(2);
  await it.store.sweep(A);
  const kept = await it.run(
    "select user_id from rollcall_internal.token_groups order by 1",
  );
  deepEqual(kept.map(({ user_id }) => user_id), [1, 2, 4]);
});

Deno.test("[V1] findUsers returns which users exist, with their groups", async () => {
  await using it = await open(MEMBERSHIPS, table("memberships", 2));
  await it.run(
    `insert into memberships values (1, 'b'), (1, 'a'), (2, 'a'), (2, 'b'), (2, 'c'), (3, repeat('x', 129)), (99, 'a')`,
  );
  deepEqual(await it.store.findUsers([1, 2, 3, 4, 99]), [
    { id: 1, groups: ["a", "b"] },
    { id: 2, groups: "too many" },
    { id: 3, groups: "too many" },
    { id: 4, groups: [] },
  ]);
  await migrateDatabase(it.url);
  deepEqual(await it.store.findUsers([1, 99]), [{ id: 1, groups: undefined }]);
});

Deno.test("[L1] a user in 200,000 groups, and a group id of a megabyte, cost no memory", async () => {
  await using it = await open();
  await it.run(
    `insert into memberships select 1, n from generate_series(1, 200000) n;
     insert into memberships select 2, repeat('x', 1000000 + n) from generate_series(1, 20) n;
     insert into memberships values (3, 'a'); analyze memberships`,
  );
  const { transitions, overgrouped } = await it.store.apply(A, [1, 2, 3], []);
  deepEqual(brief(transitions), ["3 online - > a"]);
  deepEqual(overgrouped.toSorted(), [1, 2]);
  const [row] = await it.run(
    `select count(*)::int as names from rollcall_internal.read_groups('{1,2}') g where cardinality(g.groups) > 101`,
  );
  equal(row.names, 0);
});

Deno.test("[L1] with groups a write reads only the rows of its batch, also with plans made while the tables were empty", async () => {
  await using it = await open(
    "create table memberships (user_id integer, group_id integer); create index on memberships (user_id)",
  );
  deepEqual((await it.store.apply(A, [1], [])).transitions.length, 1);
  const [users, batch] = [6_000, 1_000];
  await it.run(
    `insert into users (id, username) select n, 'user' from generate_series(6, ${users}) n;
     insert into memberships select n, n / 20 from generate_series(1, ${users}) n`,
  );
  for (const isComing of [true, false]) {
    for (let first = 1; first <= users; first += batch) {
      const ids = Array.from({ length: batch }, (_, n) => first + n);
      await it.store.apply(A, isComing ? ids : [], isComing ? [] : ids);
    }
  }
  // Postgres counts what a connection read when the connection ends.
  await it.closeStore();
  const reads = await until("the reads are counted", async () => {
    const [row] = await it.run(
      `select sum(n_tup_upd) filter (where relname = 'presence')::int as written,
              sum(coalesce(idx_tup_fetch, 0) + coalesce(seq_tup_read, 0))::int as fetched
         from pg_stat_user_tables where relname in ('presence', 'memberships')`,
    );
    return row?.written >= 3 * users - 5 && row.fetched;
  });
  const each = reads / (2 * users);
  ok(each < 15, `${each} rows were read for each transition`);
});
