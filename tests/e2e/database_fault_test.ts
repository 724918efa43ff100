/** The promises that a failing database must not break. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { connect, open, type TestClient } from "../support/client.ts";
import {
  postgresForThisFile,
  query,
  statusOf,
  uniqueName,
} from "../support/database.ts";
import { startProxy } from "../support/proxy.ts";
import { alternates, heardOf, listed } from "../support/roster.ts";
import {
  runFile,
  startServerOn,
  TEST_SECRET,
  type TestServer,
} from "../support/server.ts";
import { connectSync } from "../support/sync_client.ts";
import { playNode } from "../support/transitions.ts";
import { until } from "../support/until.ts";

const postgres = postgresForThisFile();
const USERS = 30;

/** Users 2 to `USERS` come and go until told to stop; then those with even ids come and stay. */
async function churn(
  server: TestServer,
  signal: AbortSignal,
): Promise<TestClient[]> {
  const perUser = Array.from({ length: USERS - 1 }, async (_, index) => {
    const userId = index + 2;
    while (!signal.aborted) {
      const client = await open(server.url, userId);
      await new Promise((resolve) => setTimeout(resolve, 20 + 7 * userId));
      await client.close();
    }
    return userId % 2 === 0 ? [await open(server.url, userId)] : [];
  });
  return (await Promise.all(perUser)).flat();
}

/** What everybody believes once it is quiet: the list, the database, and each client. */
async function agrees(
  url: string,
  server: TestServer,
  ada: TestClient,
  stayed: TestClient[],
) {
  const online = [
    1,
    ...Array.from({ length: USERS / 2 }, (_, index) => 2 * index + 2),
  ];
  equal(stayed.length, USERS / 2);
  await listed(server, online, 20_000);
  const rows = await query(
    url,
    "select id from users where status = 'online' order by id",
  );
  deepEqual(rows.map(({ id }) => id), online);
  const claims = await query(
    url,
    "select distinct user_id from rollcall_internal.claims order by 1",
  );
  deepEqual(claims.map(({ user_id }) => user_id), online);
  for (let userId = 2; userId <= USERS; userId++) {
    const last = userId % 2 === 0 ? "user_online" : "user_offline";
    await until(
      `ada last heard ${last} of ${userId}`,
      () => heardOf(ada, userId).at(-1) === last,
    );
    alternates(heardOf(ada, userId));
  }
  for (const client of stayed) equal(client.socket.readyState, WebSocket.OPEN);
}

Deno.test("[C5] a database that goes away for 5 s under load and returns", async () => {
  const url = await postgres.database(USERS);
  await using proxy = startProxy(url);
  await using server = await startServerOn(proxy.url);
  await using ada = await connect(server.url, 1);
  const load = new AbortController();
  const churning = churn(server, load.signal);
  await until("the load is on", () => ada.messages.length > 20);

  proxy.set("refusing");
  const notReady = await until("the node is not ready", async () => {
    const response = await fetch(`${server.url}readyz`);
    const body = await response.json();
    return response.status === 503 && body;
  });
  equal(notReady.error.code, "not_ready");
  await until("the failing heartbeat is reported", async () => {
    const { checks } = await (await fetch(`${server.url}readyz`)).json();
    return checks.database !== "ok";
  });
  let heard = -1;
  await until("what was committed before is announced", async () => {
    const before = ada.messages.length;
    await new Promise((resolve) => setTimeout(resolve, 250));
    heard = ada.messages.length;
    return heard === before;
  });
  await new Promise((resolve) => setTimeout(resolve, 5_000));
  equal(
    ada.messages.length,
    heard,
    "something was announced that cannot have been committed",
  );
  const health = await fetch(`${server.url}healthz`);
  deepEqual([health.status, await health.json()], [200, { status: "ok" }]);
  proxy.set("open");

  await until("announcements go on", () => ada.messages.length > heard);
  load.abort();
  const stayed = await churning;
  await agrees(url, server, ada, stayed);
  await until("the node is ready", async () => {
    const response = await fetch(`${server.url}readyz`);
    await response.body?.cancel();
    return response.status === 200;
  });
  for (const client of stayed) await client.close();
});

Deno.test("[C5] an outage longer than the lease: fenced, claimed anew, nobody flaps", async () => {
  const url = await postgres.database();
  await using proxy = startProxy(url);
  await using server = await startServerOn(proxy.url, {
    LEASE_MS: "1000",
    HEARTBEAT_MS: "300",
  });
  await using ada = await connect(server.url, 1);
  await using bob = await connect(server.url, 2);
  const chen = await connect(server.url, 3);
  await listed(server, [1, 2, 3]);
  const [before] = await query(url, "select id from rollcall_internal.nodes");

  proxy.set("refusing");
  await until("the lease has ended", async () => {
    const [{ ended }] = await query(
      url,
      "select expires_at < now() as ended from rollcall_internal.nodes",
    );
    return ended;
  });
  await chen.close();
  proxy.set("open");

  await ada.hears("user_offline", 3);
  await bob.hears("user_offline", 3);
  deepEqual(heardOf(ada, 2).filter((type) => type === "user_offline"), []);
  deepEqual(heardOf(bob, 1).filter((type) => type === "user_offline"), []);
  const nodes = await query(url, "select id from rollcall_internal.nodes");
  equal(nodes.length, 1);
  ok(nodes[0].id !== before.id, "the node has a new id");
  await listed(server, [1, 2]);
});

