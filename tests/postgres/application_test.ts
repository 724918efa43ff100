/** What an application does to its own users table, and what that does to presence: nothing. */
import { deepEqual, equal, ok } from "node:assert/strict";
import pg from "pg";
import { PostgresStore } from "../../src/postgres/postgres_store.ts";
import {
  DATABASE_STATEMENT_MS,
  SWEEP_SLICE_ROWS,
} from "../../src/postgres/limits.ts";
import { postgresForThisFile, query, statusOf } from "../support/database.ts";
import { rememberingLog } from "../support/fakes.ts";

const postgres = postgresForThisFile();
const [A, B] = [1, 2].map((n) => `00000000-0000-4000-8000-00000000000${n}`) as [
  string,
  string,
];
const LEASE_MS = 60_000;
/** No user waits longer for a fault of the application. Far above what is needed, for a busy machine. */
const DELAY_MAX_MS = 3_000;

const range = (first: number, count: number) =>
  Array.from({ length: count }, (_, index) => first + index);

/** A node on a database with an application's users. */
async function open(users = 10) {
  const url = await postgres.database(users);
  const log = rememberingLog();
  const store = new PostgresStore(url, log);
  await store.join(A, LEASE_MS);
  const ids = async (sql: string): Promise<number[]> =>
    (await query(url, sql)).map(({ id }) => id);
  return {
    ...{ url, store, log },
    run: (sql: string) => query(url, sql),
    /** Writes a batch, and fails if that takes long. */
    apply: async (
      arriving: number[],
      leaving: number[],
      withinMs = DELAY_MAX_MS,
    ) => {
      const startedAt = performance.now();
      const applied = await store.apply(A, arriving, leaving);
      const ms = performance.now() - startedAt;
      ok(ms < withinMs, `the write took ${ms.toFixed(0)} ms`);
      return applied;
    },
    /** Sweeps, and returns the transitions. */
    sweep: async () =>
      (await store.sweep(A)).map(({ userId, status }) => `${userId} ${status}`),
    online: () => ids("select id from rollcall.online_users order by 1"),
    /** Users whose copies say that they are online. */
    copies: () =>
      ids("select id from users where status = 'online' order by 1"),
    /** The feed in its order. */
    feed: async () =>
      (await query(
        url,
        "select user_id as id, status from rollcall_internal.feed order by seq",
      )).map(({ id, status }) => `${id} ${status}`),
    [Symbol.asyncDispose]: () => store.close(),
  };
}

/** An open transaction of the application. */
async function openTransaction(url: string, ...statements: string[]) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query("begin");
  for (const sql of statements) await client.query(sql);
  return {
    query: (sql: string) => client.query(sql),
    commit: () => client.query("commit"),
    [Symbol.asyncDispose]: async () => {
      await client.query("rollback");
      await client.end();
    },
  };
}

/** A trigger that does something at every update of users that fits the condition. */
function trigger(
  body: string,
  { when = "old.id = 2", kind = "before update" } = {},
): string {
  const constraint = kind.includes("deferred") ? "constraint" : "";
  return `
    create function react() returns trigger language plpgsql as $$
      begin ${body} end $$;
    create ${constraint} trigger react ${
    kind.replace("deferred", "on users deferrable initially deferred")
  } ${kind.includes("deferred") ? "" : "on users"}
      for each row when (${when}) execute function react();`;
}

const AFTER_DEFERRED = "after update deferred";

const REFUSALS: Record<string, string> = {
  "keeps the old value": trigger("new.status := old.status; return new;"),
  "returns null": trigger("return null;"),
  "raises an error": trigger("raise exception 'not this one';"),
  "fails an assertion": trigger("assert false; return new;"),
  "raises an error at commit": trigger("raise exception 'not this one';", {
    kind: AFTER_DEFERRED,
  }),
  "defers the constraints again, and raises an error at commit": trigger(
    "if new.status = 'online' then set constraints all deferred; update users set status = 'x' where id = new.id; else raise exception 'not this one'; end if; return new;",
    { kind: AFTER_DEFERRED },
  ),
  "changes the role": trigger("set local role pg_monitor; return new;"),
};

for (const [does, sql] of Object.entries(REFUSALS)) {
  Deno.test(`[U1] a trigger that ${does} for one row delays nobody, and the copy is right once it is gone`, async () => {
    await using it = await open();
    await it.run(sql);
    const applied = await it.apply(range(1, 5), []);
    deepEqual(applied.transitions.map(({ userId }) => userId), range(1, 5));
    deepEqual(await it.online(), range(1, 5));
    deepEqual(await it.copies(), [1, 3, 4, 5]);
    deepEqual(await it.sweep(), []);
    deepEqual(await it.copies(), [1, 3, 4, 5]);
    await it.run("drop trigger react on users");
    deepEqual(await it.sweep(), []);
    deepEqual(await it.copies(), range(1, 5));
    await it.apply([], range(1, 5));
    deepEqual(await it.copies(), []);
    equal((await it.feed()).length, 10);
  });
}

