/**
 * A member of one group tries to learn of the members of another: what it can observe is the same
 * with and without them.
 *
 * What is bounded and not equal: `seq` grows, so it shows that something happened to somebody. So
 * does the time of an answer, because all users share the work of a node: a diff may wait for the
 * pass before it (`FANOUT_INTERVAL_MS`), a write for the batch before it. And a peer that does not
 * read while the whole cluster has more changes than the ring keeps (65,536) receives a state in
 * place of a diff, or is closed on version 1, if one of them was for it. None of this depends on
 * who it was. An answer about a user is made from the attacker's own view, so it reads nothing that
 * an answer about nobody does not read. Measured on a 2-core machine, one who is online and out of
 * sight, one who is not online, and nobody: the median of 6,000 lists with `ids` was 128 us for
 * each, that of 300 answers to `watch` 704, 680 and 683 us, and their 10th percentile 569, 568
 * and 564 us.
 */
import { deepEqual, equal } from "node:assert/strict";
import type { UserId } from "../../src/client/protocol/user_id.ts";
import { Adversary } from "../support/adversary.ts";
import { LIFE } from "../support/hidden_life.ts";
import { type TestClient, tokenFor } from "../support/client.ts";
import { postgresForThisFile, query } from "../support/database.ts";
import type { Observed } from "../support/doors.ts";
import { onlineIds } from "../support/endpoints.ts";
import { HiddenWorld, MANY, type Source } from "../support/hidden_world.ts";
import { startProxy } from "../support/proxy.ts";
import { startServer, TEST_SECRET } from "../support/server.ts";
import { observe, Tap } from "../support/tap.ts";
import { until, untilEqual } from "../support/until.ts";

const postgres = postgresForThisFile();

const WITHOUT_SWEEP = { HEARTBEAT_MS: "250000", LEASE_MS: "600000" };

/** All that the adversary observes, after each act or where it would have been. */
async function attack(source: Source, isAlive: boolean): Promise<Observed> {
  await using world = await HiddenWorld.start(
    source,
    await postgres.database(60),
  );
  await using cleanup = new AsyncDisposableStack();
  const open = new Set<TestClient>();
  cleanup.defer(async () => {
    await Promise.all([...open].map((client) => client.close()));
  });
  for (const [at, id] of MANY.entries()) cleanup.use(await world.open(id, at));
  const headers = {
    authorization: `Bearer ${await world.tokenOf(MANY[0] ?? 0)}`,
  };
  for (const node of world.nodes) {
    await untilEqual(`all are online`, () => onlineIds(node, headers), MANY);
  }
  const adversary = cleanup.use(await Adversary.start(world));
  const observed: Observed = { "at first": await adversary.tryDoors() };
  for (const [name, act] of Object.entries(LIFE)) {
    if (isAlive) await act(world, open);
    observed[name] = await adversary.tryDoors();
  }
  observed["was there before"] = await adversary.comeTooLate();
  observed["sockets that were open all the time"] = await adversary.end();
  return observed;
}

for (const source of ["GROUPS_TABLE", "JWT_GROUPS_CLAIM"] as const) {
  Deno.test(`[V1] with ${source}, nothing that a client on two nodes can observe differs with and without the life of users whom it does not see`, async () => {
    const [alone, beside] = await Promise.all([
      attack(source, false),
      attack(source, true),
    ]);
    for (const name of Object.keys(alone)) {
      deepEqual(beside[name], alone[name], `after a hidden user ${name}`);
    }
  });
}

