/** A page that is frozen, comes back, or changes its network. */
import { deepEqual, equal } from "node:assert/strict";
import { fakeClient, FakePlatform } from "./fake_platform.ts";

/** How a browser stops a page, and how it lets it go on. */
const FREEZES: Record<string, {
  stop: (platform: FakePlatform) => void;
  goOn: (platform: FakePlatform) => void;
}> = {
  "is kept in the back/forward cache": {
    stop: (platform) => {
      platform.fire("pagehide", { persisted: true });
      platform.document.fire("freeze");
    },
    goOn: (platform) => {
      platform.document.fire("resume");
      platform.fire("pageshow", { persisted: true });
    },
  },
  "is frozen in the background": {
    stop: ({ document }) => document.fire("freeze"),
    goOn: ({ document }) => document.fire("resume"),
  },
};

for (const [name, { stop, goOn }] of Object.entries(FREEZES)) {
  Deno.test(`[S2] a page that ${name} lets its connection go, and resumes at once when it goes on`, async () => {
    const { platform, infos, advance } = await fakeClient();
    platform.socket.connect();
    stop(platform);
    // Without a reason: a user who comes back within the grace did not leave.
    deepEqual(platform.socket.closes, [[undefined, undefined]]);
    await advance(3_600_000);
    equal(platform.sockets.length, 1);
    goOn(platform);
    await advance(0);
    equal(platform.sockets.length, 2);
    equal(platform.socket.url, "wss://presence.example/ws?since=1");
    platform.socket.connect();
    deepEqual(infos, [
      "connecting",
      "connected",
      "offline: the browser froze the page",
      "connecting: the browser froze the page",
      "connected",
    ]);
  });
}

Deno.test("[S2] a page that is frozen while it connects again lets that go too", async () => {
  const { platform, advance } = await fakeClient();
  for (const socket of [1, 2, 3]) {
    equal(platform.sockets.length, socket);
    platform.fire("pagehide", { persisted: true });
    equal(platform.socket.closes.length, 1);
    platform.fire("pageshow", { persisted: true });
    await advance(0);
  }
});

Deno.test("a page that is left for good keeps its connection until the browser closes it", async () => {
  const client = await fakeClient();
  client.platform.fire("pagehide", { persisted: false });
  deepEqual(client.platform.socket.closes, []);
  equal(client.state, "connecting");
});

for (
  const [name, fire] of Object.entries({
    "the network is back": (platform: FakePlatform) => platform.fire("online"),
    "the page is shown": (platform: FakePlatform) => platform.fire("pageshow"),
    "the page becomes visible": ({ document }: FakePlatform) =>
      document.fire("visibilitychange"),
  })
) {
  Deno.test(`the pause between two attempts ends when ${name}`, async () => {
    const client = await fakeClient();
    const { platform, advance } = client;
    for (let n = 0; n < 6; n++) {
      platform.socket.refuse();
      await advance(1_000 * 2 ** n);
    }
    platform.socket.refuse();
    await advance(0);
    equal(client.state, "reconnecting");
    fire(platform);
    await advance(0);
    equal(client.state, "connecting");
    platform.socket.refuse();
    equal(client.rollcall.connection.retryMs, 1_000);
    platform.document.visibilityState = "hidden";
    platform.document.fire("visibilitychange");
    await advance(0);
    equal(client.state, "reconnecting");
  });
}

Deno.test("a closed client leaves no listener on the page, nor on the signal", async () => {
  const { rollcall, platform } = await fakeClient();
  rollcall.close();
  deepEqual([platform.count, platform.document.count], [0, 0]);
});

Deno.test("a browser without a network is tried all the same, at once and then with the longest pauses", async () => {
  const platform = new FakePlatform();
  platform.navigator.onLine = false;
  const client = await fakeClient({ platform });
  equal(platform.sockets.length, 1);
  platform.socket.refuse();
  deepEqual(client.rollcall.connection, {
    ...{ state: "offline", retryMs: 30_000 },
    reason: "the browser has no network connection",
  });
  await client.advance(30_000);
  // The browser was wrong: this server is on the same machine.
  platform.socket.connect();
  equal(client.state, "connected");
});

Deno.test("a connection outlasts an event `offline` while the server answers", async () => {
  const client = await fakeClient();
  const { platform, advance } = client;
  platform.socket.connect();
  platform.navigator.onLine = false;
  platform.fire("offline");
  await advance(20_000);
  deepEqual(client.infos, ["connecting", "connected"]);
  platform.socket.isAnswering = false;
  platform.fire("offline");
  await advance(5_000);
  equal(client.state, "offline");
});