Deno.test("[C5] every database connection terminated at once, again and again", async () => {
  const url = await postgres.database(USERS);
  await using server = await startServerOn(url);
  await using ada = await connect(server.url, 1);
  const load = new AbortController();
  const churning = churn(server, load.signal);
  for (let round = 0; round < 10; round++) {
    const heard = ada.messages.length;
    await query(
      url,
      `select pg_terminate_backend(pid) from pg_stat_activity
        where application_name = 'rollcall' and datname = current_database()`,
    );
    await until("announcements go on", () => ada.messages.length > heard + 5);
  }
  load.abort();
  const stayed = await churning;
  await agrees(url, server, ada, stayed);
  for (const client of stayed) await client.close();
});

Deno.test("[C3] what a whole cluster that died left behind is put right by the first node", async () => {
  const url = await postgres.database();
  const first = await startServerOn(url, {
    LEASE_MS: "1000",
    HEARTBEAT_MS: "300",
  });
  const clients = [await connect(first.url, 1), await connect(first.url, 2)];
  await listed(first, [1, 2]);
  await first.kill();
  for (const client of clients) await client.closed;
  equal(await statusOf(url, 1), "online");

  await using second = await startServerOn(url, {
    LEASE_MS: "1000",
    HEARTBEAT_MS: "300",
  });
  await using ada = await connect(second.url, 1);
  await until(
    "the other is offline",
    async () => await statusOf(url, 2) === "offline",
  );
  await listed(second, [1]);
  // Ada was back before her old lease ended, so nothing happened to her.
  const rows = await query(
    url,
    "select user_id, status from rollcall_internal.feed order by seq",
  );
  deepEqual(rows.map((row) => `${row.user_id} ${row.status}`), [
    "1 online",
    "2 online",
    "2 offline",
  ]);
  equal(ada.messages.length, 1);
  await first[Symbol.asyncDispose]();
});

Deno.test("[C3] starting a node resets nobody", async () => {
  const url = await postgres.database();
  await using first = await startServerOn(url);
  await using ada = await connect(first.url, 1);
  await using _bob = await connect(first.url, 2);
  await ada.hears("user_online", 2);
  await using second = await startServerOn(url);
  await listed(second, [1, 2]);
  await using _chen = await connect(second.url, 3);
  await ada.hears("user_online", 3);
  deepEqual(ada.messages.map(({ userId, type }) => `${userId} ${type}`), [
    "2 user_online",
    "3 user_online",
  ]);
});

Deno.test("[P4] a user whose row is deleted while online is told offline, closed with 1008, and gone", async () => {
  const url = await postgres.database();
  await using server = await startServerOn(url, { HEARTBEAT_MS: "300" });
  await using ada = await connect(server.url, 1);
  await using bob = await connect(server.url, 2);
  await ada.hears("user_online", 2);
  await query(url, "delete from users where id = 2");
  deepEqual(await bob.closed, { code: 1008, reason: "unknown user" });
  await ada.hears("user_offline", 2);
  await listed(server, [1]);
  deepEqual(heardOf(ada, 2), ["user_online", "user_offline"]);
  deepEqual(
    await query(url, "select from rollcall_internal.claims where user_id = 2"),
    [],
  );
});

Deno.test("a role with too few rights is told what is missing, and ends with 2", async () => {
  const url = new URL(await postgres.emptyDatabase());
  const role = uniqueName("lowly");
  await query(url.href, `create role ${role} login password 'secret'`);
  url.username = role;
  url.password = "secret";
  const env = { DATABASE_URL: url.href, JWT_SECRET: TEST_SECRET };
  const { code, stderr } = await runFile("main.ts", [], { env });
  equal(code, 2);
  match(
    stderr,
    /^Cannot prepare the schema rollcall_internal: permission denied/,
  );
});

Deno.test("a role that was granted the use of the schema serves without the right to change it", async () => {
  const url = new URL(await postgres.database());
  const role = uniqueName("server");
  await query(
    url.href,
    `create role ${role} login password 'secret';
     grant select, update on users to ${role};
     grant usage on schema rollcall_internal to ${role};
     grant select, insert, update, delete on all tables in schema rollcall_internal to ${role}`,
  );
  const owner = url.href;
  url.username = role;
  url.password = "secret";
  await using server = await startServerOn(url.href);
  await using ada = await connect(server.url, 1);
  await using _bob = await connect(server.url, 2);
  await ada.hears("user_online", 2);
  equal(await statusOf(owner, 2), "online");
});

