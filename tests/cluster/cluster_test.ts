/** The promises of several nodes, each a real process, on one real Postgres. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { PostgresStore } from "../../src/postgres/postgres_store.ts";
import { connect, open } from "../support/client.ts";
import {
  endLease,
  nodeOf,
  postgresForThisFile,
  query,
  renewals,
  silentLog,
  statusOf,
} from "../support/database.ts";
import { readiness, v1Connected } from "../support/endpoints.ts";
import { listed, transitionsOf } from "../support/roster.ts";
import { connectSync } from "../support/sync_client.ts";
import { until, untilEqual } from "../support/until.ts";
import { Machine, TIMES } from "./cluster.ts";
import { judgeFeed } from "./history.ts";

const postgres = postgresForThisFile();
const HEARTBEAT_MS = Number(TIMES.HEARTBEAT_MS);

/** Two nodes that are up. Disposing of it stops them. */
async function twoNodes(url: string, env: Record<string, string> = {}) {
  const [a, b] = [new Machine("a", url, env), new Machine("b", url, env)];
  await Promise.all([a.start(), b.start()]);
  const at = (machine: Machine) => ({ url: machine.url ?? "" });
  return {
    a,
    b,
    at,
    connect: (machine: Machine, userId: number) =>
      connect(at(machine).url, userId),
    open: (machine: Machine, userId: number) => open(at(machine).url, userId),
    [Symbol.asyncDispose]: async () => {
      await a[Symbol.asyncDispose]();
      await b[Symbol.asyncDispose]();
    },
  };
}

async function nodeIds(url: string): Promise<string[]> {
  return (await query(url, "select id from rollcall_internal.nodes"))
    .map(({ id }) => id);
}

Deno.test("[C1][P2][P3][P4] a user on two nodes goes online once, and offline when the last connection closes", async () => {
  const url = await postgres.database();
  await using cluster = await twoNodes(url);
  const { a, b, at } = cluster;
  await using ada = await cluster.connect(a, 1);
  await using bob = await cluster.connect(b, 2);
  await ada.receives("user_online", 2);
  await listed(at(b), [1, 2]);
  const before = bob.messages.length;
  const chens = [
    await cluster.open(a, 3),
    await cluster.open(b, 3),
    await cluster.open(b, 3),
  ];
  await ada.receives("user_online", 3);
  await bob.receives("user_online", 3);
  await v1Connected(at(a), 2);
  await v1Connected(at(b), 3);
  await until("both nodes have claimed chen", async () => {
    const sql =
      "select cardinality(nodes) as count from rollcall_internal.presence where user_id = 3";
    return (await query(url, sql))[0].count === 2;
  });
  await chens[0]?.close();
  await chens[1]?.close();
  await v1Connected(at(a), 1);
  await v1Connected(at(b), 2);
  await using _dora = await cluster.connect(a, 4);
  await bob.receives("user_online", 4);
  equal(await statusOf(url, 3), "online");
  await chens[2]?.close();
  await ada.receives("user_offline", 3);
  await bob.receives("user_offline", 3);
  equal(await statusOf(url, 3), "offline");
  for (const client of [ada, bob]) {
    deepEqual(transitionsOf(client, 3), ["user_online", "user_offline"]);
  }
  deepEqual(bob.messages.slice(before).map(({ userId }) => userId), [3, 4, 3]);
});

Deno.test("[S1] the first snapshot includes its own user, also when several nodes write at once", async () => {
  const url = await postgres.database();
  await using cluster = await twoNodes(url);
  const { a, b, at } = cluster;
  const ids = [1, 2, 3, 4];
  for (let round = 0; round < 15; round++) {
    const clients = await Promise.all(
      ids.map((id) => connectSync(at(id % 2 === 0 ? a : b).url, id)),
    );
    for (const [index, client] of clients.entries()) {
      const { users } = await client.receives("presence_state");
      ok(users.some(({ id }) => id === ids[index]), `round ${round}`);
    }
    await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
    await listed(at(a), []);
    await listed(at(b), []);
  }
});