Deno.test("[V1] an answer about a user who is out of sight reads no more than one about nobody: the database does not answer, and both are answered alike", async () => {
  const databaseUrl = await postgres.database();
  await query(
    databaseUrl,
    "create table teams as select * from (values (1, 'a'), (2, 'b'), (3, 'b')) t (user_id, group_id)",
  );
  await using proxy = startProxy(databaseUrl);
  await using server = await startServer({
    env: {
      ...{ DATABASE_URL: proxy.url, JWT_SECRET: TEST_SECRET },
      ...{ GROUPS_TABLE: "teams", ...WITHOUT_SWEEP },
    },
  });
  const token = await tokenFor(1);
  await using tap = new Tap(server.url, token);
  await using other = new Tap(server.url, await tokenFor(2));
  await tap.receives("presence_state");
  await other.receives("presence_state");
  proxy.set("silent");
  const answers = new Set<string>();
  // One who is online, one who is not, and one who does not exist.
  for (const id of [2, 3, 4_000_000]) {
    const headers = { authorization: `Bearer ${token}` };
    const listed = await observe(`${server.url}users/online?ids=${id}`, {
      headers,
    });
    const seen = tap.events.length;
    await tap.asks({ type: "watch", userIds: [id] }, "presence_state");
    const later = tap.events.slice(seen);
    answers.add(JSON.stringify([listed, later]));
  }
  proxy.set("open");
  equal(answers.size, 1, [...answers].join("\n"));
});

Deno.test("[V1][V5] where groups are switched on while users are online, none of them is shown to another before its groups are read", async () => {
  const databaseUrl = await postgres.database();
  await query(
    databaseUrl,
    "create table teams as select * from (values (1, 'a'), (2, 'a'), (3, 'b')) t (user_id, group_id)",
  );
  const env = {
    ...{ DATABASE_URL: databaseUrl, JWT_SECRET: TEST_SECRET },
    ...WITHOUT_SWEEP,
  };
  const ada = await tokenFor(1);
  let since = 0;
  {
    await using before = await startServer({ env });
    const tap = new Tap(before.url, ada);
    await tap.receives('"id":1');
    for (const id of [2, 3]) {
      const other = new Tap(before.url, await tokenFor(id));
      await tap.receives(`"id":${id}`);
      await other.receives("presence_state");
    }
    since = tap.seq;
    // Its claims stay.
    await before.kill();
  }
  await using server = await startServer({
    env: { ...env, GROUPS_TABLE: "teams" },
  });
  await query(databaseUrl, "alter table teams rename to gone");
  await using version1 = new Tap(server.url, ada, { version: 1 });
  await using version2 = new Tap(server.url, ada);
  await until("ada is claimed with the groups that she has", async () => {
    const sql =
      "select from rollcall_internal.presence where user_id = 1 and cardinality(nodes) = 2";
    return (await query(databaseUrl, sql)).length === 1;
  });
  await query(databaseUrl, "alter table gone rename to teams");
  // Each connect reads the groups of its user.
  await using resumed = new Tap(server.url, ada, { query: `since=${since}` });
  const taps = [version2, resumed];
  await Promise.all(taps.map((tap) => tap.receives("seq")));
  await using bob = new Tap(server.url, await tokenFor(2));
  await Promise.all(taps.map((tap) => tap.receives('"id":2')));
  await version1.receives('"userId":2');
  await using chen = new Tap(server.url, await tokenFor(3));
  await bob.receives("presence_state");
  await chen.receives("presence_state");
  await Promise.all(
    taps.map((tap) => tap.asks({ type: "ping" }, "keepalive")),
  );

  const user = (id: UserId) => ({ id, username: `user${id}` });
  const state = (...ids: UserId[]) =>
    JSON.stringify({
      ...{ type: "presence_state", seq: "grows" },
      users: ids.map(user),
    });
  const diff = { type: "presence_diff", seq: "grows" };
  const shown = [
    ...["open rollcall.v2", state(1)],
    JSON.stringify({ ...diff, online: [user(2)], offline: [] }),
    JSON.stringify({ type: "keepalive", seq: "grows" }),
  ];
  deepEqual(version2.observed, shown);
  deepEqual(resumed.observed, shown);
  deepEqual(version1.observed, [
    "open rollcall.v1",
    JSON.stringify({ type: "user_online", userId: 2 }),
  ]);
  deepEqual(chen.observed, ["open rollcall.v2", state(3)]);
});
