/** The promises of several nodes, each a real process, on one real Postgres. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { PostgresStore } from "../../src/postgres/postgres_store.ts";
import { connect } from "../support/client.ts";
import {
  postgresForThisFile,
  query,
  silentLog,
  statusOf,
} from "../support/database.ts";
import { alternates, heardOf, listed } from "../support/roster.ts";
import { connectSync } from "../support/sync_client.ts";
import { until } from "../support/until.ts";
import { Slot, TIMES } from "./cluster.ts";
import { judgeFeed } from "./history.ts";

const postgres = postgresForThisFile();
const LEASE_MS = Number(TIMES.LEASE_MS);
const HEARTBEAT_MS = Number(TIMES.HEARTBEAT_MS);

/** Two nodes that are up, and a stack that takes them down. */
async function twoNodes(url: string, env: Record<string, string> = {}) {
  const [a, b] = [new Slot("a", url, env), new Slot("b", url, env)];
  await Promise.all([a.start(), b.start()]);
  const at = (slot: Slot) => ({ url: slot.url ?? "" });
  return {
    a,
    b,
    at,
    connect: (slot: Slot, userId: number) => connect(at(slot).url, userId),
    [Symbol.asyncDispose]: async () => {
      await a[Symbol.asyncDispose]();
      await b[Symbol.asyncDispose]();
    },
  };
}

Deno.test("[C1][P2][P3][P4] a user on two nodes is online once, and offline when the last connection closes", async () => {
  const url = await postgres.database();
  await using cluster = await twoNodes(url);
  const { a, b, at } = cluster;
  await using ada = await cluster.connect(a, 1);
  await using bob = await cluster.connect(b, 2);
  await ada.hears("user_online", 2);
  await listed(at(b), [1, 2]);
  const before = bob.messages.length;
  const chens = [
    await cluster.connect(a, 3),
    await cluster.connect(b, 3),
    await cluster.connect(b, 3),
  ];
  await ada.hears("user_online", 3);
  await bob.hears("user_online", 3);
  // A connection counts from its claim on, which is a few milliseconds after it is open.
  await until("both nodes have claimed", async () => {
    const sql =
      "select count(*)::int from rollcall_internal.claims where user_id = 3";
    return (await query(url, sql))[0].count === 2;
  });
  await chens[0]?.close();
  await chens[1]?.close();
  await using _dora = await cluster.connect(a, 4);
  await bob.hears("user_online", 4);
  equal(await statusOf(url, 3), "online");
  await chens[2]?.close();
  await ada.hears("user_offline", 3);
  await bob.hears("user_offline", 3);
  equal(await statusOf(url, 3), "offline");
  for (const client of [ada, bob]) {
    deepEqual(heardOf(client, 3), ["user_online", "user_offline"]);
  }
  deepEqual(bob.messages.slice(before).map(({ userId }) => userId), [3, 4, 3]);
});

Deno.test("[S1] the first state has oneself, also where several nodes write at once", async () => {
  const url = await postgres.database();
  await using cluster = await twoNodes(url);
  const { a, b, at } = cluster;
  const ids = [1, 2, 3, 4];
  for (let round = 0; round < 15; round++) {
    const clients = await Promise.all(
      ids.map((id) => connectSync(at(id % 2 === 0 ? a : b).url, id)),
    );
    for (const [index, client] of clients.entries()) {
      const { users } = await client.hears("presence_state");
      ok(users.some(({ id }) => id === ids[index]), `round ${round}`);
    }
    await Promise.all(clients.map((client) => client[Symbol.asyncDispose]()));
    await listed(at(a), []);
    await listed(at(b), []);
  }
});

Deno.test("[C2] a killed node's users go offline once each, those who are elsewhere do not", async () => {
  const url = await postgres.database();
  await using cluster = await twoNodes(url);
  const { a, b, at } = cluster;
  await using ada = await cluster.connect(b, 1);
  const lost = [await cluster.connect(a, 2), await cluster.connect(a, 3)];
  await using _chen = await cluster.connect(b, 3);
  await listed(at(b), [1, 2, 3]);
  const killedAt = performance.now();
  await a.end("SIGKILL");
  await ada.hears("user_offline", 2);
  const took = performance.now() - killedAt;
  ok(took < LEASE_MS + HEARTBEAT_MS + 1_000, `noticed after ${took} ms`);
  await listed(at(b), [1, 3]);
  deepEqual(heardOf(ada, 2), ["user_online", "user_offline"]);
  deepEqual(heardOf(ada, 3), ["user_online"]);
  deepEqual(
    await query(url, "select count(*)::int from rollcall_internal.nodes"),
    [{ count: 1 }],
  );
  for (const client of lost) await client.closed;
});

