/** rollcall.v2 on a real server: snapshots, diffs, resuming, watching. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { WebSocket as NodeWebSocket } from "ws";
import { migrateDatabase } from "../../src/postgres/migrate.ts";
import { socketUrl, tokenFor } from "../support/client.ts";
import { postgresForThisFile, query } from "../support/database.ts";
import { rawHandshake } from "../support/raw_socket.ts";
import { sharedServer, startServerOn } from "../support/server.ts";
import { connectSync } from "../support/sync_client.ts";
import { joinAsNode, storm } from "../support/transitions.ts";
import { until } from "../support/until.ts";

const postgres = postgresForThisFile();
const server = sharedServer(() => startServerOn(postgres.database(3_000)));

/** The default of FANOUT_INTERVAL_MS. */
const INTERVAL_MS = 50;

const range = (from: number, count: number) =>
  Array.from({ length: count }, (_, index) => from + index);

async function headSeq(): Promise<number> {
  const [{ seq }] = await query(
    server.databaseUrl,
    "select seq::int from rollcall_internal.head",
  );
  return seq;
}

Deno.test("[S2] a client that knows another history of the database gets a snapshot", async () => {
  const url = await postgres.emptyDatabase();
  await migrateDatabase(url);
  await query(url, "insert into users values (1, 'ada'), (2, 'bob')");
  await using fresh = await startServerOn(url);
  await using ada = await connectSync(fresh.url, 1);
  const { seq } = await ada.receives("presence_state");
  ok(seq > 2 ** 32, `the feed of a new database is at ${seq}`);
  // A small feed of before, and another random place.
  for (const since of [0, 7, seq - 2_000_000, seq + 2_000_000]) {
    await using bob = await connectSync(fresh.url, 2, { since, known: [9] });
    await bob.holds([1, 2]);
    equal(bob.messages[0]?.type, "presence_state", `since ${since}`);
  }
});

Deno.test("[S1] the first message is a snapshot, diffs follow, and together they equal the roster", async () => {
  await using ada = await connectSync(server.url, 1);
  const state = await ada.receives("presence_state");
  equal(ada.messages[0], state);
  deepEqual(state.users, [{ id: 1, username: "user1" }]);
  {
    await using bob = await connectSync(server.url, 2);
    await bob.holds([1, 2]);
    await ada.holds([1, 2]);
  }
  await ada.holds([1]);
  const { seq, online, offline } = await ada.receives("presence_diff", 1);
  deepEqual([online, offline], [[], [2]]);
  equal(seq, await headSeq());
});

Deno.test("[S2] a client that resumes receives what changed meanwhile, in one message", async () => {
  await using node = await joinAsNode(server.databaseUrl);
  await node.apply([10, 11], []);
  const first = await connectSync(server.url, 1);
  await first.holds([1, 10, 11]);
  await first[Symbol.asyncDispose]();
  const { seq: since, ids: known } = first.model;
  await node.apply([12, 13], [10]);
  await node.apply([], [12]);
  await using again = await connectSync(server.url, 1, { since, known });
  await again.holds([1, 11, 13]);
  equal(again.messages[0]?.type, "presence_diff");
  const { seq } = again.model;
  await using third = await connectSync(server.url, 1, { since: seq, known });
  const { online, offline } = await third.receives("presence_diff");
  deepEqual([online, offline], [[], []]);
  equal(third.model.seq, seq);
});

Deno.test("[S2] a server that restarted resumes clients from the feed, exactly as far back as it reaches", async () => {
  const url = await postgres.database(100);
  await using node = await joinAsNode(url);
  await node.apply([5], []);
  await node.apply([6], []);
  const since = 2;
  for (const id of range(10, 5)) await node.apply([id], []);
  await query(url, "delete from rollcall_internal.feed where seq <= $1", [
    since,
  ]);
  await using second = await startServerOn(url);
  const known = [5, 6];
  await using edge = await connectSync(second.url, 1, { since, known });
  await edge.holds([1, 5, 6, 10, 11, 12, 13, 14]);
  equal(edge.messages[0]?.type, "presence_diff");
  await using older = await connectSync(second.url, 1, {
    ...{ since: since - 1, known: [5] },
  });
  await older.holds([1, 5, 6, 10, 11, 12, 13, 14]);
  equal(older.messages[0]?.type, "presence_state");
});

