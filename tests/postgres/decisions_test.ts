/** The SQL functions with writes that arrive late, unusual settings and many rows. */
import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import pg from "pg";
import { PostgresStore } from "../../src/postgres/postgres_store.ts";
import { postgresForThisFile, query, statusOf } from "../support/database.ts";
import { rememberingLog } from "../support/fakes.ts";
import { until } from "../support/until.ts";

const postgres = postgresForThisFile();
const [A, B] = [1, 2].map((n) => `00000000-0000-4000-8000-00000000000${n}`) as [
  string,
  string,
];
const LEASE_MS = 60_000;

async function open(users = 5) {
  const url = await postgres.database(users);
  const log = rememberingLog();
  const store = new PostgresStore(url, log);
  await store.join(A, LEASE_MS);
  return {
    ...{ url, store, log },
    claims: async () => {
      const sql =
        "select user_id as id from rollcall_internal.presence where nodes <> '{}' order by 1";
      return (await query(url, sql)).map(({ id }) => id);
    },
    [Symbol.asyncDispose]: () => store.close(),
  };
}

Deno.test("[C5] a write that arrives after a later write of the same node changes nothing", async () => {
  await using it = await open();
  const sql = "select * from rollcall_internal.apply($1, $2, $3, $4, $5)";
  await query(it.url, sql, [A, [], [1], 2, true]);
  for (const isBarrier of [true, false]) {
    const late = query(it.url, sql, [A, [1], [], 1, isBarrier]);
    await rejects(late, /was overtaken/);
  }
  deepEqual(await it.claims(), []);
  await query(it.url, sql, [A, [1], [], 3, false]);
  deepEqual(await it.claims(), [1]);
});

Deno.test("[P4] a changed id sets the old user offline, and the new one comes online like any other", async () => {
  await using it = await open();
  await it.store.apply(A, [1, 2], []);
  await query(it.url, "update users set id = 99 where id = 2");
  const [offline, ...others] = await it.store.sweep(A);
  deepEqual([offline?.userId, offline?.status], [2, "offline"]);
  deepEqual(others, []);
  equal(await statusOf(it.url, 99), "offline");
  const { transitions, unknown } = await it.store.apply(A, [2, 99], []);
  deepEqual(transitions.map(({ userId }) => userId), [99]);
  deepEqual(unknown, [2]);
});

Deno.test("[C1] the store uses read committed, whatever the database's default isolation is", async () => {
  await using it = await open();
  const name = new URL(it.url).pathname.slice(1);
  await query(
    it.url,
    `alter database ${name} set default_transaction_isolation = 'repeatable read'`,
  );
  await query(
    it.url,
    `create function level() returns trigger language plpgsql as
       $$ begin new.username := current_setting('transaction_isolation'); return new; end $$;
     create trigger level before update on users for each row execute function level()`,
  );
  // A store whose connections are opened from now on.
  const store = new PostgresStore(it.url, it.log);
  await it.store.leave(A, 0);
  await store.join(B, LEASE_MS);
  await store.apply(B, [1], []);
  await store.close();
  const [row] = await query(it.url, "select username from users where id = 1");
  equal(row.username, "read committed");
});

Deno.test("[L1] one sweep prunes the feed to its bounds, however long it is", async () => {
  await using it = await open();
  await query(
    it.url,
    `insert into rollcall_internal.feed (seq, user_id, username, status, at)
     select n, 1, 'x', 'online', now() - interval '2 days' from generate_series(1, 25000) n`,
  );
  await it.store.sweep(A);
  const sql = "select count(*)::int as rows from rollcall_internal.feed";
  equal((await query(it.url, sql))[0].rows, 0);
  const { transitions } = await it.store.apply(A, [1], []);
  deepEqual(transitions.map(({ seq }) => seq), [25_001]);
});