Deno.test("[C2] the view online_users is right before anybody has reaped", async () => {
  const url = await postgres.database();
  const alone = new Slot("a", url);
  await alone.start();
  const ada = await connect(alone.url ?? "", 1);
  const online = async () =>
    (await query(url, "select id from online_users")).map(({ id }) => id);
  await until("she is there", async () => (await online()).join() === "1");
  await alone.end("SIGKILL");
  await ada.closed;
  await until("her lease has ended", async () => (await online()).length === 0);
  equal(await statusOf(url, 1), "online");
  await alone[Symbol.asyncDispose]();
});

Deno.test("[C4] a node that was paused past its lease is fenced, and claims again what it still has", async () => {
  const url = await postgres.database();
  await using cluster = await twoNodes(url);
  const { a, b, at } = cluster;
  await using ada = await cluster.connect(a, 1);
  await using bob = await cluster.connect(b, 2);
  await bob.hears("user_online", 1);
  await ada.hears("user_online", 2);
  const ids = async () =>
    (await query(url, "select id from rollcall_internal.nodes")).map(({ id }) =>
      id
    );
  const before = await ids();
  a.signal("SIGSTOP");
  await bob.hears("user_offline", 1);
  equal(await statusOf(url, 1), "offline");
  a.signal("SIGCONT");
  await until("bob hears of her return", () => heardOf(bob, 1).length >= 2);
  await listed(at(a), [1, 2]);
  await listed(at(b), [1, 2]);
  alternates(heardOf(bob, 1), heardOf(bob, 1)[0] as "user_online");
  equal(heardOf(bob, 1).at(-1), "user_online");
  deepEqual(heardOf(ada, 2), ["user_online"]);
  equal(ada.socket.readyState, WebSocket.OPEN);
  const after = await ids();
  equal(after.length, 2);
  equal(after.filter((id) => before.includes(id)).length, 1);
});

Deno.test("[C6] a listening connection that went silent is noticed and what it missed is read", async () => {
  const url = await postgres.database();
  // The lease is long, so that only the listener can be what notices.
  await using cluster = await twoNodes(url, { LEASE_MS: "60000" });
  const { a, b, at } = cluster;
  await using ada = await cluster.connect(a, 1);
  await listed(at(b), [1]);
  a.proxy.set("silent");
  await using _bob = await cluster.connect(b, 2);
  await listed(at(b), [1, 2]);
  equal(ada.messages.length, 0);
  await until("the node is not ready", async () => {
    const response = await fetch(`${at(a).url}readyz`);
    const { checks } = await response.json();
    return checks.notifications === "not connected";
  }, HEARTBEAT_MS + 6_000);
  a.proxy.set("open");
  const openedAt = performance.now();
  await ada.hears("user_online", 2);
  ok(performance.now() - openedAt < HEARTBEAT_MS + 5_000);
});

Deno.test("[C6] a feed that was emptied by hand while a node was away: a snapshot, and the difference is told", async () => {
  const url = await postgres.database();
  await using cluster = await twoNodes(url, { LEASE_MS: "60000" });
  const { a, b, at } = cluster;
  await using ada = await cluster.connect(a, 1);
  const bob = await cluster.connect(b, 2);
  await ada.hears("user_online", 2);
  a.proxy.set("refusing");
  await using _chen = await cluster.connect(b, 3);
  await bob.close();
  await listed(at(b), [1, 3]);
  await query(url, "truncate rollcall_internal.feed");
  a.proxy.set("open");
  await ada.hears("user_online", 3);
  await ada.hears("user_offline", 2);
  await listed(at(a), [1, 3]);
  equal(ada.messages.length, 3);
});

Deno.test("a user who is renamed while online is listed by the new name on every node, and nobody is told", async () => {
  const url = await postgres.database();
  await using cluster = await twoNodes(url);
  const { a, b, at } = cluster;
  await using ada = await cluster.connect(a, 1);
  await listed(at(b), [1]);
  await query(url, "update users set username = 'lovelace' where id = 1");
  for (const slot of [a, b]) {
    await until("the new name is listed", async () => {
      const { online_users } =
        await (await fetch(`${at(slot).url}users/online`)).json();
      return online_users[0].username === "lovelace";
    });
  }
  equal(ada.messages.length, 0);
});

