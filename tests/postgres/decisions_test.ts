/** The SQL functions with tables that reject updates, writes that arrive late, and unusual settings. */
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

async function open() {
  const url = await postgres.database(5);
  const log = rememberingLog();
  const store = new PostgresStore(url, log);
  return {
    ...{ url, store, log },
    claims: async () => {
      const sql =
        "select user_id as id from rollcall_internal.claims order by 1";
      return (await query(url, sql)).map(({ id }) => id);
    },
    /** Makes a row reject every update from now on. */
    rejectUpdates: (userId: number) =>
      query(
        url,
        `create function no() returns trigger language plpgsql as
           $$ begin raise exception 'not this one'; end $$;
         create trigger no before update on users
           for each row when (old.id = ${userId}) execute function no()`,
      ),
    [Symbol.asyncDispose]: () => store.close(),
  };
}

Deno.test("[C5] a write that arrives after a later write of the same node changes nothing", async () => {
  await using it = await open();
  await it.store.join(A, LEASE_MS);
  const sql = "select * from rollcall_internal.apply($1, $2, $3, $4)";
  await query(it.url, sql, [A, [], [1], 2]);
  await rejects(query(it.url, sql, [A, [1], [], 1]), /was superseded/);
  deepEqual(await it.claims(), []);
  await query(it.url, sql, [A, [1], [], 3]);
  deepEqual(await it.claims(), [1]);
});

Deno.test("[P2] a row that rejects its update makes its user busy, and delays no other user", async () => {
  await using it = await open();
  await it.store.join(A, LEASE_MS);
  await it.rejectUpdates(2);
  const applied = await it.store.apply(A, [1, 2, 3], []);
  deepEqual(applied.transitions.map(({ userId }) => userId), [1, 3]);
  deepEqual(applied.busy, [2]);
  deepEqual(await it.claims(), [1, 3]);
  deepEqual(it.log.events, ["warn: the database warns"]);
  await query(it.url, "drop trigger no on users");
  const again = await it.store.apply(A, [2], [1]);
  deepEqual(again.transitions.map(({ userId }) => userId), [1, 2]);
});

Deno.test("[C2] a row that rejects its update costs no node its lease, and keeps no other user online", async () => {
  await using it = await open();
  await it.store.join(A, LEASE_MS);
  await it.store.join(B, LEASE_MS);
  await it.store.apply(A, [1, 2, 3], []);
  await it.rejectUpdates(2);
  await query(
    it.url,
    "update rollcall_internal.nodes set expires_at = clock_timestamp() where id = $1",
    [A],
  );
  const transitions = await it.store.sweep();
  deepEqual(transitions.map(({ userId }) => userId), [1, 3]);
  await it.store.heartbeat(B, LEASE_MS);
  deepEqual(await it.claims(), [2]);
  await query(it.url, "drop trigger no on users");
  deepEqual((await it.store.sweep()).map(({ userId }) => userId), [2]);
  deepEqual(await it.claims(), []);
});

Deno.test("[C7] the last node leaves although the application locks a row, and the next node sets that user offline", async () => {
  await using it = await open();
  await it.store.join(A, LEASE_MS);
  await it.store.apply(A, [1, 2, 3], []);
  const application = new pg.Client({ connectionString: it.url });
  await application.connect();
  await application.query("begin; select from users where id = 2 for update");
  await it.store.leave(A, 0);
  equal(await statusOf(it.url, 1), "offline");
  equal(await statusOf(it.url, 3), "offline");
  await application.end();
  equal(await statusOf(it.url, 2), "online");
  await it.store.join(B, LEASE_MS);
  equal(await statusOf(it.url, 2), "offline");
  deepEqual(await it.claims(), []);
});

Deno.test("[P4] truncating users sets every online user offline", async () => {
  await using it = await open();
  await it.store.join(A, LEASE_MS);
  await it.store.apply(A, [1, 2], []);
  await query(it.url, "truncate users");
  const transitions = await it.store.sweep();
  deepEqual(transitions.map(({ userId, status }) => `${userId} ${status}`), [
    "1 offline",
    "2 offline",
  ]);
  deepEqual((await it.store.apply(A, [1], [])).unknown, [1]);
});

Deno.test("[P4] a changed id sets the old user offline, and the new one comes online like any other", async () => {
  await using it = await open();
  await it.store.join(A, LEASE_MS);
  await it.store.apply(A, [1, 2], []);
  await query(it.url, "update users set id = 99 where id = 2");
  equal(await statusOf(it.url, 99), "offline");
  const [offline] = await it.store.sweep();
  deepEqual([offline?.userId, offline?.status], [2, "offline"]);
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
  await it.store.join(A, LEASE_MS);
  await query(
    it.url,
    `create function level() returns trigger language plpgsql as
       $$ begin new.username := current_setting('transaction_isolation'); return new; end $$;
     create trigger level before update on users for each row execute function level()`,
  );
  await it.store.apply(A, [1], []);
  const [row] = await query(it.url, "select username from users where id = 1");
  equal(row.username, "read committed");
});

Deno.test("[L1] one sweep prunes the feed to its bounds, however long it is", async () => {
  await using it = await open();
  await it.store.join(A, LEASE_MS);
  await query(
    it.url,
    `insert into rollcall_internal.feed (seq, user_id, username, status, at)
     select n, 1, 'x', 'online', now() - interval '2 days' from generate_series(1, 25000) n;
     update rollcall_internal.counter set seq = 25000`,
  );
  await it.store.sweep();
  await until("the feed is empty", async () => {
    const sql = "select count(*)::int as rows from rollcall_internal.feed";
    return (await query(it.url, sql))[0].rows === 0;
  });
});

Deno.test("[P2] a trigger that suppresses an update makes the user busy, and adds nothing to the feed", async () => {
  await using it = await open();
  await it.store.join(A, LEASE_MS);
  await query(
    it.url,
    `create function keep() returns trigger language plpgsql as
       $$ begin return null; end $$;
     create trigger keep before update on users
       for each row when (old.id = 2) execute function keep()`,
  );
  const applied = await it.store.apply(A, [1, 2, 3], []);
  deepEqual(applied.transitions.map(({ userId }) => userId), [1, 3]);
  deepEqual(applied.busy, [2]);
  deepEqual(await it.claims(), [1, 3]);
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
      `select sum(n_tup_upd)::int as updated,
              sum(coalesce(idx_tup_fetch, 0) + coalesce(seq_tup_read, 0))::int as fetched,
              (select sum(idx_tup_read)::int from pg_stat_user_indexes
                where relname in ('users', 'claims')) as found
         from pg_stat_user_tables where relname in ('users', 'claims')`,
    );
    return row?.updated === 2 * users && row.fetched + row.found;
  });
  const each = reads / (2 * users);
  ok(each < 15, `${each} rows were read for each transition`);
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
