/** The promises that a failing database must not break. */
import { deepEqual, equal } from "node:assert/strict";
import { connect, open, type TestClient } from "../support/client.ts";
import {
  endLease,
  nodeOf,
  postgresForThisFile,
  query,
  statusOf,
} from "../support/database.ts";
import { readiness, statusCode, v1Connected } from "../support/endpoints.ts";
import { startProxy } from "../support/proxy.ts";
import {
  alternates,
  broadcasts,
  listed,
  receivedFeed,
  recorded,
  transitionsOf,
} from "../support/roster.ts";
import { startServerOn, type TestServer } from "../support/server.ts";
import { connectSync } from "../support/sync_client.ts";
import { joinAsNode } from "../support/transitions.ts";
import { pause, until, untilEqual } from "../support/until.ts";

const postgres = postgresForThisFile();
const USERS = 30;

/** Users 2 to `USERS` connect and close until the signal; then those with even ids connect and stay. */
async function churn(
  server: TestServer,
  signal: AbortSignal,
): Promise<TestClient[]> {
  const perUser = Array.from({ length: USERS - 1 }, async (_, index) => {
    const userId = index + 2;
    while (!signal.aborted) {
      const client = await open(server.url, userId);
      await pause(20 + 7 * userId);
      await client.close();
    }
    return userId % 2 === 0 ? [await open(server.url, userId)] : [];
  });
  return (await Promise.all(perUser)).flat();
}

/**
 * Waits until the list, the database and each client agree that ada (1) and those who stayed
 * are online.
 */
async function agree(
  databaseUrl: string,
  server: TestServer,
  ada: TestClient,
  stayed: TestClient[],
) {
  const online = [
    1,
    ...Array.from({ length: USERS / 2 }, (_, index) => 2 * index + 2),
  ];
  equal(stayed.length, USERS / 2);
  // Until then the server may list a user for a connection that has just closed.
  await v1Connected(server, online.length);
  await listed(server, online);
  await recorded(databaseUrl, online);
  await receivedFeed(ada, databaseUrl, [1]);
  for (let userId = 2; userId <= USERS; userId++) {
    const last = userId % 2 === 0 ? "user_online" : "user_offline";
    equal(transitionsOf(ada, userId).at(-1), last, `the last of ${userId}`);
    alternates(transitionsOf(ada, userId));
  }
  for (const client of stayed) equal(client.socket.readyState, WebSocket.OPEN);
}
Deno.test("[C5] a database that goes away for 5 s under load and returns", async () => {
  const databaseUrl = await postgres.database(USERS);
  await using proxy = startProxy(databaseUrl);
  await using server = await startServerOn(proxy.url);
  await using ada = await connect(server.url, 1);
  const load = new AbortController();
  const churning = churn(server, load.signal);
  await until("the load is on", () => ada.messages.length > 20);

  proxy.set("refusing");
  const { error } = await until("the node is not ready", async () => {
    const answer = await readiness(server);
    return answer.status === 503 && answer;
  });
  equal(error?.code, "not_ready");
  await until("the failing heartbeat is reported", async () => {
    const { checks } = await readiness(server);
    return checks.database !== "ok";
  });
  await pause(5_000);
  // Only what is committed may be sent, so ada has the beginning of the feed.
  const received = [...ada.messages];
  const committed = await broadcasts(databaseUrl, [1]);
  deepEqual(received, committed.slice(0, received.length));
  const health = await fetch(`${server.url}healthz`);
  deepEqual([health.status, await health.json()], [200, { status: "ok" }]);
  proxy.set("open");

  await until(
    "ada receives new transitions",
    () => ada.messages.length > committed.length,
  );
  load.abort();
  const stayed = await churning;
  await agree(databaseUrl, server, ada, stayed);
  await until(
    "the node is ready",
    async () => await statusCode(`${server.url}readyz`) === 200,
  );
  for (const client of stayed) await client.close();
});

Deno.test("[C5] every database connection is terminated at once, again and again", async () => {
  await using server = await startServerOn(postgres.database(USERS));
  await using ada = await connect(server.url, 1);
  const load = new AbortController();
  const churning = churn(server, load.signal);
  for (let round = 0; round < 10; round++) {
    const before = ada.messages.length;
    await query(
      server.databaseUrl,
      `select pg_terminate_backend(pid) from pg_stat_activity
        where application_name = 'rollcall' and datname = current_database()`,
    );
    await until(
      "ada receives new transitions",
      () => ada.messages.length > before + 5,
    );
  }
  load.abort();
  const stayed = await churning;
  await agree(server.databaseUrl, server, ada, stayed);
  for (const client of stayed) await client.close();
});

Deno.test("[C3] the first node that starts puts right what a whole cluster that died left behind", async () => {
  const databaseUrl = await postgres.database();
  // The test ends this node's lease, however long the second node takes to start.
  await using first = await startServerOn(databaseUrl, { LEASE_MS: "600000" });
  const clients = [await connect(first.url, 1), await connect(first.url, 2)];
  await first.kill();
  for (const client of clients) await client.closed;
  equal(await statusOf(databaseUrl, 1), "online");
  const dead = await nodeOf(databaseUrl, 1);

  await using second = await startServerOn(databaseUrl, {
    HEARTBEAT_MS: "300",
  });
  await using ada = await connect(second.url, 1);
  await untilEqual("ada is claimed by both nodes", async () => {
    const sql =
      "select cardinality(nodes) as count from rollcall_internal.presence where user_id = 1";
    return (await query(databaseUrl, sql))[0].count;
  }, 2);
  await endLease(databaseUrl, dead);
  await ada.receives("user_offline", 2);
  await listed(second, [1]);
  await recorded(databaseUrl, [1]);
  // Ada was back before the lease ended, so nothing happened to her.
  deepEqual(await broadcasts(databaseUrl), [
    { type: "user_online", userId: 1 },
    { type: "user_online", userId: 2 },
    { type: "user_offline", userId: 2 },
  ]);
  deepEqual(ada.messages, [{ type: "user_offline", userId: 2 }]);
});