Deno.test("[C7] users of a node that stops, who reappear elsewhere within the grace, cause no transition", async () => {
  const url = await postgres.database();
  await using cluster = await twoNodes(url, { DRAIN_GRACE_MS: "4000" });
  const { a, b, at } = cluster;
  await using ada = await cluster.connect(b, 1);
  const movers = await Promise.all(
    [2, 3, 4].map((userId) => cluster.connect(a, userId)),
  );
  const leaver = await cluster.connect(a, 5);
  await listed(at(b), [1, 2, 3, 4, 5]);
  equal(await a.end("SIGTERM"), 0);
  for (const client of movers) equal((await client.closed).code, 1001);
  // The node is gone, and the other one has looked for what it may put right.
  const renewals = new Set<string>();
  await until("the other node's heart has beaten twice", async () => {
    const sql =
      "select expires_at::text from rollcall_internal.nodes where not leaving";
    for (const row of await query(url, sql)) renewals.add(row.expires_at);
    return renewals.size > 2;
  });
  const clients = await Promise.all(
    [2, 3, 4].map((userId) => cluster.connect(b, userId)),
  );
  await ada.hears("user_offline", 5);
  await listed(at(b), [1, 2, 3, 4]);
  for (const userId of [2, 3, 4]) {
    deepEqual(heardOf(ada, userId), ["user_online"]);
  }
  deepEqual(heardOf(ada, 5), ["user_online", "user_offline"]);
  await leaver.closed;
  for (const client of clients) await client.close();
});

Deno.test("[P8] a user who leaves one node and returns on another within the grace causes no transition", async () => {
  const url = await postgres.database();
  await using cluster = await twoNodes(url, { OFFLINE_GRACE_MS: "1000" });
  const { a, b, at } = cluster;
  await using ada = await cluster.connect(a, 1);
  const bob = await cluster.connect(a, 2);
  await listed(at(b), [1, 2]);
  await bob.close();
  await using _again = await cluster.connect(b, 2);
  const chen = await cluster.connect(a, 3);
  await ada.hears("user_online", 3);
  await chen.close();
  // Chen's grace began after Bob's: once Chen is announced, Bob's has passed too.
  await ada.hears("user_offline", 3);
  deepEqual(heardOf(ada, 2), ["user_online"]);
  equal(await statusOf(url, 2), "online");
});

Deno.test("[C5] an outage longer than the lease causes no transition, on however many nodes", async () => {
  const url = await postgres.database();
  await using cluster = await twoNodes(url);
  const { a, b, at } = cluster;
  await using ada = await cluster.connect(a, 1);
  await using bob = await cluster.connect(b, 2);
  await listed(at(a), [1, 2]);
  await listed(at(b), [1, 2]);
  const state = async () => {
    const [row] = await query(
      url,
      `select (select seq::int from rollcall_internal.counter) as seq, count(*)::int as nodes,
              extract(epoch from min(expires_at) - clock_timestamp()) * 1000 as rest
         from rollcall_internal.nodes`,
    );
    return row;
  };
  const before = await state();
  for (const slot of [a, b]) slot.proxy.set("refusing");
  await until("both leases ended long ago", async () => {
    return (await state()).rest < -LEASE_MS / 2;
  });
  for (const slot of [a, b]) slot.proxy.set("open");
  await until("both are back", async () => (await state()).rest > 0);
  // Whatever would have been put right is put right by the next heartbeats.
  const later = performance.now() + 3 * HEARTBEAT_MS;
  await until("they tidied up", () => performance.now() > later);
  await using _chen = await cluster.connect(b, 3);
  await ada.hears("user_online", 3);
  await bob.hears("user_online", 3);
  const { seq, nodes } = await state();
  deepEqual([seq, nodes], [before.seq + 1, 2]);
});

Deno.test("[C1] two nodes race for the same user 10,000 times: no wrong status, no missing or doubled transition", async () => {
  const url = await postgres.database(8);
  // First here and last there at once, for each of eight users on its own pair of nodes.
  const race = async (userId: number) => {
    const nodes = [await openNode(), await openNode()] as const;
    const ids = [userId];
    const write = async (index: 0 | 1, arrives: boolean) => {
      const { store, nodeId } = nodes[index];
      while (true) {
        const { busy } = await store
          .apply(nodeId, arrives ? ids : [], arrives ? [] : ids);
        if (busy.length === 0) return;
      }
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
  deepEqual(await query(url, "select from rollcall_internal.claims"), []);
  const feed = await query(
    url,
    `select seq::int, user_id as "userId", status from rollcall_internal.feed order by seq`,
  );
  judgeFeed(feed);
  ok(feed.length >= 16);
});
