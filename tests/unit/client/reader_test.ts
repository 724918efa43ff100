/** `for await` loops over changes, fast and slow. */
import { deepEqual } from "node:assert/strict";
import type { PresenceChange } from "../../../src/client/client.ts";
import { until } from "../../support/until.ts";
import {
  answerWatches,
  diff,
  startClient,
  startScriptedServer,
  state,
} from "./scripted_server.ts";

Deno.test("a slow loop gets no change of a user who is no longer watched", async () => {
  await using server = startScriptedServer((peer) => {
    peer.send(state(1), diff(2, [1, 2]));
    answerWatches(
      peer,
      (userIds) => [userIds === "*" ? state(4, 2) : state(3, 2)],
    );
  });
  using client = startClient(server.url);
  const reader = client.rollcall[Symbol.asyncIterator]();
  await client.eventsAre("=", "+1", "+2");
  client.rollcall.watch([2]);
  await client.eventsAre("=", "+1", "+2", "=2");
  client.rollcall.watch("*");
  await client.eventsAre("=", "+1", "+2", "=2", "=2");
  server.peers[0]?.send(diff(5, [1]));
  await client.eventsAre("=", "+1", "+2", "=2", "=2", "+1");
  const read = [];
  for (let n = 0; n < 2; n++) {
    const { value } = await reader.next();
    read.push(`${value.user.id} ${value.type}`);
  }
  deepEqual(read, ["2 online", "1 online"]);
});

Deno.test("a fast loop gets each change, and a slow loop the difference since it last read", async () => {
  await using server = startScriptedServer(({ send }) => send(state(1, 1)));
  using client = startClient(server.url);
  await client.eventsAre("=1");
  const read: string[] = [];
  const record = ({ type, user }: PresenceChange) =>
    read.push(`${user.id} ${type}`);
  const reader = client.rollcall[Symbol.asyncIterator]();
  const peer = server.peers[0];
  peer?.send(diff(2, [2]), diff(3, [3]), diff(4, [], [2]), diff(5, [], [1]));
  await until("all events arrived", () => client.events.length === 5);
  const loop = (async () => {
    for await (const change of reader) record(change);
  })();
  await until("the loop read two changes", () => read.length === 2);
  peer?.send(diff(6, [5]));
  await until("the loop read a third", () => read.length === 3);
  client.rollcall.close();
  await loop;
  deepEqual(read, ["3 online", "1 offline", "5 online"]);
  for await (const _change of client.rollcall) {
    throw new Error("a closed client has no changes");
  }
});
