/** The SQL functions with writes that arrive late, unusual settings and many rows. */
import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import { PostgresStore } from "../../src/postgres/postgres_store.ts";
import { postgresForThisFile, query, statusOf } from "../support/database.ts";
import { rememberingLog } from "../support/fakes.ts";
import { until } from "../support/until.ts";

const postgres = postgresForThisFile();
const A = "00000000-0000-4000-8000-000000000001";
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
  const sql = "select * from rollcall_internal.apply($1, $2, $3, $4)";
  await query(it.url, sql, [A, [], [1], 2]);
  await rejects(query(it.url, sql, [A, [1], [], 1]), /was overtaken/);
  deepEqual(await it.claims(), []);
  await query(it.url, sql, [A, [1], [], 3]);
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
  const B = "00000000-0000-4000-8000-000000000002";
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
     select n, 1, 'x', 'online', now() - interval '2 days' from generate_series(1, 25000) n;
     update rollcall_internal.counter set seq = 25000`,
  );
  await it.store.sweep(A);
  await until("the feed is empty", async () => {
    const sql = "select count(*)::int as rows from rollcall_internal.feed";
    return (await query(it.url, sql))[0].rows === 0;
  });
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