Deno.test("[U1] triggers, deferred ones too, and functions behind a view find their tables by the role's search path", async () => {
  await using it = await open();
  await it.run(
    `create table audit (user_id integer);
     create function note() returns trigger language plpgsql as
       $$ begin insert into audit values (new.id); return new; end $$;
     create trigger note after insert or update on users for each row execute function note();
     create constraint trigger note_late after insert or update on users deferrable initially deferred
       for each row execute function note();`,
  );
  const noted = async () =>
    (await it.run("select user_id as id from audit")).map(({ id }) => id);
  await it.apply([1], []);
  deepEqual(await it.copies(), [1]);
  deepEqual(await noted(), [1, 1]);
  equal((await it.store.provision(99, "new")).outcome, "there");
  deepEqual(await noted(), [1, 1, 99, 99]);
  await it.run(
    `create function has_note(id integer) returns boolean language plpgsql as
       $$ begin return exists (select from audit where user_id = id); end $$;
     alter table users rename to people;
     create view users as select * from people where has_note(id)`,
  );
  const { transitions, unknown } = await it.apply([99, 3], []);
  deepEqual(transitions.map(({ userId }) => userId), [99]);
  deepEqual(unknown, [3]);
  deepEqual(await it.sweep(), []);
  deepEqual(it.log.events, []);
});

Deno.test("[U1] a trigger that waits for a table that another transaction has locked delays nobody", async () => {
  await using it = await open();
  await it.run(
    `create table audit (at timestamptz); ${
      trigger("insert into audit values (now()); return new;", { when: "true" })
    }`,
  );
  {
    await using _application = await openTransaction(
      it.url,
      "lock table audit",
    );
    await it.apply(range(1, 5), []);
    deepEqual(await it.online(), range(1, 5));
    await it.apply([], [5]);
    deepEqual(await it.online(), range(1, 4));
    deepEqual(await it.sweep(), []);
    deepEqual(await it.copies(), []);
  }
  deepEqual(await it.sweep(), []);
  deepEqual(await it.copies(), range(1, 4));
});

Deno.test("[U1] a row that refuses its update among 1,000 others is the only one without a copy", async () => {
  await using it = await open(1_001);
  await it.run(trigger("raise exception 'not this one';", {
    when: "old.id = 500",
  }));
  const { transitions } = await it.apply(range(1, 1_001), []);
  equal(transitions.length, 1_001);
  deepEqual(await it.copies(), range(1, 1_001).filter((id) => id !== 500));
  deepEqual(it.log.events, ["warn: the database warns"]);
});

Deno.test("[U1] a trigger that refuses every row delays nobody, and is reported once for each write", async () => {
  await using it = await open(1_000);
  await it.run(trigger("raise exception 'none';", { when: "true" }));
  const { transitions } = await it.apply(range(1, 1_000), []);
  equal(transitions.length, 1_000);
  deepEqual(it.log.events, ["warn: the database warns"]);
  await it.sweep();
  deepEqual(it.log.events.length, 2);
  deepEqual(await it.copies(), []);
  await it.run("drop trigger react on users");
  await it.sweep();
  deepEqual(await it.copies(), range(1, 1_000));
});

Deno.test("[U1] a trigger that sleeps 10 ms for each row delays none of 1,200 users, and each sweep copies more", async () => {
  await using it = await open(1_200);
  await it.run(
    trigger("perform pg_sleep(0.01); return new;", { when: "true" }),
  );
  await it.apply(range(1, 1_000), []);
  await it.apply(range(1_001, 200), []);
  deepEqual(await it.online(), range(1, 1_200));
  let copied = (await it.copies()).length;
  for (let round = 0; round < 2; round++) {
    deepEqual(await it.sweep(), []);
    const now = (await it.copies()).length;
    ok(now >= copied + 20, `${now} copies after ${copied}`);
    copied = now;
  }
  await it.run("drop trigger react on users");
  await it.sweep();
  deepEqual(await it.copies(), range(1, 1_200));
  equal((await it.feed()).length, 1_200);
});

