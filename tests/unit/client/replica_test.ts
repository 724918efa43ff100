/** The client's copy: which messages change it, and which events follow. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { CLOSE } from "../../../src/client/protocol/close.ts";
import { until } from "../../support/until.ts";
import {
  count,
  diff,
  startClient,
  startScriptedServer,
  state,
} from "./scripted_server.ts";

Deno.test("[S1] the client applies a state and the diffs after it, and ignores repeated diffs and unknown types", async () => {
  await using server = startScriptedServer(({ send }) =>
    send(
      ...[state(5, 1, 2), diff(6, [3]), diff(6, [4]), diff(5, [], [1])],
      '{"type":"something new"}',
      diff(9, [], [2]),
    )
  );
  using client = startClient(server.url);
  await client.eventsAre("=1,2", "+3", "-2");
  deepEqual([...client.rollcall.users.keys()], [1, 3]);
  equal(client.rollcall.users.get(1)?.since, undefined);
  ok(client.rollcall.users.get(3)?.since instanceof Date);
  deepEqual(client.states, ["connecting", "connected"]);
  equal(server.peers[0]?.protocols, "rollcall.v2, bearer.t");
});

Deno.test("[S2] after a lost connection the client resumes, and reports only the differences", async () => {
  await using server = startScriptedServer(({ send, socket }, nth) => {
    if (nth === 0) {
      send(state(5, 1, 2, 3));
      socket.close(CLOSE.goingAway.code);
    } else if (nth === 1) {
      send(diff(8, [4], [1]), { type: "keepalive", seq: 11 });
      socket.close(CLOSE.internal.code);
    } else {
      send(state(20, 2, 4, 5));
    }
  });
  using client = startClient(server.url);
  await client.eventsAre("=1,2,3", "-1", "+4", "-3", "+5");
  deepEqual(
    server.peers.map(({ url }) => url.searchParams.get("since")),
    [null, "5", "11"],
  );
});

for (
  const malformed of [
    "not json",
    "null",
    "[]",
    '"text"',
    '{"type":"presence_state"}',
    '{"type":"presence_state","seq":1,"users":[{"id":""}]}',
    '{"type":"presence_state","seq":1,"users":[{"id":true}]}',
    '{"type":"presence_state","seq":-1,"users":[]}',
    '{"type":"presence_diff","seq":"9","online":[],"offline":[]}',
    '{"type":"presence_diff","seq":9,"online":null,"offline":[]}',
    '{"type":"presence_diff","seq":9,"online":[],"offline":[0]}',
    '{"type":"presence_diff","seq":1e99,"online":[],"offline":[]}',
    '{"type":"presence_count","seq":1,"online":-3}',
    '{"type":"keepalive"}',
  ]
) {
  Deno.test(`[S2] after the malformed message ${malformed} the client reconnects once, and asks for a snapshot`, async () => {
    await using server = startScriptedServer(({ send }, nth) => {
      if (nth % 2 === 0) send(state(5, 1), malformed);
      else send(state(7, 1, 2));
    });
    using client = startClient(server.url);
    await until("user 2 is online", () => client.rollcall.users.has(2));
    equal(server.peers.length, 2);
    equal(server.peers[1]?.url.searchParams.get("since"), null);
    deepEqual(client.events, ["=1", "+2"]);
  });
}

Deno.test("[S2] after a diff before any state the client reconnects", async () => {
  await using server = startScriptedServer(({ send }, nth) => {
    if (nth === 0) send(diff(3, [1]));
    else send(state(3, 2));
  });
  using client = startClient(server.url);
  await client.eventsAre("=2");
  equal(server.peers.length, 2);
});

Deno.test("[L1] a count empties the users, and the next state fills them again", async () => {
  await using server = startScriptedServer(({ send }, nth) => {
    if (nth === 0) send(state(1, 1, 2), count(9, 31_415));
    else send(state(12, 2));
  });
  using client = startClient(server.url);
  await client.eventsAre("=1,2", "=");
  equal(client.rollcall.count, 31_415);
  server.peers[0]?.send(state(12, 2));
  await client.eventsAre("=1,2", "=", "=2");
  equal(client.rollcall.count, 1);
});
