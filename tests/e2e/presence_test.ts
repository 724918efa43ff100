/** The promises about presence, between a real server, real sockets and a real Postgres. */
import { deepEqual, equal, ok } from "node:assert/strict";
import pg from "pg";
import type { UserStatusBroadcast } from "../../src/client/protocol/messages.ts";
import { connect, open, type TestClient } from "../support/client.ts";
import { postgresForThisFile, query, statusOf } from "../support/database.ts";
import { v1Connected } from "../support/endpoints.ts";
import {
  alternates,
  broadcasts,
  listed,
  receivedFeed,
  recorded,
  transitionsOf,
} from "../support/roster.ts";
import { startServerOn } from "../support/server.ts";
import { until } from "../support/until.ts";

const postgres = postgresForThisFile();

Deno.test("[P1] a connection with a valid token stays open", async () => {
  await using server = await startServerOn(postgres.database());
  await using ada = await connect(server.url, 1);
  await using bob = await connect(server.url, 2);
  await ada.receives("user_online", 2);
  equal(ada.socket.readyState, WebSocket.OPEN);
  equal(bob.socket.readyState, WebSocket.OPEN);
});

Deno.test("[P2][P4] other users receive one user_online and one user_offline, the user receives nothing about itself", async () => {
  await using server = await startServerOn(postgres.database());
  await using ada = await connect(server.url, 1);
  await using bob = await connect(server.url, 2);
  await ada.receives("user_online", 2);
  const chen = await connect(server.url, 3);
  await ada.receives("user_online", 3);
  await bob.receives("user_online", 3);
  await chen.close();
  await ada.receives("user_offline", 3);
  await bob.receives("user_offline", 3);
  deepEqual(ada.messages, [
    { type: "user_online", userId: 2 },
    { type: "user_online", userId: 3 },
    { type: "user_offline", userId: 3 },
  ]);
  deepEqual(bob.messages, [
    { type: "user_online", userId: 3 },
    { type: "user_offline", userId: 3 },
  ]);
  deepEqual(chen.messages, []);
});

Deno.test("[P3] further connections of an online user send nothing to others, nor does closing one of several", async () => {
  await using server = await startServerOn(postgres.database());
  await using ada = await connect(server.url, 1);
  const bobs = [await connect(server.url, 2), await open(server.url, 2)];
  await ada.receives("user_online", 2);
  bobs.push(await open(server.url, 2));
  await v1Connected(server, 4);
  await bobs[0]?.close();
  await bobs[1]?.close();
  await v1Connected(server, 2);
  // A transition caused by the above would arrive before this one.
  await using _chen = await connect(server.url, 3);
  await ada.receives("user_online", 3);
  deepEqual(transitionsOf(ada, 2), ["user_online"]);
  await bobs[2]?.close();
  await ada.receives("user_offline", 2);
  deepEqual(transitionsOf(ada, 2), ["user_online", "user_offline"]);
});

Deno.test("[P5] nothing is sent or listed before it is committed", async () => {
  await using server = await startServerOn(postgres.database());
  const { databaseUrl } = server;
  await using ada = await connect(server.url, 1);
  // The last row that every write locks, so that bob's write is complete and not committed.
  const application = new pg.Client({ connectionString: databaseUrl });
  await application.connect();
  await application.query(
    "begin; select from rollcall_internal.counter for update",
  );

  await using _bob = await open(server.url, 2);
  await until("the write waits", async () => {
    const sql =
      "select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";
    return (await query(databaseUrl, sql)).length > 0;
  });
  await v1Connected(server, 2);
  equal(ada.messages.length, 0);
  await listed(server, [1]);
  equal(await statusOf(databaseUrl, 2), "offline");

  await application.query("rollback");
  await application.end();
  await ada.receives("user_online", 2);
  await listed(server, [1, 2]);
  equal(await statusOf(databaseUrl, 2), "online");
});

Deno.test("[P5] the database has a transition when the client receives it", async () => {
  await using server = await startServerOn(postgres.database());
  await using ada = await connect(server.url, 1);
  const seen: string[] = [];
  const reads: Promise<void>[] = [];
  ada.socket.addEventListener("message", ({ data }) => {
    const { type }: UserStatusBroadcast = JSON.parse(data);
    reads.push(
      statusOf(server.databaseUrl, 2).then((status) =>
        void seen.push(`${type} ${status}`)
      ),
    );
  });
  for (let round = 0; round < 20; round++) {
    const before = seen.length;
    const bob = await connect(server.url, 2);
    await until("bob's arrival was read", () => seen.length === before + 1);
    await bob.close();
    await until("bob's departure was read", () => seen.length === before + 2);
  }
  await Promise.all(reads);
  deepEqual([...new Set(seen)].sort(), [
    "user_offline offline",
    "user_online online",
  ]);
});

