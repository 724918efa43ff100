/** What clients notice of what an application does to its own tables: nothing, or what it means. */
import { deepEqual, equal, ok } from "node:assert/strict";
import pg from "pg";
import { connect, open, type TestClient } from "../support/client.ts";
import {
  postgresForThisFile,
  query,
  renewals,
  statusOf,
} from "../support/database.ts";
import { v1Connected } from "../support/endpoints.ts";
import { listed, recorded, transitionsOf } from "../support/roster.ts";
import { type DatabaseServer, startServerOn } from "../support/server.ts";
import { untilEqual } from "../support/until.ts";

const postgres = postgresForThisFile();
/** No user waits longer for the application. Far above what is needed, for a busy machine. */
const DELAY_MAX_MS = 3_000;

/** A server with users 1 and 2 connected, and 3 seen before. */
async function start() {
  await using stack = new AsyncDisposableStack();
  const server = stack.use(
    await startServerOn(postgres.database(), { HEARTBEAT_MS: "300" }),
  );
  const ada = stack.use(await connect(server.url, 1));
  const bob = stack.use(await connect(server.url, 2));
  const chen = await connect(server.url, 3);
  await chen.close();
  await ada.receives("user_offline", 3);
  const cleanup = stack.move();
  return {
    ...{ server, ada, bob, url: server.databaseUrl },
    run: (sql: string) => query(server.databaseUrl, sql),
    /** What ada received since `start`. */
    received: () =>
      ada.messages.slice(3).map(({ type, userId }) => `${type} ${userId}`),
    [Symbol.asyncDispose]: () => cleanup[Symbol.asyncDispose](),
  };
}

/** Connects a user, who must be online for others soon. */
async function connectSoon(
  server: DatabaseServer,
  witness: TestClient,
  userId: number,
): Promise<TestClient> {
  const before = transitionsOf(witness, userId).length;
  const startedAt = performance.now();
  const client = await open(server.url, userId);
  await untilEqual(
    `user ${userId} is online for others`,
    () => transitionsOf(witness, userId).slice(before),
    ["user_online"],
  );
  const ms = performance.now() - startedAt;
  ok(ms < DELAY_MAX_MS, `user ${userId} came online after ${ms.toFixed(0)} ms`);
  return client;
}

/** An open transaction of the application. */
async function openTransaction(url: string, ...statements: string[]) {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query("begin");
  for (const sql of statements) await client.query(sql);
  return {
    commit: () => client.query("commit"),
    [Symbol.asyncDispose]: async () => {
      await client.query("rollback");
      await client.end();
    },
  };
}

Deno.test("[U1] a row that is locked for long delays nobody, and its copy is written when it is free", async () => {
  await using it = await start();
  await using application = await openTransaction(
    it.url,
    "select from users where id in (2, 4) for update",
  );
  await using _dora = await connectSoon(it.server, it.ada, 4);
  await using _chen = await connectSoon(it.server, it.ada, 3);
  await it.bob.close();
  await it.ada.receives("user_offline", 2);
  await listed(it.server, [1, 3, 4]);
  await renewals(it.url, 3);
  equal(await statusOf(it.url, 4), "offline");
  equal(await statusOf(it.url, 2), "online");
  await application.commit();
  await recorded(it.url, [1, 3, 4]);
  deepEqual(it.received(), [
    "user_online 4",
    "user_online 3",
    "user_offline 2",
  ]);
});

Deno.test("[U1] while a transaction holds the whole table, known users come and go, and others come in when it ends", async () => {
  await using it = await start();
  await using application = await openTransaction(
    it.url,
    "lock table users in access exclusive mode",
  );
  await using _chen = await connectSoon(it.server, it.ada, 3);
  await using dora = await open(it.server.url, 4);
  await v1Connected(it.server, 4);
  await it.bob.close();
  await it.ada.receives("user_offline", 2);
  await using _bob = await connectSoon(it.server, it.ada, 2);
  await renewals(it.url, 3);
  await listed(it.server, [1, 2, 3]);
  equal(dora.socket.readyState, WebSocket.OPEN);
  equal(dora.messages.length, 0);
  await application.commit();
  await it.ada.receives("user_online", 4);
  await recorded(it.url, [1, 2, 3, 4]);
  deepEqual(it.received(), [
    ...["user_online 3", "user_offline 2", "user_online 2", "user_online 4"],
  ]);
});

const DEFINITION =
  "(id integer primary key, username text not null, status text not null default 'offline')";
const FILL =
  "insert into public.users (id, username) select n, 'user' || n from generate_series(1, 10) n";

const CHANGES: Record<string, string> = {
  "the id becomes a bigint": "alter table users alter column id type bigint",
  "the table is dropped and created again":
    `begin; drop table users; create table users ${DEFINITION}; ${FILL}; commit`,
  "the schema is dropped and created again":
    `begin; drop schema public cascade; create schema public; create table public.users ${DEFINITION}; ${FILL}; commit`,
  "the table is truncated and filled again":
    `begin; truncate users; ${FILL}; commit`,
  "all rows are deleted and inserted again":
    `begin; delete from users; ${FILL}; commit`,
  "an ORM saves whole rows with an old status":
    "update users set username = username, status = 'offline' where id in (1, 2); update users set status = 'online' where id = 5",
  "a trigger refuses every copy": `
    create function refuse() returns trigger language plpgsql as $$ begin raise exception 'no'; end $$;
    create trigger refuse before update on users for each row execute function refuse()`,
};

for (const [what, sql] of Object.entries(CHANGES)) {
  Deno.test(`[U1] when ${what} nobody is notified, and users come and go as before`, async () => {
    await using it = await start();
    await it.run(sql);
    await renewals(it.url, 4);
    await using _chen = await connectSoon(it.server, it.ada, 3);
    await using _dora = await connectSoon(it.server, it.ada, 4);
    await it.bob.close();
    await it.ada.receives("user_offline", 2);
    await listed(it.server, [1, 3, 4]);
    if (sql.includes("refuse()")) await it.run("drop trigger refuse on users");
    await recorded(it.url, [1, 3, 4]);
    deepEqual(it.received(), [
      "user_online 3",
      "user_online 4",
      "user_offline 2",
    ]);
  });
}

const DELETIONS: Record<string, string> = {
  "TRUNCATE": "truncate users",
  "a subscriber of logical replication":
    "set session_replication_role = replica; delete from users",
  "a DELETE while triggers are disabled":
    "alter table users disable trigger all; delete from users; alter table users enable trigger all",
};

for (const [what, sql] of Object.entries(DELETIONS)) {
  Deno.test(`[U1][P4] users whom ${what} deletes go offline once, and their sockets are closed with 1008`, async () => {
    await using it = await start();
    await it.run(sql);
    const closed = { code: 1008, reason: "unknown user" };
    deepEqual(await it.ada.closed, closed);
    deepEqual(await it.bob.closed, closed);
    await listed(it.server, []);
    const offline = await it.run(
      "select user_id as id from rollcall_internal.feed where status = 'offline' order by seq",
    );
    // Chen left before.
    deepEqual(offline.map(({ id }) => id).sort(), [1, 2, 3]);
    await using emre = await open(it.server.url, 5);
    deepEqual(await emre.closed, closed);
  });
}
