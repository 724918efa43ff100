/** A connection that looks open: when the client asks the server, and when it believes the silence. */
import { deepEqual, equal } from "node:assert/strict";
import { fakeClient, type FakePlatform } from "./fake_platform.ts";

/** What makes a client doubt its connection. */
const HINTS: Record<string, (platform: FakePlatform) => void> = {
  "a change of network": (platform) => platform.fire("online"),
  "a frozen page that goes on": ({ document }) => document.fire("resume"),
  "a page that becomes visible": ({ document }) =>
    document.fire("visibilitychange"),
};

for (const [name, happen] of Object.entries(HINTS)) {
  Deno.test(`[S2] after ${name} a connection is broken if the server does not answer within 5 s`, async () => {
    const client = await fakeClient();
    const { platform, advance } = client;
    platform.socket.connect();
    await advance(1_000);
    platform.socket.isAnswering = false;
    happen(platform);
    await advance(4_999);
    equal(client.state, "connected");
    await advance(1);
    equal(client.state, "reconnecting");
    equal(
      client.rollcall.connection.reason,
      "timed out: the server is silent",
    );
  });

  Deno.test(`[S2] after ${name} a connection stays if the server answers`, async () => {
    const client = await fakeClient();
    const { platform, advance } = client;
    platform.socket.connect();
    happen(platform);
    await advance(25_000);
    deepEqual(client.infos, ["connecting", "connected"]);
    deepEqual(platform.socket.sent, ["ping"]);
  });
}

Deno.test("[S2] after a sleep that only the wall clock shows, a broken connection is noticed within 10 s", async () => {
  const client = await fakeClient();
  const { platform, advance } = client;
  platform.socket.connect();
  platform.socket.isAnswering = false;
  platform.sleep(3_600_000);
  await advance(10_000);
  equal(client.state, "reconnecting");
});

Deno.test("[S2] a wall clock that is set forward or back ends no connection", async () => {
  const client = await fakeClient();
  const { platform, advance } = client;
  platform.socket.connect();
  for (const ms of [3_600_000, -7_200_000, 20_000, -20_000]) {
    platform.wallAheadMs += ms;
    await advance(20_000);
    platform.socket.receive({ type: "keepalive", seq: 1 });
  }
  deepEqual(client.infos, ["connecting", "connected"]);
});

Deno.test("[S2] a wall clock that is set back hides no silence", async () => {
  const client = await fakeClient();
  const { platform, advance } = client;
  platform.socket.connect();
  platform.socket.isAnswering = false;
  platform.wallAheadMs -= 3_600_000;
  await advance(70_000);
  equal(client.state, "reconnecting");
});

Deno.test("[S2] a server that is silent for 70 s and does not answer is given up", async () => {
  const client = await fakeClient();
  const { platform, advance } = client;
  platform.socket.connect();
  platform.socket.isAnswering = false;
  await advance(69_000);
  equal(client.state, "connected");
  deepEqual(platform.socket.sent, ["ping"]);
  await advance(1_000);
  equal(client.state, "reconnecting");
});

Deno.test("[S2] a first message may take 70 s, whatever happens to the page", async () => {
  const client = await fakeClient();
  const { platform, advance } = client;
  platform.socket.isAnswering = false;
  platform.socket.open();
  platform.fire("online");
  await advance(69_000);
  equal(client.state, "connecting");
  await advance(1_000);
  equal(
    client.rollcall.connection.reason,
    "timed out while waiting for the first message",
  );
});

Deno.test("[L1] the client asks at most once in 5 s, however often the page wakes", async () => {
  const { platform, advance } = await fakeClient();
  platform.socket.connect();
  for (let n = 0; n < 100; n++) {
    platform.fire("online");
    await advance(100);
  }
  equal(platform.socket.sent.length, 2);
});

Deno.test("[S2] messages that arrived while the page was blocked count, though timers fire before them", async () => {
  const client = await fakeClient();
  const { platform, advance } = client;
  platform.socket.connect();
  // The client has asked after 30 s, and then the page is blocked for 76 s.
  platform.socket.isAnswering = false;
  await advance(31_000);
  deepEqual(platform.socket.sent, ["ping"]);
  platform.block(76_000);
  await advance(0);
  equal(client.state, "connected");
  platform.socket.receive({ type: "keepalive", seq: 1 });
  await advance(25_000);
  deepEqual(client.infos, ["connecting", "connected"]);
});

Deno.test("[S2] a socket that opened while the page was blocked is not given up", async () => {
  const client = await fakeClient();
  const { platform, advance } = client;
  platform.block(20_000);
  await advance(0);
  platform.socket.connect();
  await advance(5_000);
  deepEqual(client.infos, ["connecting", "connected"]);
});

Deno.test("[S2] a server of an earlier version that refuses a ping has answered, and the application gets no error", async () => {
  const client = await fakeClient();
  const { platform, advance } = client;
  const errors: string[] = [];
  client.rollcall.on("error", ({ code }) => errors.push(code));
  platform.socket.connect();
  platform.socket.isAnswering = false;
  platform.fire("online");
  const message = 'type: expected "watch" or "refresh"';
  platform.socket.receive({ type: "error", code: "bad_message", message });
  await advance(20_000);
  deepEqual(errors, []);
  equal(client.state, "connected");
});