Deno.test("[C2] the users of a killed node go offline once each, except those with a connection elsewhere", async () => {
  const url = await postgres.database();
  await using cluster = await twoNodes(url);
  const { a, b, at } = cluster;
  await using ada = await cluster.connect(b, 1);
  const lost = [await cluster.connect(a, 2), await cluster.connect(a, 3)];
  await using _chen = await cluster.open(b, 3);
  await v1Connected(at(b), 2);
  await until("both nodes have claimed chen", async () => {
    const sql =
      "select cardinality(nodes) as count from rollcall_internal.presence where user_id = 3";
    return (await query(url, sql))[0].count === 2;
  });
  await listed(at(b), [1, 2, 3]);
  const dead = await nodeOf(url, 2);
  await a.end("SIGKILL");
  const [{ expires_at }] = await query(
    url,
    "select expires_at::text from rollcall_internal.nodes where id = $1",
    [dead],
  );
  await ada.receives("user_offline", 2);
  // By the database's clock, from the end of the lease: at most LEASE_MS after the kill.
  const [{ ms }] = await query(
    url,
    `select (extract(epoch from at - $1::timestamptz) * 1000)::float as ms
       from rollcall_internal.feed where user_id = 2 and status = 'offline'`,
    [expires_at],
  );
  ok(ms < HEARTBEAT_MS + 1_000, `offline ${ms} ms after the lease ended`);
  await listed(at(b), [1, 3]);
  deepEqual(transitionsOf(ada, 2), ["user_online", "user_offline"]);
  deepEqual(transitionsOf(ada, 3), ["user_online"]);
  await untilEqual(
    "one node is left",
    async () => (await nodeIds(url)).length,
    1,
  );
  for (const client of lost) await client.closed;
});

Deno.test("[C2] the view rollcall.online_users leaves out the users of a dead node before any sweep", async () => {
  const url = await postgres.database();
  const alone = new Machine("a", url);
  await alone.start();
  const ada = await connect(alone.url ?? "", 1);
  const online = async () =>
    (await query(url, "select id from rollcall.online_users")).map(({ id }) =>
      id
    );
  await until("ada is online", async () => (await online()).join() === "1");
  await alone.end("SIGKILL");
  await ada.closed;
  await until("the lease has ended", async () => (await online()).length === 0);
  equal(await statusOf(url, 1), "online");
  await alone[Symbol.asyncDispose]();
});

Deno.test("[C4] a node that was paused past its lease is fenced, and claims its users again under a new id", async () => {
  const url = await postgres.database();
  // The test ends the paused node's lease, so that nothing depends on how fast the others are.
  await using cluster = await twoNodes(url, { LEASE_MS: "60000" });
  const { a, b, at } = cluster;
  await using ada = await cluster.connect(a, 1);
  await listed(at(b), [1]);
  await using bob = await cluster.connect(b, 2);
  await ada.receives("user_online", 2);
  const before = await nodeIds(url);
  a.signal("SIGSTOP");
  await endLease(url, await nodeOf(url, 1));
  await bob.receives("user_offline", 1);
  equal(await statusOf(url, 1), "offline");
  a.signal("SIGCONT");
  await bob.receives("user_online", 1);
  await listed(at(a), [1, 2]);
  await listed(at(b), [1, 2]);
  deepEqual(transitionsOf(bob, 1), ["user_offline", "user_online"]);
  deepEqual(transitionsOf(ada, 2), ["user_online"]);
  equal(ada.socket.readyState, WebSocket.OPEN);
  const after = await nodeIds(url);
  equal(after.length, 2);
  equal(after.filter((id) => before.includes(id)).length, 1);
});

Deno.test("[C6] a silent LISTEN connection is noticed, and the feed is read from where it stopped", async () => {
  const url = await postgres.database();
  // The lease is long, so that only the LISTEN connection can be what notices.
  await using cluster = await twoNodes(url, { LEASE_MS: "60000" });
  const { a, b, at } = cluster;
  await using ada = await cluster.connect(a, 1);
  await listed(at(b), [1]);
  a.proxy.set("silent");
  await using _bob = await cluster.connect(b, 2);
  await listed(at(b), [1, 2]);
  equal(ada.messages.length, 0);
  await until("the node is not ready", async () => {
    const { checks } = await readiness(at(a));
    return checks.notifications === "not connected";
  }, HEARTBEAT_MS + 6_000);
  a.proxy.set("open");
  const openedAt = performance.now();
  await ada.receives("user_online", 2);
  ok(performance.now() - openedAt < HEARTBEAT_MS + 5_000);
});