Deno.test("[U1] a trigger that sleeps longer than a statement may take delays one write, and no write after it", async () => {
  await using it = await open();
  const seconds = 2 * DATABASE_STATEMENT_MS / 1_000;
  await it.run(trigger(`perform pg_sleep(${seconds}); return new;`));
  await it.apply([1, 2, 3], [], DATABASE_STATEMENT_MS + DELAY_MAX_MS);
  deepEqual(await it.online(), [1, 2, 3]);
  await it.apply([4], [2]);
  await it.apply([2], [1]);
  deepEqual(await it.online(), [2, 3, 4]);
  await it.run("drop trigger react on users");
  await it.sweep();
  deepEqual(await it.copies(), [2, 3, 4]);
  deepEqual(await it.feed(), [
    ...["1 online", "2 online", "3 online"],
    ...["2 offline", "4 online", "1 offline", "2 online"],
  ]);
});

Deno.test("[U1][C7] 15,000 users of the last node go offline in one write, although one row refuses its update", async () => {
  await using it = await open(15_000);
  for (let first = 1; first <= 15_000; first += 1_000) {
    await it.apply(range(first, 1_000), []);
  }
  await it.run(trigger("raise exception 'not this one';", {
    when: "old.id = 7000",
  }));
  await it.store.leave(A, 0);
  deepEqual(await it.online(), []);
  equal((await it.feed()).length, 30_000);
  // The next node's sweeps write what is due.
  await it.run("drop trigger react on users");
  await it.store.join(B, LEASE_MS);
  for (let round = 0; round < 4; round++) await it.store.sweep(B);
  deepEqual(await it.copies(), []);
});

Deno.test("[U1][C7] the last node leaves although the application locks a row, and the next node copies that user's status", async () => {
  await using it = await open();
  await it.apply([1, 2, 3], []);
  {
    await using _application = await openTransaction(
      it.url,
      "select from users where id = 2 for update",
    );
    await it.store.leave(A, 0);
    deepEqual(await it.online(), []);
    deepEqual(await it.copies(), [2]);
  }
  await it.store.join(B, LEASE_MS);
  await it.store.sweep(B);
  deepEqual(await it.copies(), []);
});

Deno.test("[U1][C2] a row that refuses its update keeps no user of a dead node online, and costs no node its lease", async () => {
  await using it = await open();
  await it.store.join(B, LEASE_MS);
  await it.apply([1, 2, 3], []);
  await it.run(trigger("raise exception 'not this one';"));
  await it.run(
    `update rollcall_internal.nodes set expires_at = clock_timestamp() where id = '${A}'`,
  );
  const transitions = await it.store.sweep(B);
  deepEqual(transitions.map(({ userId }) => userId), [1, 2, 3]);
  await it.store.heartbeat(B, LEASE_MS);
  deepEqual(await it.copies(), [2]);
  await it.run("drop trigger react on users");
  deepEqual(await it.store.sweep(B), []);
  deepEqual(await it.copies(), []);
});

Deno.test("[U1] a status that the application writes is corrected by the next sweep, and nobody is notified", async () => {
  await using it = await open();
  await it.apply([1, 2, 3], []);
  // A whole row that an ORM loaded before user 1 came online, and a nightly job.
  await it.run(
    "update users set username = 'ada', status = 'offline' where id = 1",
  );
  await it.run("update users set status = 'online' where id > 5");
  await it.run("update users set status = 'away' where id = 2");
  deepEqual(await it.sweep(), []);
  deepEqual(await it.copies(), [1, 2, 3]);
  const [row] = await it.run("select username from users where id = 1");
  equal(row?.username, "ada");
  equal((await it.feed()).length, 3);
});

const REPLACEMENTS: Record<string, string[]> = {
  "dropped and created again": [
    "drop table users",
    "create table users (id integer primary key, username text not null, status text not null default 'offline')",
    "insert into users select n, 'user' || n from generate_series(1, 10) n",
  ],
  "dropped with its schema and created again": [
    "drop schema public cascade",
    "create schema public",
    "create table public.users (id integer primary key, username text not null, status text not null default 'offline')",
    "insert into public.users select n, 'user' || n from generate_series(1, 10) n",
  ],
  "dropped and created again with ids of another integer type": [
    "drop table users",
    "create table users (id bigint primary key, username varchar(40) not null, status text not null default 'offline')",
    "insert into users select n, 'user' || n from generate_series(1, 10) n",
  ],
  "truncated and filled again": [
    "truncate users",
    "insert into users (id, username) select n, 'user' || n from generate_series(1, 10) n",
  ],
  "deleted and filled again": [
    "delete from users",
    "insert into users (id, username) select n, 'user' || n from generate_series(1, 10) n",
  ],
  "rewritten": ["alter table users alter column id type bigint"],
};