Deno.test("[P6] every connection receives the feed, in order, from its registration on", async () => {
  await using server = await startServerOn(postgres.database(30));
  const early = await Promise.all(
    [1, 2, 3].map((userId) => connect(server.url, userId)),
  );
  const others = Array.from({ length: 27 }, (_, index) => index + 4);
  const churn = async (userId: number) => {
    for (let round = 0; round < 8; round++) {
      await (await open(server.url, userId)).close();
    }
  };
  await Promise.all(others.map(churn));
  await v1Connected(server, 3);
  await using _last = await connect(server.url, 4);
  await listed(server, [1, 2, 3, 4]);

  const feed = await broadcasts(server.databaseUrl, [1, 2, 3]);
  ok(feed.length > 27, `the churn caused ${feed.length} transitions`);
  for (const client of early) {
    await receivedFeed(client, server.databaseUrl, [1, 2, 3]);
    for (const userId of others) alternates(transitionsOf(client, userId));
    await client.close();
  }
});

Deno.test("[P6] a thousand opens and closes of one user in quick succession end offline and alternate", async () => {
  await using server = await startServerOn(postgres.database(), {
    MAX_CONNECTIONS_PER_USER: "2000",
  });
  await using ada = await connect(server.url, 1);
  const bounce = async () => {
    for (let round = 0; round < 100; round++) {
      await (await open(server.url, 2)).close();
    }
  };
  await Promise.all(Array.from({ length: 10 }, bounce));
  await v1Connected(server, 1);
  await listed(server, [1]);
  await recorded(server.databaseUrl, [1]);
  await receivedFeed(ada, server.databaseUrl, [1]);
  alternates(transitionsOf(ada, 2));
  equal(transitionsOf(ada, 2).at(-1), "user_offline");
});

Deno.test("[P7] GET /users/online lists ids ascending, and [] when nobody is online", async () => {
  await using server = await startServerOn(postgres.database(40));
  const list = async () =>
    await (await fetch(`${server.url}users/online`)).text();
  equal(await list(), '{"online_users":[]}');
  const clients: TestClient[] = [];
  for (const userId of [33, 4, 20]) {
    clients.push(await connect(server.url, userId));
  }
  await listed(server, [4, 20, 33]);
  equal(
    await list(),
    '{"online_users":[{"id":4,"username":"user4"},{"id":20,"username":"user20"},{"id":33,"username":"user33"}]}',
  );
  for (const client of clients) await client.close();
  await listed(server, []);
  equal(await list(), '{"online_users":[]}');
});

Deno.test("[P8] a user who returns within the grace causes no transition and no write", async () => {
  const GRACE_MS = 2_000;
  await using server = await startServerOn(postgres.database(), {
    OFFLINE_GRACE_MS: String(GRACE_MS),
  });
  await using ada = await connect(server.url, 1);
  const bob = await connect(server.url, 2);
  await ada.receives("user_online", 2);
  const written = () =>
    query(
      server.databaseUrl,
      `select u.xmin::text, p.xmin::text as claim
         from users u join rollcall_internal.presence p on p.user_id = u.id where u.id = 2`,
    );
  const before = await written();
  await bob.close();
  await v1Connected(server, 1);
  const again = await open(server.url, 2);
  await v1Connected(server, 2);
  await using chen = await connect(server.url, 3);
  await ada.receives("user_online", 3);
  await chen.close();
  // Chen's grace began after bob's: when chen is offline, bob's has passed too.
  await ada.receives("user_offline", 3);
  deepEqual(transitionsOf(ada, 2), ["user_online"]);
  deepEqual(await written(), before);

  const closedAt = performance.now();
  await again.close();
  await ada.receives("user_offline", 2);
  ok(
    performance.now() - closedAt >= GRACE_MS - 10,
    "offline before the grace was over",
  );
  equal(await statusOf(server.databaseUrl, 2), "offline");
});