Deno.test("[C6] a node that was away while the feed was emptied loads a snapshot and sends the difference", async () => {
  const url = await postgres.database();
  await using cluster = await twoNodes(url, { LEASE_MS: "60000" });
  const { a, b, at } = cluster;
  await using ada = await cluster.connect(a, 1);
  const bob = await cluster.connect(b, 2);
  await ada.receives("user_online", 2);
  a.proxy.set("refusing");
  await using _chen = await cluster.connect(b, 3);
  await bob.close();
  await listed(at(b), [1, 3]);
  await query(url, "truncate rollcall_internal.feed");
  a.proxy.set("open");
  await ada.receives("user_online", 3);
  await ada.receives("user_offline", 2);
  await listed(at(a), [1, 3]);
  equal(ada.messages.length, 3);
});

Deno.test("a user who is renamed while online is listed by the new name on every node, and no client receives a message", async () => {
  const url = await postgres.database();
  await using cluster = await twoNodes(url);
  const { a, b, at } = cluster;
  await using ada = await cluster.connect(a, 1);
  await listed(at(b), [1]);
  await query(url, "update users set username = 'lovelace' where id = 1");
  for (const machine of [a, b]) {
    await until("the new name is listed", async () => {
      const { online_users } =
        await (await fetch(`${at(machine).url}users/online`)).json();
      return online_users[0].username === "lovelace";
    });
  }
  equal(ada.messages.length, 0);
});

Deno.test("[C7] users of a node that stops, who reconnect elsewhere within the grace, cause no transition", async () => {
  const url = await postgres.database();
  const DRAIN_GRACE_MS = 60_000;
  await using cluster = await twoNodes(url, {
    DRAIN_GRACE_MS: String(DRAIN_GRACE_MS),
  });
  const { a, b, at } = cluster;
  await using ada = await cluster.connect(b, 1);
  const movers = await Promise.all(
    [2, 3, 4].map((userId) => cluster.connect(a, userId)),
  );
  const leaver = await cluster.connect(a, 5);
  await listed(at(b), [1, 2, 3, 4, 5]);
  const stopping = await nodeOf(url, 5);
  equal(await a.end("SIGTERM"), 0);
  for (const client of movers) equal((await client.closed).code, 1001);
  const [{ leaving, rest }] = await query(
    url,
    `select leaving, (extract(epoch from expires_at - clock_timestamp()) * 1000)::float as rest
       from rollcall_internal.nodes where id = $1`,
    [stopping],
  );
  equal(leaving, true);
  ok(rest > 0 && rest <= DRAIN_GRACE_MS, `${rest} ms are left`);
  // The node has stopped, and the other one has swept.
  await renewals(url, 3);
  const clients = await Promise.all(
    [2, 3, 4].map((userId) => cluster.open(b, userId)),
  );
  await until("the other node has claimed them", async () => {
    const sql =
      "select count(*)::int from rollcall_internal.presence, unnest(nodes) node where node <> $1";
    return (await query(url, sql, [stopping]))[0].count === 4;
  });
  await listed(at(b), [1, 2, 3, 4, 5]);
  // The grace is over.
  await endLease(url, stopping);
  await ada.receives("user_offline", 5);
  await listed(at(b), [1, 2, 3, 4]);
  for (const userId of [2, 3, 4]) {
    deepEqual(transitionsOf(ada, userId), ["user_online"]);
  }
  deepEqual(transitionsOf(ada, 5), ["user_online", "user_offline"]);
  await leaver.closed;
  for (const client of clients) await client.close();
});