Deno.test("[S2] a client with a seq that the feed never reached receives a snapshot", async () => {
  await using ahead = await connectSync(server.url, 1, { since: 9_999_999 });
  await ahead.holds([1]);
  equal(ahead.messages[0]?.type, "presence_state");
});

Deno.test("[S4] a watched set is given in the query or by message, and its client receives nothing else", async () => {
  await using node = await joinAsNode(server.databaseUrl);
  await node.apply([20, 21], []);
  await using ada = await connectSync(server.url, 1, { watch: [20, 22] });
  await ada.holds([20]);
  await using nobody = await connectSync(server.url, 1, { watch: [] });
  await nobody.holds([]);
  await node.apply([22, 23], [20, 21]);
  await ada.holds([22]);
  ada.send({ type: "watch", userIds: [1, 21, 23] });
  await ada.holds([1, 23]);
  ada.send({ type: "watch", userIds: "*" });
  await ada.holds([1, 22, 23]);
  deepEqual(nobody.messages.map(({ type }) => type), ["presence_state"]);
});

Deno.test("[S2][S4] a client that resumes with a watched set receives what changed in it", async () => {
  await using node = await joinAsNode(server.databaseUrl);
  await node.apply([30, 31], []);
  const watch = [30, 32];
  const first = await connectSync(server.url, 1, { watch });
  await first.holds([30]);
  await first[Symbol.asyncDispose]();
  const { seq: since, ids: known } = first.model;
  await node.apply([32, 33], [30]);
  await using again = await connectSync(server.url, 1, {
    ...{ watch, since, known },
  });
  await again.holds([32]);
  equal(again.messages[0]?.type, "presence_diff");
});

Deno.test("[S5] a storm of transitions causes at most one diff per interval", async () => {
  await using ada = await connectSync(server.url, 1);
  await ada.holds([1]);
  const before = ada.messages.length;
  const startedAt = performance.now();
  await using _storm = await storm(server.databaseUrl, range(1_000, 300));
  await ada.holds([1, ...range(1_000, 300)]);
  const intervals = (performance.now() - startedAt) / INTERVAL_MS;
  const diffs = ada.messages.length - before;
  ok(diffs <= Math.ceil(intervals) + 1, `${diffs} in ${intervals} intervals`);
  ok(diffs < 240, `${diffs} diffs for 300 transitions`);
});

Deno.test("[S2] a ping is answered with a keepalive at once", async () => {
  await using ada = await connectSync(server.url, 1);
  await ada.holds([1]);
  const { seq } = ada.model;
  ada.send({ type: "ping" });
  equal((await ada.receives("keepalive")).seq, seq);
});

Deno.test("[L1] each bad message is answered with an error that names what is wrong, up to a budget", async () => {
  await using ada = await connectSync(server.url, 1);
  await ada.holds([1]);
  const expected: [unknown, RegExp][] = [
    ["no json", /^expected JSON$/],
    [{ type: "dance" }, /^type: expected "watch", "refresh" or "ping"/],
    [{ type: "watch", userIds: [1, "2"] }, /^userIds\.1: expected a user id/],
  ];
  for (const [index, [message, pattern]] of expected.entries()) {
    ada.socket.send(
      typeof message === "string" ? message : JSON.stringify(message),
    );
    const error = await ada.receives("error", index);
    equal(error.code, "bad_message");
    match(error.message, pattern);
  }
  for (let n = 0; n < 5; n++) ada.socket.send("no json");
  deepEqual(await ada.closed, { code: 1008, reason: "too many messages" });
});

