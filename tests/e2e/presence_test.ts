/** The promises about presence, between a real server, real sockets and a real Postgres. */
import { deepEqual, equal, ok } from "node:assert/strict";
import pg from "pg";
import type { UserStatusBroadcast } from "../../src/protocol/messages.ts";
import { connect, open, type TestClient } from "../support/client.ts";
import { postgresForThisFile, query, statusOf } from "../support/database.ts";
import { startServerOn } from "../support/server.ts";
import { alternates, heardOf, listed } from "../support/roster.ts";
import { until } from "../support/until.ts";

const postgres = postgresForThisFile();

Deno.test("[P1] a connection with a valid token stays open", async () => {
  await using server = await startServerOn(await postgres.database());
  await using ada = await connect(server.url, 1);
  await using bob = await connect(server.url, 2);
  await ada.hears("user_online", 2);
  equal(ada.socket.readyState, WebSocket.OPEN);
  equal(bob.socket.readyState, WebSocket.OPEN);
});

Deno.test("[P2][P4] others hear one user_online and one user_offline, the user hears nothing of itself", async () => {
  await using server = await startServerOn(await postgres.database());
  await using ada = await connect(server.url, 1);
  await listed(server, [1]);
  await using bob = await connect(server.url, 2);
  await ada.hears("user_online", 2);
  const chen = await connect(server.url, 3);
  await ada.hears("user_online", 3);
  await bob.hears("user_online", 3);
  await chen.close();
  await ada.hears("user_offline", 3);
  await bob.hears("user_offline", 3);
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

Deno.test("[P3] further connections announce nothing, nor does closing one of several", async () => {
  await using server = await startServerOn(await postgres.database());
  await using ada = await connect(server.url, 1);
  const bobs = [await connect(server.url, 2), await connect(server.url, 2)];
  await ada.hears("user_online", 2);
  bobs.push(await connect(server.url, 2));
  await bobs[0]?.close();
  await bobs[1]?.close();
  // Whatever the above had announced would be heard before this.
  await using _chen = await connect(server.url, 3);
  await ada.hears("user_online", 3);
  deepEqual(heardOf(ada, 2), ["user_online"]);
  await bobs[2]?.close();
  await ada.hears("user_offline", 2);
  deepEqual(heardOf(ada, 2), ["user_online", "user_offline"]);
});

Deno.test("[P5] nothing is announced before it is committed", async () => {
  const url = await postgres.database();
  await using server = await startServerOn(url);
  await using ada = await connect(server.url, 1);
  const application = new pg.Client({ connectionString: url });
  await application.connect();
  await application.query("begin; select from users where id = 2 for update");

  await using _bob = await open(server.url, 2);
  // Bob's row is locked, so his status cannot be written. Others are not held up by that.
  await using _chen = await connect(server.url, 3);
  await ada.hears("user_online", 3);
  deepEqual(heardOf(ada, 2), []);
  equal(await statusOf(url, 2), "offline");

  await application.query("rollback");
  await application.end();
  await ada.hears("user_online", 2);
  equal(await statusOf(url, 2), "online");
});

Deno.test("[P5] whoever hears a transition finds it in the database", async () => {
  const url = await postgres.database();
  await using server = await startServerOn(url);
  await using ada = await connect(server.url, 1);
  const seen: string[] = [];
  const reads: Promise<void>[] = [];
  ada.socket.addEventListener("message", ({ data }) => {
    const { type }: UserStatusBroadcast = JSON.parse(data);
    reads.push(
      statusOf(url, 2).then((status) => void seen.push(`${type} ${status}`)),
    );
  });
  for (let round = 0; round < 20; round++) {
    const before = seen.length;
    const bob = await connect(server.url, 2);
    await until("his coming was read", () => seen.length === before + 1);
    await bob.close();
    await until("his going was read", () => seen.length === before + 2);
  }
  await Promise.all(reads);
  deepEqual([...new Set(seen)].sort(), [
    "user_offline offline",
    "user_online online",
  ]);
});

Deno.test("[P6] every connection hears the feed, in order, from its registration on", async () => {
  const url = await postgres.database(30);
  await using server = await startServerOn(url);
  const early = await Promise.all(
    [1, 2, 3].map((userId) => connect(server.url, userId)),
  );
  await listed(server, [1, 2, 3]);
  const others = Array.from({ length: 27 }, (_, index) => index + 4);
  const churn = async (userId: number) => {
    for (let round = 0; round < 8; round++) {
      await (await open(server.url, userId)).close();
    }
  };
  await Promise.all(others.map(churn));
  await using _last = await connect(server.url, 4);
  await listed(server, [1, 2, 3, 4]);

  const feed = await query(
    url,
    "select user_id, status from rollcall_internal.feed where user_id > 3 order by seq",
  );
  const wanted = feed.map((row) => ({
    type: `user_${row.status}`,
    userId: row.user_id,
  }));
  ok(wanted.length > 27, `the churn caused ${wanted.length} transitions`);
  for (const client of early) {
    await until("all is heard", () => client.messages.length >= wanted.length);
    deepEqual(client.messages.filter(({ userId }) => userId > 3), wanted);
    for (const userId of others) alternates(heardOf(client, userId));
    await client.close();
  }
});

Deno.test("[P6] a thousand opens and closes of one user within a second end right and alternate", async () => {
  const url = await postgres.database();
  await using server = await startServerOn(url, {
    MAX_CONNECTIONS_PER_USER: "2000",
  });
  await using ada = await connect(server.url, 1);
  const bounce = async () => {
    for (let round = 0; round < 100; round++) {
      await (await open(server.url, 2)).close();
    }
  };
  await Promise.all(Array.from({ length: 10 }, bounce));
  await listed(server, [1]);
  equal(await statusOf(url, 2), "offline");
  const [{ count }] = await query(
    url,
    "select count(*)::int from rollcall_internal.feed where user_id = 2",
  );
  await until("all is heard", () => heardOf(ada, 2).length === count);
  alternates(heardOf(ada, 2));
  equal(heardOf(ada, 2).at(-1), "user_offline");
});

Deno.test("[P7] GET /users/online lists ids ascending, and is [] when nobody is there", async () => {
  await using server = await startServerOn(await postgres.database(40));
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
  const url = await postgres.database();
  await using server = await startServerOn(url, { OFFLINE_GRACE_MS: "1000" });
  await using ada = await connect(server.url, 1);
  const bob = await connect(server.url, 2);
  await ada.hears("user_online", 2);
  const written = () =>
    query(
      url,
      `select u.xmin::text, c.xmin::text as claim, (select seq from rollcall_internal.counter)
         from users u join rollcall_internal.claims c on c.user_id = u.id where u.id = 2`,
    );
  const before = await written();
  await bob.close();
  const again = await connect(server.url, 2);
  await using chen = await connect(server.url, 3);
  await ada.hears("user_online", 3);
  await chen.close();
  // Chen's grace began after Bob's: once Chen is announced, Bob's has passed too.
  await ada.hears("user_offline", 3);
  deepEqual(heardOf(ada, 2), ["user_online"]);
  const [{ seq: _seq, ...after }] = await written();
  const [{ seq: _, ...first }] = before;
  deepEqual(after, first);

  const closedAt = performance.now();
  await again.close();
  await ada.hears("user_offline", 2);
  ok(
    performance.now() - closedAt >= 990,
    "announced before the grace was over",
  );
  equal(await statusOf(url, 2), "offline");
});
