/** Watch sets: how the client requests one, and what happens if the server refuses it. */
import { deepEqual, equal, ok } from "node:assert/strict";
import type { ServerMessage } from "../../../src/client/protocol/messages.ts";
import { until } from "../../support/until.ts";
import {
  answerWatches,
  count,
  diff,
  startClient,
  startScriptedServer,
  state,
  TOO_LARGE,
} from "./scripted_server.ts";

/** Too many ids for the query of a URL. */
const MANY_IDS = Array.from({ length: 1_000 }, (_, nth) => 1_000_000 + nth);

Deno.test("[S4] users who enter or leave the watch set cause no online or offline event", async () => {
  await using server = startScriptedServer((peer) => {
    const watched = peer.url.searchParams.get("watch");
    peer.send(watched === "1,2" ? state(1, 1) : state(1));
    answerWatches(
      peer,
      (_, nth) => nth === 0 ? [diff(2, [2]), state(3, 2)] : [state(4, 2, 3, 9)],
    );
  });
  using client = startClient(server.url, { watch: [1, 2] });
  await client.eventsAre("=1");
  client.rollcall.watch([2, 3]);
  await client.eventsAre("=1", "+2", "=2");
  client.rollcall.watch("*");
  // User 3 was watched, and was offline. User 9 was not watched.
  await client.eventsAre("=1", "+2", "=2", "+3", "=2,3,9");
  deepEqual(server.peers[0]?.received, [[2, 3], "*"]);
});

const SPELLINGS: Record<string, [written: string, id: number | string]> = {
  "digits as text": ["7", 7],
  "a UUID in upper case": [
    "A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11",
    "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11",
  ],
};

for (const [name, [written, id]] of Object.entries(SPELLINGS)) {
  Deno.test(`[U3] a watched id may be ${name}, which the server writes in another way`, async () => {
    const state = (seq: number, isOnline: boolean): ServerMessage => ({
      ...{ type: "presence_state", seq },
      users: isOnline ? [{ id, username: "ada" }] : [],
    });
    await using server = startScriptedServer(({ send, socket }, nth) => {
      send(state(nth, nth !== 1));
      if (nth < 2) socket.close(1001);
    });
    using client = startClient(server.url, { watch: [written] });
    await client.eventsAre(`=${id}`, `-${id}`, `+${id}`);
    equal(server.peers[0]?.url.searchParams.get("watch"), written);
  });
}

Deno.test("[S4] of many watch calls in a row the last one takes effect, and few messages are sent", async () => {
  await using server = startScriptedServer((peer) => {
    peer.send(state(1, 1, 2, 3));
    answerWatches(peer, (userIds) => [state(1, ...userIds as number[])]);
  });
  const startedAt = performance.now();
  using client = startClient(server.url);
  await client.eventsAre("=1,2,3");
  client.rollcall.watch([1]);
  client.rollcall.watch([2]);
  client.rollcall.watch([3]);
  await client.eventsAre("=1,2,3", "=3");
  deepEqual(server.peers[0]?.received, [[1], [3]]);
  for (let n = 0; n < 40; n++) {
    client.rollcall.watch([1 + n % 2]);
    await new Promise((resolve) => setTimeout(resolve, 15));
  }
  await until("the last set takes effect", () => client.events.at(-1) === "=2");
  const seconds = (performance.now() - startedAt) / 1_000;
  // The throttle's burst, and two each second.
  ok((server.peers[0]?.received.length ?? 0) <= 10 + 2 * seconds);
  equal(server.peers.length, 1);
});

Deno.test("[L1] the refusal of a watch set that is too large does not refuse the next one", async () => {
  await using server = startScriptedServer((peer) => {
    peer.send(state(1, 4));
    answerWatches(
      peer,
      (userIds) =>
        userIds.length > 3
          ? [diff(2, [5]), TOO_LARGE]
          : [state(3, ...userIds as number[])],
    );
  });
  using client = startClient(server.url, { watch: [4, 5] });
  await client.eventsAre("=4");
  client.rollcall.watch([1, 2, 3, 4]);
  // The set before it stays in effect, before and after the refusal.
  await client.eventsAre("=4", "+5", "watch_too_large");
  client.rollcall.watch([1, 2, 3, 5]);
  client.rollcall.watch([2, 3]);
  await client.eventsAre(
    ...["=4", "+5", "watch_too_large", "watch_too_large", "=2,3"],
  );
});