Deno.test("[P8] a user who leaves one node and returns on another within the grace causes no transition", async () => {
  const url = await postgres.database();
  await using cluster = await twoNodes(url, { OFFLINE_GRACE_MS: "2000" });
  const { a, b, at } = cluster;
  await using ada = await cluster.connect(a, 1);
  const bob = await cluster.connect(a, 2);
  await listed(at(b), [1, 2]);
  await bob.close();
  await v1Connected(at(a), 1);
  await using _again = await cluster.open(b, 2);
  await v1Connected(at(b), 1);
  const chen = await cluster.connect(a, 3);
  await ada.receives("user_online", 3);
  await chen.close();
  // Chen's grace began after bob's: when chen is offline, bob's has passed too.
  await ada.receives("user_offline", 3);
  deepEqual(transitionsOf(ada, 2), ["user_online"]);
  equal(await statusOf(url, 2), "online");
});

Deno.test("[C5] an outage longer than the lease takes only those offline who left meanwhile, on all nodes", async () => {
  const url = await postgres.database();
  // A node that is back first sweeps after one heartbeat. By then the other must be back too.
  const times = { LEASE_MS: 3_000, HEARTBEAT_MS: 1_400 };
  await using cluster = await twoNodes(url, {
    LEASE_MS: String(times.LEASE_MS),
    HEARTBEAT_MS: String(times.HEARTBEAT_MS),
  });
  const { a, b, at } = cluster;
  await using ada = await cluster.connect(a, 1);
  await using bob = await cluster.connect(b, 2);
  const chen = await cluster.connect(a, 3);
  await listed(at(a), [1, 2, 3]);
  await listed(at(b), [1, 2, 3]);
  const state = async () => {
    const [row] = await query(
      url,
      `select (select seq::int from rollcall_internal.head) as seq,
              (extract(epoch from min(expires_at) - clock_timestamp()) * 1000)::float as min,
              (extract(epoch from max(expires_at) - clock_timestamp()) * 1000)::float as max
         from rollcall_internal.nodes`,
    );
    return row;
  };
  const [before, idsBefore] = [await state(), await nodeIds(url)];
  for (const machine of [a, b]) machine.proxy.set("refusing");
  await chen.close();
  await until(
    "both leases ended long ago",
    async () => (await state()).max < -times.LEASE_MS / 2,
  );
  for (const machine of [a, b]) machine.proxy.set("open");
  await until("both are back", async () => (await state()).min > 0);
  await ada.receives("user_offline", 3);
  await bob.receives("user_offline", 3);
  // Whatever a node would correct, its next sweeps correct.
  await renewals(url, 3);
  await using _dora = await cluster.connect(b, 4);
  await ada.receives("user_online", 4);
  await bob.receives("user_online", 4);
  // Chen went offline and dora online, and that is all.
  equal((await state()).seq, before.seq + 2);
  const after = await nodeIds(url);
  equal(after.length, 2);
  ok(after.every((id) => !idsBefore.includes(id)), "both have a new id");
});

Deno.test("[C1] two nodes race for the same user 10,000 times: no wrong status, no transition is missing or doubled", async () => {
  const url = await postgres.database(8);
  // Each of eight users has its own pair of nodes: it arrives on one and leaves the other at once.
  const race = async (userId: number) => {
    const nodes = [await openNode(), await openNode()] as const;
    const ids = [userId];
    const write = async (index: 0 | 1, isArriving: boolean) => {
      const { store, nodeId } = nodes[index];
      await store.apply(nodeId, isArriving ? ids : [], isArriving ? [] : ids);
    };
    await write(0, true);
    for (let round = 0; round < 1_250; round++) {
      const [comes, goes] = round % 2 === 0 ? [1, 0] as const : [0, 1] as const;
      await Promise.all([write(comes, true), write(goes, false)]);
    }
    await write(0, false);
    await write(1, false);
    for (const { store } of nodes) await store.close();
  };
  const openNode = async () => {
    const store = new PostgresStore(url, silentLog);
    const nodeId = crypto.randomUUID();
    await store.join(nodeId, 600_000);
    return { store, nodeId };
  };
  await Promise.all(Array.from({ length: 8 }, (_, index) => race(index + 1)));
  deepEqual(
    await query(url, "select id from users where status = 'online'"),
    [],
  );
  deepEqual(
    await query(
      url,
      "select from rollcall_internal.presence where nodes <> '{}'",
    ),
    [],
  );
  const feed = await query(
    url,
    `select seq::int, user_id as "userId", status from rollcall_internal.feed order by seq`,
  );
  judgeFeed(feed);
  ok(feed.length >= 16);
});
