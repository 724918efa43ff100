/** `connect`, its arguments, and the client's state from the first event to the last. */
import { deepEqual, equal, throws } from "node:assert/strict";
import { Rollcall } from "../../../src/client/client.ts";
import { fakeClient } from "./fake_platform.ts";
import { startClient, startScriptedServer, state } from "./scripted_server.ts";

Deno.test("a client that is closed while it connects stays closed and emits nothing more", async () => {
  await using server = startScriptedServer(({ send }) => send(state(1, 1)));
  using early = startClient(server.url);
  early.rollcall.on("connection", ({ state }) => {
    if (state === "connecting") early.rollcall.close();
  });
  await early.stateIs("closed");
  using late = startClient(server.url);
  late.rollcall.on("connection", ({ state }) => {
    if (state === "connected") late.rollcall.close();
  });
  await late.stateIs("closed");
  await new Promise((resolve) => setTimeout(resolve, 100));
  equal(server.peers.length, 1);
  deepEqual(early.states, ["connecting", "closed"]);
  deepEqual(late.states, ["connecting", "connected", "closed"]);
  deepEqual(late.events, []);
});

Deno.test("the former event and property `status` report the connection in their former words", async () => {
  const { rollcall, platform, advance } = await fakeClient();
  const events: unknown[] = [];
  rollcall.on("status", (status) => {
    deepEqual(status, rollcall.status);
    events.push(status);
  });
  platform.socket.open();
  platform.socket.end(1013, "overloaded");
  await advance(1_000);
  platform.socket.connect();
  platform.fire("pagehide", { persisted: true });
  rollcall.close();
  const lost = { code: 1013, reason: "overloaded" };
  deepEqual(events, [
    { ...lost, state: "waiting", retryMs: 1_000 },
    { ...lost, state: "connecting" },
    { state: "connected" },
    { state: "paused", reason: "the browser froze the page" },
    { state: "closed", code: 1000, reason: "closed by the application" },
  ]);
});

Deno.test("an application cannot change the users", async () => {
  await using server = startScriptedServer(({ send }) => send(state(1, 1)));
  using client = startClient(server.url);
  await client.eventsAre("=1");
  const map = client.rollcall.users as Map<number, unknown>;
  throws(() => map.set(2, {}), /read-only/);
  throws(() => map.delete(1), /read-only/);
  throws(() => map.clear(), /read-only/);
  deepEqual([...client.rollcall.users.keys()], [1]);
});

Deno.test("a signal closes the client, before and after it connected", async () => {
  await using server = startScriptedServer(({ send }) => send(state(1)));
  const abort = new AbortController();
  using client = startClient(server.url, { signal: abort.signal });
  await client.stateIs("connected");
  abort.abort();
  equal(client.rollcall.connection.state, "closed");
  using never = startClient(server.url, { signal: AbortSignal.abort() });
  await never.stateIs("closed");
  equal(server.peers.length, 1);
});

Deno.test("an invalid URL, token or watch set throws at once", () => {
  const build = (url: string, watch?: unknown) => () =>
    new Rollcall(url, { token: "t", ...(watch ? { watch } : {}) } as never);
  throws(build("nowhere"), /Cannot connect to "nowhere": expected a URL/);
  throws(build("ftp://x/ws"), /expected wss: or https:/);
  throws(
    build("ws://x/ws", [0]),
    /Cannot use 0 as a user id: expected a whole number from 1 to 9007199254740991, or text/,
  );
  throws(build("ws://x/ws", [""]), /Cannot use {2}as a user id/);
  throws(build("ws://x/ws", [{}]), /Cannot use \[object Object\] as a user id/);
  throws(
    () => new Rollcall("ws://x/ws", { token: 5 } as never),
    /expected a token, or a function, got a number$/,
  );
  throws(build("ws://x/ws", "12"), /expected user ids, or "\*"/);
  throws(build("ws://x/ws", 12), /Cannot watch 12: expected user ids/);
  throws(
    () => new Rollcall("ws://x/ws", undefined as never),
    /expected a token, or a function, got undefined$/,
  );
  const many = Array.from({ length: 5_001 }, (_, index) => index + 1);
  throws(
    build("ws://x/ws", many),
    /Cannot watch 5001 users: expected at most 5000/,
  );
});