Deno.test("[S4] after a refusal the watch set before it takes effect, also if its state was skipped", async () => {
  await using server = startScriptedServer((peer) => {
    peer.send(state(1, 1, 2, 7));
    answerWatches(peer, (userIds) => {
      if (userIds.length > 3) return [TOO_LARGE];
      return [state(1, ...userIds as number[])];
    });
  });
  using client = startClient(server.url);
  await client.eventsAre("=1,2,7");
  client.rollcall.watch([1, 2]);
  client.rollcall.watch([3, 4, 5, 6]);
  await client.eventsAre("=1,2,7", "watch_too_large", "=1,2");
  deepEqual(server.peers[0]?.received, [[1, 2], [3, 4, 5, 6], [1, 2]]);
});

Deno.test("[S2] a client that watches all users again and loses its connection resumes from its copy of all users", async () => {
  await using server = startScriptedServer((peer, nth) => {
    if (nth > 0) return peer.send(diff(12, [], [1, 2]));
    peer.send(state(10, 1, 2));
    // User 2 goes offline at 11, while the client watches only user 1. The connection ends
    // before the watch of all users is answered.
    peer.socket.onmessage = ({ data }) => {
      const { userIds, ref } = JSON.parse(data);
      if (userIds !== "*") {
        return peer.send({ type: "watching", ref }, state(10, 1));
      }
      peer.send(diff(12, [], [1]));
      peer.socket.close(1013);
    };
  });
  using client = startClient(server.url);
  await client.eventsAre("=1,2");
  client.rollcall.watch([1]);
  client.rollcall.watch("*");
  await client.eventsAre("=1,2", "-1", "-2");
  equal(server.peers[1]?.url.searchParams.get("since"), "10");
});

Deno.test("[L1] if a node is overloaded the client keeps its watch set and reconnects", async () => {
  const overloaded: ServerMessage = {
    ...{ type: "error", code: "overloaded", message: "this node is full" },
  };
  await using server = startScriptedServer((peer, nth) => {
    peer.send(state(1));
    answerWatches(peer, () => nth < 2 ? [overloaded] : [state(1, 1_000_007)]);
  });
  using client = startClient(server.url, { watch: MANY_IDS });
  await client.eventsAre("=1000007");
  equal(server.peers.length, 3);
});

Deno.test("[L1] after the refusal of the first watch set nobody is watched, with an error", async () => {
  await using server = startScriptedServer((peer) => {
    peer.send(state(1));
    answerWatches(peer, (userIds) => userIds.length ? [TOO_LARGE] : [state(1)]);
  });
  using client = startClient(server.url, { watch: MANY_IDS });
  await client.eventsAre("watch_too_large", "=");
  equal(client.rollcall.connection.state, "connected");
});

Deno.test("[S4] a watch set that the server refuses in the URL is sent as a message", async () => {
  await using server = startScriptedServer((peer) => {
    peer.send(state(1));
    answerWatches(peer, (userIds) => userIds.length ? [TOO_LARGE] : [state(1)]);
  }, (url) => !["", null].includes(url.searchParams.get("watch")));
  using client = startClient(server.url, { watch: [1, 2, 3, 4, 5, 6] });
  await client.eventsAre("watch_too_large", "=");
});

Deno.test("[L1] a count applies to a watch of all users, and to no other", async () => {
  await using server = startScriptedServer((peer) => {
    peer.send(state(1, 1));
    answerWatches(
      peer,
      (userIds) =>
        userIds === "*" ? [count(9, 31_415)] : [count(9, 31_415), state(10, 2)],
    );
  });
  using client = startClient(server.url, { watch: [1] });
  await client.eventsAre("=1");
  client.rollcall.watch("*");
  await client.eventsAre("=1", "=");
  equal(client.rollcall.count, 31_415);
  client.rollcall.watch([2]);
  await client.eventsAre("=1", "=", "=2");
  equal(client.rollcall.count, 1);
});

Deno.test("[S4] a long watch set is sent as a message, and the client is connected after its answer", async () => {
  await using server = startScriptedServer((peer) => {
    peer.send(state(1));
    answerWatches(peer, () => [state(1, 1_000_001)]);
  });
  using client = startClient(server.url, { watch: MANY_IDS });
  await client.eventsAre("=1000001");
  equal(server.peers[0]?.url.searchParams.get("watch"), "");
  deepEqual(client.states, ["connecting", "connected"]);
});

Deno.test("[L1] a watch set that is too large causes an error, and the set before it stays", async () => {
  await using server = startScriptedServer((peer) => {
    peer.send(state(1, 7));
    answerWatches(peer, () => [TOO_LARGE, diff(2, [8])]);
  });
  using client = startClient(server.url);
  await client.eventsAre("=7");
  client.rollcall.watch([1, 2, 3]);
  await client.eventsAre("=7", "watch_too_large", "+8");
});