Deno.test("[C3] a node that starts takes nobody offline", async () => {
  await using first = await startServerOn(postgres.database());
  await using ada = await connect(first.url, 1);
  await using _bob = await connect(first.url, 2);
  await ada.receives("user_online", 2);
  await using second = await startServerOn(first.databaseUrl);
  await listed(second, [1, 2]);
  await using _chen = await connect(second.url, 3);
  await ada.receives("user_online", 3);
  deepEqual(ada.messages.map(({ userId, type }) => `${userId} ${type}`), [
    "2 user_online",
    "3 user_online",
  ]);
});

Deno.test("[P4] a user whose row is deleted while online goes offline for others and is closed with 1008", async () => {
  await using server = await startServerOn(postgres.database(), {
    HEARTBEAT_MS: "300",
  });
  const { databaseUrl } = server;
  await using ada = await connect(server.url, 1);
  await using bob = await connect(server.url, 2);
  await ada.receives("user_online", 2);
  await query(databaseUrl, "delete from users where id = 2");
  deepEqual(await bob.closed, { code: 1008, reason: "unknown user" });
  await ada.receives("user_offline", 2);
  await listed(server, [1]);
  await recorded(databaseUrl, [1]);
  deepEqual(transitionsOf(ada, 2), ["user_online", "user_offline"]);
});

for (const isLeaseLost of [false, true]) {
  const when = isLeaseLost ? "with the lease" : "under a lease that holds";
  Deno.test(`[C5] a claim that a database lost or restored ${when} is corrected, although there is no transition for it`, async () => {
    await using server = await startServerOn(postgres.database(20), {
      ...{ LEASE_MS: "3000", HEARTBEAT_MS: "500" },
    });
    const url = server.databaseUrl;
    await using node = await joinAsNode(url);
    await using ada = await connectSync(server.url, 1);
    const bob = await connect(server.url, 2);
    await using _chen = await connect(server.url, 3);
    await node.apply([2, 3], []);
    await ada.holds([1, 2, 3]);
    await bob.close();
    // Ada is connected to this node alone.
    const claimedHere = async () => {
      const rows = await query(
        url,
        `select claimed.user_id as id
           from rollcall_internal.presence ada join rollcall_internal.presence claimed on claimed.nodes && ada.nodes
          where ada.user_id = 1 order by 1`,
      );
      return rows.map(({ id }) => id).join();
    };
    await until(
      "this node has released bob",
      async () => await claimedHere() === "1,3",
    );
    const own = await nodeOf(url, 1);
    // The other database lacks two writes of this node: it released bob and claimed chen.
    await query(
      url,
      `update rollcall_internal.presence set nodes = array_append(nodes, '${own}') where user_id = 2;
       update rollcall_internal.presence set nodes = array_remove(nodes, '${own}') where user_id = 3`,
    );
    if (isLeaseLost) await endLease(url, await nodeOf(url, 1));
    else await cutLinks(url);
    await until(
      "the claims are corrected",
      async () => await claimedHere() === "1,3",
    );
    await node.apply([], [2, 3]);
    await ada.holds([1, 3]);
    await listed(server, [1, 3]);
    const snapshots = ada.messages.filter(({ type }) =>
      type === "presence_state"
    );
    equal(snapshots.length, 1);
  });
}

async function cutLinks(url: string): Promise<void> {
  await query(
    url,
    `select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid()`,
  );
}

Deno.test("[C5] a database that took over without the newest transitions: server, clients and database agree again", async () => {
  await using server = await startServerOn(postgres.database(20));
  const url = server.databaseUrl;
  await using node = await joinAsNode(url);
  await using ada = await connectSync(server.url, 1);
  const bob = await connect(server.url, 2);
  await using _chen = await connect(server.url, 3);
  await node.apply([10, 11], []);
  await ada.holds([1, 2, 3, 10, 11]);
  const tables = [
    "users",
    "rollcall_internal.feed",
    "rollcall_internal.counter",
  ]
    .concat("rollcall_internal.presence", "rollcall_internal.writes");
  for (const [index, table] of tables.entries()) {
    await query(url, `create table public.kept_${index} as table ${table}`);
  }
  // Sent to clients, and lost by the database: bob goes offline, emre comes online.
  await bob.close();
  await using _emre = await connect(server.url, 5);
  await ada.holds([1, 3, 5, 10, 11]);
  const lost = { since: ada.model.seq, known: ada.model.ids };
  await query(
    url,
    `do $$ begin
       set local session_replication_role = replica;
       ${
      tables.map((table, index) =>
        `delete from ${table}; insert into ${table} table public.kept_${index};`
      ).join("\n")
    }
     end $$`,
  );
  // As many transitions as were lost.
  await node.apply([12], [11]);
  await cutLinks(url);
  const online = [1, 3, 5, 10, 12];
  await ada.holds(online);
  await listed(server, online);
  await recorded(url, online);
  await until(
    "the loss is logged",
    () => server.log.some((line) => line.includes("lost transitions")),
  );
  await until(
    "ada has received a second snapshot",
    () =>
      ada.messages.some(({ type }, index) =>
        type === "presence_state" && index > 0
      ),
  );
  await ada.holds(online);
  // A client that was away knows a seq of a lost transition, from which no node can resume it.
  await using other = await startServerOn(url);
  for (const { url } of [server, other]) {
    await using chen = await connectSync(url, 3, lost);
    await chen.holds(online);
    equal(chen.messages[0]?.type, "presence_state");
  }
});
