/** What an operator sees of the cluster and its database. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import pg from "pg";
import { migrateDatabase } from "../../src/postgres/migrate.ts";
import { PostgresStore } from "../../src/postgres/postgres_store.ts";
import {
  postgresForThisFile,
  query,
  silentLog,
  uniqueName,
} from "../support/database.ts";

const postgres = postgresForThisFile();
const A = "00000000-0000-4000-8000-000000000001";
const LEASE_MS = 60_000;

async function open(url: string) {
  const store = new PostgresStore(url, silentLog);
  await store.join(A, LEASE_MS);
  return { store, [Symbol.asyncDispose]: () => store.close() };
}

/** A connection in a transaction that has a snapshot. */
async function holdSnapshot(url: string, name: string) {
  const client = new pg.Client({
    connectionString: url,
    application_name: name,
  });
  await client.connect();
  await client.query("begin isolation level repeatable read; select 1");
  return { [Symbol.asyncDispose]: () => client.end() };
}

Deno.test("a node's row has its machine and process, and what it last reported", async () => {
  await using it = await open(await postgres.database());
  it.store.overview.report = () => ({ connections: 7, isCordoned: true });
  await it.store.heartbeat(A, LEASE_MS);
  const [node, ...others] = await it.store.overview.nodes();
  deepEqual(others, []);
  ok(node !== undefined);
  const { leaseSeconds, joinedAt, ...rest } = node;
  deepEqual(rest, {
    ...{ id: A, host: Deno.hostname(), pid: Deno.pid },
    ...{ connections: 7, isCordoned: true, isLeaving: false },
  });
  ok(leaseSeconds > 30 && leaseSeconds <= 60);
  ok(Math.abs(Date.now() - joinedAt.getTime()) < 60_000);
});

Deno.test("a user is found with the nodes that hold a connection", async () => {
  await using it = await open(await postgres.database());
  const { overview } = it.store;
  equal(await overview.user(1), undefined);
  await it.store.apply(A, [1], []);
  const user = await overview.user(1);
  deepEqual([user?.username, user?.nodes], ["user1", [A]]);
  ok(user?.changedAt instanceof Date);
  await it.store.apply(A, [], [1]);
  deepEqual((await overview.user(1))?.nodes, []);
});

Deno.test("copies that are due are counted", async () => {
  const url = await postgres.database();
  await using it = await open(url);
  await it.store.apply(A, [1, 2, 3], []);
  equal((await it.store.overview.database()).copiesDue, 0);
  await query(
    url,
    "update rollcall_internal.presence set copy_due = true where user_id < 3",
  );
  equal((await it.store.overview.database()).copiesDue, 2);
});

Deno.test("a role without rights on others sees that they hold snapshots, and not since when", async () => {
  const owner = await postgres.emptyDatabase();
  const role = uniqueName("rollcall");
  const url = new URL(owner);
  [url.username, url.password] = [role, "secret"];
  await query(
    owner,
    `create role ${role} login password 'secret';
     grant create on database ${url.pathname.slice(1)} to ${role};
     grant create on schema public to ${role}`,
  );
  await migrateDatabase(url.href);
  await using it = await open(url.href);
  const { overview } = it.store;
  deepEqual((await overview.database()).snapshots, []);
  await using _dump = await holdSnapshot(owner, "pg_dump");
  await using _own = await holdSnapshot(url.href, "report");
  await it.store.apply(A, [], []);
  const seen = async () =>
    (await overview.database()).snapshots.toSorted((a, b) =>
      a.holder.includes("pg_dump") ? -1 : Number(b.holder.includes("pg_dump"))
    );
  const [dump, report] = await seen();
  match(dump?.holder ?? "", /^process \d+ of \w+ \(pg_dump\)$/);
  equal(dump?.seconds, null);
  match(report?.holder ?? "", /^process \d+ of \w+ \(report\)$/);
  ok((report?.seconds ?? -1) >= 0);
  // Whatever is written meanwhile, it stays the same snapshot.
  await it.store.heartbeat(A, LEASE_MS);
  deepEqual((await seen()).map(({ sees }) => sees), [
    dump?.sees,
    report?.sees,
  ]);
});