for (const [name, statements] of Object.entries(REPLACEMENTS)) {
  Deno.test(`[U1] while the table is ${name} in one transaction, nobody is notified and no known user waits`, async () => {
    await using it = await open();
    await it.apply([1, 2, 3], []);
    await it.apply([], [3]);
    {
      await using application = await openTransaction(it.url, ...statements);
      const isLocked = name !== "deleted and filled again";
      deepEqual(await it.sweep(), []);
      const applied = await it.apply(isLocked ? [3, 4] : [3], [2]);
      deepEqual(
        applied.transitions.map(({ userId }) => userId),
        [2, 3],
      );
      deepEqual(applied.deferred, isLocked ? [4] : []);
      deepEqual(applied.unknown, []);
      await application.commit();
    }
    deepEqual(await it.sweep(), []);
    deepEqual(await it.sweep(), []);
    deepEqual(await it.online(), [1, 3]);
    deepEqual(await it.copies(), [1, 3]);
    const { transitions } = await it.apply([4], []);
    deepEqual(transitions.map(({ userId }) => userId), [4]);
  });

  Deno.test(`[U1] a write that waits while the table is ${name} finds its users`, async () => {
    await using it = await open();
    await it.apply([1, 2], []);
    await using application = await openTransaction(it.url, ...statements);
    // It waits for the table's lock, with a snapshot from before the commit.
    const applying = it.store.apply(A, [3, 99], [2]);
    const sweeping = it.store.sweep(A);
    await new Promise((resolve) => setTimeout(resolve, 60));
    await application.commit();
    const applied = await applying;
    deepEqual(await sweeping, []);
    const unknown = [...applied.unknown, ...applied.deferred];
    ok(!applied.unknown.includes(3), "a user of the table is unknown");
    ok(unknown.includes(99));
    await it.apply([3], []);
    deepEqual(await it.sweep(), []);
    deepEqual(await it.online(), [1, 3]);
    deepEqual(await it.copies(), [1, 3]);
  });
}

const DELETIONS: Record<string, string> = {
  "by TRUNCATE": "truncate users",
  "under session_replication_role = replica":
    "set session_replication_role = replica; delete from users",
  "while all triggers are disabled":
    "alter table users disable trigger all; delete from users; alter table users enable trigger all",
};

for (const [how, sql] of Object.entries(DELETIONS)) {
  Deno.test(`[U1][P4] users who were deleted ${how} go offline once`, async () => {
    await using it = await open();
    await it.apply([1, 2], []);
    await it.run(sql);
    deepEqual((await it.sweep()).sort(), ["1 offline", "2 offline"]);
    deepEqual(await it.sweep(), []);
    deepEqual(await it.online(), []);
    const applied = await it.apply([1, 3], []);
    deepEqual([...applied.unknown].sort(), [1, 3]);
    equal((await it.feed()).length, 4);
  });
}

Deno.test("[U1] while the table is gone nobody goes offline, and when it is back everything goes on", async () => {
  await using it = await open();
  await it.apply([1, 2], []);
  await it.run("alter table users rename to people");
  deepEqual(await it.sweep(), []);
  const applied = await it.apply([3], [2]);
  deepEqual(applied.deferred, [3]);
  deepEqual(await it.online(), [1]);
  await it.run("alter table people rename to users");
  deepEqual(await it.sweep(), []);
  await it.apply([3], []);
  deepEqual(await it.online(), [1, 3]);
  deepEqual(await it.copies(), [1, 3]);
});

const LOSSES: Record<string, string> = {
  "the status column is dropped": "alter table users drop column status",
  "the status column is renamed":
    "alter table users rename column status to state",
  "the status column has another type":
    "alter table users alter column status drop default; alter table users alter column status type integer using 0",
};

for (const [what, sql] of Object.entries(LOSSES)) {
  Deno.test(`[U1] after ${what} users come, go, are deleted and renamed as before`, async () => {
    await using it = await open();
    await it.apply([1, 2, 3], []);
    await it.run(sql);
    await it.apply([4], [3]);
    await it.run("delete from users where id = 2");
    await it.run("update users set username = 'lovelace' where id = 1");
    deepEqual(await it.sweep(), ["2 offline"]);
    deepEqual(await it.online(), [1, 4]);
    const { users } = await it.store.snapshot();
    deepEqual(users.find(({ id }) => id === 1)?.username, "lovelace");
  });
}