Deno.test("[L1] a watched set has a bound, and a larger one leaves the old one in force", async () => {
  await using node = await joinAsNode(server.databaseUrl);
  await using ada = await connectSync(server.url, 1, { watch: [40] });
  await ada.holds([]);
  ada.send({ type: "watch", userIds: range(1, 1_001), ref: 7 });
  const { code, message, ref } = await ada.receives("error");
  deepEqual([code, ref], ["watch_too_large", 7]);
  match(message, /at most 1000 user ids, got 1001/);
  await node.apply([40, 41], []);
  await ada.holds([40]);
  ada.send({ type: "watch", userIds: [41], ref: 8 });
  equal((await ada.receives("watching")).ref, 8);
  await ada.holds([41]);
  deepEqual(ada.messages.slice(-2).map(({ type }) => type), [
    ...["watching", "presence_state"],
  ]);
  for (
    const bad of [
      `watch=${range(1, 1_001)}`,
      "watch=1,,2",
      "watch=x",
      "since=-1",
      "since=1e3",
    ]
  ) {
    using raw = await rawHandshake(
      server.url,
      { "Sec-WebSocket-Protocol": "rollcall.v2" },
      ...["answer", `/ws?token=${await tokenFor(1)}&${bad}`] as const,
    );
    equal(raw.status, 400, bad);
  }
});

Deno.test("[P1] a refresh with a token of the same user prolongs the connection, other tokens are refused", async () => {
  // Both first tokens end at the same time.
  const [own, bobs] = [await tokenFor(1, 6), await tokenFor(2, 6)];
  await using ada = await connectSync(server.url, 1, { token: own });
  await using bob = await connectSync(server.url, 2, { token: bobs });
  const { code } = await ada.receives("error");
  equal(code, "token_expiring");
  ada.send({ type: "refresh", token: "nonsense" });
  equal((await ada.receives("error", 1)).code, "bad_token");
  ada.send({ type: "refresh", token: await tokenFor(2) });
  match((await ada.receives("error", 2)).message, /same user/);
  ada.send({ type: "refresh", token: await tokenFor(1) });
  deepEqual(await bob.closed, { code: 4401, reason: "token expired" });
  await ada.holds([1]);
  equal(ada.socket.readyState, WebSocket.OPEN);
});

for (
  const offer of [
    "rollcall.v2,bearer.TOKEN",
    "bearer.TOKEN ,  rollcall.v2",
    "other, rollcall.v2,bearer.TOKEN",
    "rollcall.v2, rollcall.v1, bearer.TOKEN",
  ]
) {
  Deno.test(`[S1] the offer "${offer}" is answered with rollcall.v2`, async () => {
    const token = await tokenFor(1);
    using raw = await rawHandshake(server.url, {
      "Sec-WebSocket-Protocol": offer.replace("TOKEN", token),
    });
    equal(raw.status, 101);
    match(raw.head, /sec-websocket-protocol: rollcall\.v2\r\n/i);
    ok(!raw.head.includes(token));
  });
}

Deno.test("an offer of unknown subprotocols is refused, and the answer names the known ones", async () => {
  using raw = await rawHandshake(server.url, {
    "Sec-WebSocket-Protocol": "rollcall.v3, bearer.x",
  });
  equal(raw.status, 400);
  match(raw.head, /unknown_subprotocol.*rollcall\.v2 or rollcall\.v1/s);
});

Deno.test("[S1] npm's ws connects, with the token in a header or a subprotocol", async () => {
  const token = await tokenFor(1);
  const headers = { authorization: `Bearer ${token}` };
  const attempts = [
    () =>
      new NodeWebSocket(socketUrl(server.url), ["rollcall.v2"], { headers }),
    () =>
      new NodeWebSocket(socketUrl(server.url), [
        "rollcall.v2",
        `bearer.${token}`,
      ]),
  ];
  for (const connect of attempts) {
    const socket = connect();
    const received: string[] = [];
    socket.on("message", (data) => received.push(String(data)));
    const [first] = await until(
      "ws receives a message",
      () => received.length > 0 && received,
    );
    match(
      first ?? "",
      /^{"type":"presence_state","seq":\d+,"users":\[{"id":1,/,
    );
    equal(socket.protocol, "rollcall.v2");
    const closed = new Promise((resolve) => socket.on("close", resolve));
    socket.close();
    await closed;
  }
});