const wrongUrls: Record<string, { change: (url: URL) => void; says: RegExp }> =
  {
    "nothing listens there": {
      change: (url) => url.port = "1",
      says: /ECONNREFUSED|refused/,
    },
    "the password is wrong": {
      change: (url) => url.password = "hunter2",
      says: /password/,
    },
    "there is no such database": {
      change: (url) => url.pathname = "/nowhere",
      says: /"nowhere" does not exist/,
    },
  };

for (const [name, { change, says }] of Object.entries(wrongUrls)) {
  Deno.test(`a wrong DATABASE_URL is told and ends with 2: ${name}`, async () => {
    const url = new URL(await postgres.emptyDatabase());
    change(url);
    const startedAt = performance.now();
    const env = { DATABASE_URL: url.href, JWT_SECRET: TEST_SECRET };
    const { code, stderr } = await runFile("main.ts", [], { env });
    equal(code, 2);
    ok(performance.now() - startedAt < 10_000);
    match(stderr, /^Cannot connect to postgres:\/\/\w+@127\.0\.0\.1/);
    match(stderr, says);
    match(stderr, /DATABASE_URL/);
    ok(!stderr.includes(url.password), "the password is shown");
  });
}

Deno.test("a wrong DATABASE_URL is told and ends with 2: nobody answers", async () => {
  await using proxy = startProxy(await postgres.emptyDatabase());
  proxy.set("silent");
  const startedAt = performance.now();
  const env = { DATABASE_URL: proxy.url, JWT_SECRET: TEST_SECRET };
  const { code, stderr } = await runFile("main.ts", [], { env });
  equal(code, 2);
  ok(performance.now() - startedAt < 10_000);
  match(stderr, /^Cannot connect to .*timeout/);
});

for (const isLeaseLost of [false, true]) {
  const when = isLeaseLost ? "with the lease" : "under a lease that holds";
  Deno.test(`[C5] a claim that a database lost or brought back ${when} is put right, though no transition tells of it`, async () => {
    const url = await postgres.database(20);
    await using server = await startServerOn(url, {
      ...{ LEASE_MS: "3000", HEARTBEAT_MS: "500" },
    });
    await using node = await playNode(url);
    await using ada = await connectSync(server.url, 1);
    const bob = await connect(server.url, 2);
    await using _chen = await connect(server.url, 3);
    await node.apply([2, 3], []);
    await ada.holds([1, 2, 3]);
    await bob.close();
    const claims = "rollcall_internal.claims";
    const own = `node_id = (select node_id from ${claims} where user_id = 1)`;
    await until("bob is released here", async () => {
      const sql = `select from ${claims} where user_id = 2 and ${own}`;
      return (await query(url, sql)).length === 0;
    });
    // Of what the other database lacks: bob left here, chen came here.
    await query(
      url,
      `insert into ${claims} select 2, node_id from ${claims} where user_id = 1;
       delete from ${claims} where user_id = 3 and ${own};`,
    );
    if (isLeaseLost) {
      const nodes = "rollcall_internal.nodes";
      await query(
        url,
        `update ${nodes} set expires_at = clock_timestamp() where ${
          own.replace("node_id", "id")
        }`,
      );
    } else await cutLinks(url);
    await until("the claims are right", async () => {
      const sql = `select user_id as id from ${claims} where ${own} order by 1`;
      return (await query(url, sql)).map(({ id }) => id).join() === "1,3";
    });
    await node.apply([], [2, 3]);
    await ada.holds([1, 3]);
    await listed(server, [1, 3]);
    equal(
      ada.messages.filter(({ type }) => type === "presence_state").length,
      1,
    );
  });
}

async function cutLinks(url: string): Promise<void> {
  await query(
    url,
    `select pg_terminate_backend(pid) from pg_stat_activity
      where datname = current_database() and pid <> pg_backend_pid()`,
  );
}

Deno.test("[C5] a database that took over without the newest transitions: everybody agrees with the truth again", async () => {
  const url = await postgres.database(20);
  await using server = await startServerOn(url);
  await using node = await playNode(url);
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
    .concat("rollcall_internal.claims", "rollcall_internal.writes");
  for (const [index, table] of tables.entries()) {
    await query(url, `create table public.kept_${index} as table ${table}`);
  }
  // Told, and lost: bob leaves, emre comes.
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
  await until("the database says so too", async () => {
    const rows = await query(
      url,
      "select id from users where status = 'online' order by id",
    );
    return rows.map(({ id }) => id).join() === online.join();
  });
  ok(server.log.some((line) => line.includes("lost transitions")));
  ok(
    ada.messages.some(({ type }, index) =>
      type === "presence_state" && index > 0
    ),
  );
  // Whoever was between two connections knows a seq of what is lost, which no node goes on from.
  await using other = await startServerOn(url);
  for (const { url } of [server, other]) {
    await using chen = await connectSync(url, 3, lost);
    await chen.holds(online);
    equal(chen.messages[0]?.type, "presence_state");
  }
});