Deno.test("[L1] a write reads only the rows of its batch, also with plans made while the tables were empty", async () => {
  const url = await postgres.database(0);
  const store = new PostgresStore(url, rememberingLog());
  const [users, batch] = [6_000, 1_000];
  await store.join(A, LEASE_MS);
  deepEqual((await store.apply(A, [1], [])).unknown, [1]);
  await query(
    url,
    "insert into users (id, username) select n, 'user' || n from generate_series(1, $1::int) n",
    [users],
  );
  for (const isComing of [true, false]) {
    for (let first = 1; first <= users; first += batch) {
      const ids = Array.from({ length: batch }, (_, n) => first + n);
      await store.apply(A, isComing ? ids : [], isComing ? [] : ids);
    }
  }
  // Postgres counts what a connection read when the connection ends.
  await store.close();
  const reads = await until("the reads are counted", async () => {
    const [row] = await query(
      url,
      `select sum(n_tup_upd) filter (where relname = 'presence')::int as released,
              sum(coalesce(idx_tup_fetch, 0) + coalesce(seq_tup_read, 0))::int as fetched,
              (select sum(idx_tup_read)::int from pg_stat_user_indexes
                where relname in ('users', 'presence')) as found
         from pg_stat_user_tables where relname in ('users', 'presence')`,
    );
    return row?.released >= users && row.fetched + row.found;
  });
  const each = reads / (2 * users);
  ok(each < 15, `${each} rows were read for each transition`);
});

Deno.test("[L1] a name of a megabyte is cut in the database, at whole characters", async () => {
  await using it = await open();
  await query(
    it.url,
    "update users set username = repeat('a', 127) || repeat(U&'\\+01F600', 500000) where id = 1",
  );
  const { transitions } = await it.store.apply(A, [1], []);
  const [name] = transitions.map(({ username }) => username);
  equal(name, "a".repeat(127) + "\u{1f600}");
  const { users } = await it.store.snapshot();
  equal(users[0]?.username, name);
});

Deno.test("[C5] after revocations were lost, the next one has an id that no node has read", async () => {
  await using it = await open();
  const revocation = { userId: 1, tokenId: undefined };
  await it.store.revoke(revocation);
  await it.store.revoke(revocation);
  const read = (await it.store.readRevocations(0, 10)).at(-1)?.id ?? 0;
  await query(it.url, "delete from rollcall_internal.revocations");
  await it.store.revoke(revocation);
  equal((await it.store.readRevocations(read, 10)).length, 1);
});

Deno.test("[C5] the write after one that failed bars what is still on its way, and no other write changes the node's row", async () => {
  await using it = await open();
  const lastAfter = async (ids: number[]) => {
    await it.store.apply(A, ids, []);
    const sql = "select last::int from rollcall_internal.writes";
    return (await query(it.url, sql))[0].last;
  };
  equal(await lastAfter([1]), 1);
  equal(await lastAfter([2]), 1);
  await query(
    it.url,
    `create function refuse() returns trigger language plpgsql as $$ begin raise 'refused'; end $$;
     create trigger refuse before insert on rollcall_internal.presence for each row execute function refuse()`,
  );
  await rejects(it.store.apply(A, [3], []), /refused/);
  await query(it.url, "drop function refuse cascade");
  equal(await lastAfter([3]), 4);
  equal(await lastAfter([4]), 4);
});

Deno.test("[C2] users of an ended node whose time in one transaction is not enough go offline in smaller ones", async () => {
  await using it = await open(10);
  await it.store.apply(A, [1, 2, 3, 4, 5, 6, 7], []);
  await it.store.join(B, LEASE_MS);
  await query(
    it.url,
    `update rollcall_internal.nodes set expires_at = now() where id = '${A}';
     create function cancel() returns trigger language plpgsql as
       $$ begin if (select count(*) > 3 from released) then raise query_canceled; end if; return null; end $$;
     create trigger cancel after update on rollcall_internal.presence
       referencing new table as released for each statement execute function cancel()`,
  );
  // A transaction that failed has its locks for a moment after its client knows of it.
  await until("all are offline", async () => {
    await it.store.sweep(B);
    return (await it.claims()).length === 0;
  });
});