Deno.test("[U1] policies that hide rows from the server make nobody unknown or offline", async () => {
  await using it = await open();
  await it.apply([1, 2], []);
  // As a role to which policies apply.
  const name = `rls_${crypto.randomUUID().replaceAll("-", "")}`;
  await it.run(
    `create role ${name} login password 'secret';
     grant usage on schema rollcall_internal to ${name};
     grant select, insert, update, delete on all tables in schema rollcall_internal to ${name};
     grant execute on all functions in schema rollcall_internal to ${name};
     grant select, update on users to ${name}`,
  );
  const url = new URL(it.url);
  [url.username, url.password] = [name, "secret"];
  const store = new PostgresStore(url.href, it.log);
  await store.join(B, LEASE_MS);
  await store.apply(B, [3], []);
  await it.run("alter table users enable row level security");
  deepEqual(await store.sweep(B), []);
  const applied = await store.apply(B, [2, 4], [3]);
  deepEqual(applied.unknown, []);
  deepEqual(applied.deferred, [4]);
  deepEqual(await it.online(), [1, 2]);
  await it.run("alter table users disable row level security");
  await store.apply(B, [4], []);
  deepEqual(await store.sweep(B), []);
  deepEqual(await it.online(), [1, 2, 4]);
  deepEqual(await it.copies(), [1, 2, 4]);
  await store.close();
});

Deno.test("[U1] a view that has a user twice makes no difference", async () => {
  await using it = await open();
  await it.run(
    `alter table users rename to people;
     create view users as select * from people union all select * from people where id = 2`,
  );
  const applied = await it.apply([1, 2, 99], []);
  deepEqual(applied.transitions.map(({ userId }) => userId), [1, 2]);
  deepEqual(applied.unknown, [99]);
  deepEqual(await it.sweep(), []);
  deepEqual(await it.online(), [1, 2]);
});

Deno.test("[U1] a user who is made again after the sweep has read the users table stays online", async () => {
  await using it = await open();
  await it.apply([1, 2], []);
  await it.run("delete from users where id = 2");
  // The sweep calls it with the users that it has not found.
  const swept = await it.run(
    "select user_id, status from rollcall_internal.forget_users('{1, 2}')",
  );
  deepEqual(swept, [{ user_id: 2, status: "offline" }]);
  deepEqual(await it.online(), [1]);
});

Deno.test("[U1] rows that are locked do not keep the status of others from being copied at once", async () => {
  await using it = await open(100);
  await using application = await openTransaction(
    it.url,
    "select from users where id % 5 = 0 for update",
  );
  await it.apply(range(1, 100), []);
  deepEqual(await it.copies(), range(1, 100).filter((id) => id % 5 !== 0));
  await application.commit();
  await it.sweep();
  deepEqual(await it.copies(), range(1, 100));
});

Deno.test("[U1] a copy that is due is written by the next sweep, however many users there are", async () => {
  const users = 3 * SWEEP_SLICE_ROWS;
  await using it = await open(users);
  await it.run(trigger("new.status := old.status; return new;", {
    when: `old.id = ${users}`,
  }));
  await it.apply([1, users], []);
  deepEqual(await it.copies(), [1]);
  await it.run("drop trigger react on users");
  await it.sweep();
  deepEqual(await it.copies(), [1, users]);
});

Deno.test("[U1] rows that are slow to refuse do not keep others from being copied by later sweeps", async () => {
  await using it = await open(60);
  // Users 1 to 20 wait for a table that stays locked, each until the time for locks is over.
  await it.run(
    `create table audit (at timestamptz); ${
      trigger("insert into audit values (now()); return new;", {
        when: "old.id <= 20",
      })
    }`,
  );
  await using _audit = await openTransaction(it.url, "lock table audit");
  {
    await using _users = await openTransaction(
      it.url,
      "select from users for update",
    );
    await it.apply(range(1, 50), []);
    await it.apply([], range(41, 10));
  }
  await it.run("update users set status = 'online' where id > 40");
  const wanted = range(21, 20);
  for (let round = 0; round < 60; round++) {
    deepEqual(await it.sweep(), []);
    if ((await it.copies()).join() === wanted.join()) break;
  }
  deepEqual(await it.copies(), wanted);
});

Deno.test("[U1] a copy that fails once is written by the sweep, and not again by later ones", async () => {
  await using it = await open();
  {
    await using _application = await openTransaction(
      it.url,
      "select from users where id = 1 for update",
    );
    await it.apply([1, 2], []);
  }
  await it.sweep();
  equal(await statusOf(it.url, 1), "online");
  const written = () => it.run("select id, xmin::text from users order by id");
  const before = await written();
  await it.sweep();
  deepEqual(await written(), before);
});