Deno.test("[C2] a sweep that waits for a user whom another transaction writes holds no other user up", async () => {
  await using it = await open();
  await it.store.apply(A, [1, 2, 3], []);
  await it.store.join(B, LEASE_MS);
  await query(
    it.url,
    `update rollcall_internal.nodes set expires_at = now() where id = '${A}';
     alter function rollcall_internal.wait_for_claim(uuid[]) set lock_timeout = '7s'`,
  );
  const other = new pg.Client({ connectionString: it.url });
  await other.connect();
  await other.query(
    "begin; select from rollcall_internal.presence where user_id = 2 for update",
  );
  const sweeping = it.store.sweep(B);
  await until("the sweep waits", async () => {
    const sql =
      "select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";
    return (await query(it.url, sql)).length > 0;
  });
  deepEqual(await it.claims(), [2]);
  await it.store.apply(B, [1, 3], []);
  await other.end();
  deepEqual((await sweeping).map(({ userId }) => userId), [1, 3, 2]);
  deepEqual(await it.claims(), [1, 3]);
});

Deno.test("[L1] a database clock that was set back does not stop the sweeps", async () => {
  await using it = await open();
  await it.store.apply(A, [1], []);
  await query(
    it.url,
    `delete from users where id = 1;
     update rollcall_internal.sweep_position set swept_at = now() + interval '1 hour'`,
  );
  equal((await it.store.sweep(A, LEASE_MS)).length, 1);
});

/** How many pages of 8 KB a statement reads, without those that its plan needs when it is made. */
async function pagesOf(client: pg.Client, sql: string): Promise<number> {
  const pages: number[] = [];
  for (let n = 0; n < 3; n++) {
    const { rows: [row] } = await client.query(
      `explain (analyze, buffers, format json) ${sql}`,
    );
    const { Plan: plan } = row["QUERY PLAN"][0];
    pages.push(plan["Shared Hit Blocks"] + plan["Shared Read Blocks"]);
  }
  return Math.min(...pages);
}

/** A transaction that sees the database as of now, until the returned function is called. */
async function holdSnapshot(url: string): Promise<() => Promise<void>> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query("begin isolation level repeatable read");
  await client.query("select from users");
  return () => client.end();
}

Deno.test("[L1] a write costs the same however many there were since a transaction elsewhere began", async () => {
  await using it = await open(3_000);
  const client = new pg.Client({ connectionString: it.url });
  await client.connect();
  let writes = 0;
  /** Each write has a user of its own. */
  const write = () =>
    `select rollcall_internal.apply('${A}', array[nextval('ids')::int], '{}', ${++writes}, ${
      writes === 1
    })`;
  await client.query("create sequence ids");
  await client.query(write());
  const endSnapshot = await holdSnapshot(it.url);
  const before = await pagesOf(client, write());
  await client.query(
    `do $$ begin
       perform set_config('synchronous_commit', 'off', false);
       for n in 1..2500 loop
         perform rollcall_internal.apply('${A}', array[nextval('ids')::int], '{}', ${++writes}, false);
         commit;
       end loop;
     end $$`,
  );
  const after = await pagesOf(client, write());
  await endSnapshot();
  await client.end();
  ok(after < before + 15, `${before} pages became ${after}`);
});

Deno.test("[L1] pruning reads hardly more than it deletes, also while a transaction elsewhere is open", async () => {
  await using it = await open();
  const client = new pg.Client({ connectionString: it.url });
  await client.connect();
  const prune = (rows: number) =>
    pagesOf(
      client,
      `select rollcall_internal.prune_feed(${rows}, 3600000, 10000)`,
    );
  await client.query(
    `insert into rollcall_internal.feed (seq, user_id, username, status)
     select n, 1, 'x', 'online' from generate_series(1, 30000) n`,
  );
  const kept = await prune(30_000);
  ok(kept < 50, `${kept} pages were read to delete nothing`);
  const endSnapshot = await holdSnapshot(it.url);
  await prune(10_000);
  const sql = "select min(seq)::int as first from rollcall_internal.feed";
  equal((await query(it.url, sql))[0].first, 20_001);
  const again = await prune(10_000);
  ok(again < 50, `${again} pages were read to delete nothing`);
  await endSnapshot();

  await client.query(
    `insert into rollcall_internal.revocations (id, user_id)
     select (extract(epoch from now()) * 1000000)::bigint + n, 1 from generate_series(-20000, 0) n`,
  );
  const revocations = await pagesOf(
    client,
    "select rollcall_internal.prune_revocations(3600000)",
  );
  ok(revocations < 50, `${revocations} pages were read to delete nothing`);
  await client.query("select rollcall_internal.prune_revocations(0)");
  equal((await it.store.readRevocations(0, 10)).length, 1);
  await client.end();
});
