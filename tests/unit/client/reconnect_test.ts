/** Sockets that do not open or end, and the pauses after them. */
import { deepEqual, equal } from "node:assert/strict";
import { type FakeClient, fakeClient, FakePlatform } from "./fake_platform.ts";

/** Advances to the next attempt to connect. */
async function untilNextAttempt({ rollcall, advance }: FakeClient) {
  await advance(rollcall.connection.retryMs ?? 0);
}

const UNOPENED = "the server refused the connection or does not answer";

Deno.test("Firefox closes every socket when a navigation begins: that makes no pause longer", async () => {
  const client = await fakeClient();
  const { platform, advance } = client;
  for (let n = 0; n < 7; n++) {
    platform.socket.connect();
    await advance(100);
    platform.socket.end(1001, "");
    deepEqual(client.rollcall.connection, {
      ...{ state: "reconnecting", code: 1001, retryMs: 1_000 },
      reason: "the browser closed the connection",
    });
    await advance(1_000);
  }
});

Deno.test("[S2] a server that goes away makes the pauses longer, and so does a 1001 before the first message", async () => {
  for (const reason of ["server going away", ""]) {
    const client = await fakeClient();
    const { platform, advance } = client;
    const pauses: unknown[] = [];
    for (let n = 0; n < 4; n++) {
      if (reason === "") platform.socket.open();
      else platform.socket.connect();
      platform.socket.end(1001, reason);
      const { retryMs } = client.rollcall.connection;
      pauses.push(retryMs);
      await advance(retryMs ?? 0);
    }
    deepEqual(pauses, [1_000, 2_000, 4_000, 8_000]);
  }
});

Deno.test("[S2] a connection that was healthy for 10 s ends the backoff, whatever the wall clock did", async () => {
  const client = await fakeClient();
  const { platform, advance } = client;
  const pauseAfter = async (healthyMs: number) => {
    platform.socket.connect();
    await advance(healthyMs);
    platform.wallAheadMs -= 3_600_000;
    platform.socket.end(1013, "overloaded");
    const { retryMs = 0 } = client.rollcall.connection;
    await advance(retryMs);
    return retryMs;
  };
  equal(await pauseAfter(1_000), 1_000);
  equal(await pauseAfter(9_000), 2_000);
  equal(await pauseAfter(10_000), 1_000);
});

Deno.test("a socket that does not open says so in words, and after three with a doubtful path where /ws was expected", async () => {
  for (
    const [url, hint] of [
      ["wss://presence.example/", ": expected an address ending in /ws"],
      ["wss://presence.example/ws/", ": expected an address ending in /ws"],
      ["wss://presence.example/app/ws", ""],
      ["wss://presence.example/ws?room=1", ""],
    ] as const
  ) {
    const { platform, advance, rollcall } = await fakeClient({ url });
    const reasons: unknown[] = [];
    for (let n = 0; n < 4; n++) {
      platform.socket.refuse();
      const { reason, retryMs = 0 } = rollcall.connection;
      reasons.push(reason);
      await advance(retryMs);
    }
    const hinted = UNOPENED + hint;
    deepEqual(reasons, [UNOPENED, UNOPENED, hinted, hinted], url);
  }
});

Deno.test("a path that worked once is not doubted", async () => {
  const url = "wss://presence.example/presence";
  const client = await fakeClient({ url });
  const { platform, infos } = client;
  platform.socket.connect();
  platform.socket.end(1006);
  for (let n = 0; n < 5; n++) {
    await untilNextAttempt(client);
    platform.socket.refuse();
  }
  equal(infos.at(-1), `reconnecting: ${UNOPENED}`);
});

Deno.test("[L1] a socket that does not open within 15 s is given up", async () => {
  const { platform, advance, infos } = await fakeClient();
  await advance(15_000);
  deepEqual(infos, ["connecting", "reconnecting: timed out while connecting"]);
  equal(platform.socket.closes.length, 1);
});

Deno.test("a socket that the browser forbids closes the client, in words", async () => {
  const platform = new FakePlatform();
  platform.forbids = new DOMException("insecure", "SecurityError");
  const { rollcall } = await fakeClient({ platform });
  deepEqual(rollcall.connection, {
    ...{ state: "closed", code: 1008 },
    reason: "cannot open a socket: insecure",
  });
});

/** Firefox, which delays sockets to a host where some failed. */
function firefox(): FakePlatform {
  const platform = new FakePlatform();
  platform.navigator.userAgent = "Mozilla/5.0 (rv:153.0) Firefox/153.0";
  return platform;
}

/** A client whose connection just ended, and whose next socket was refused. */
async function afterOutage(platform: FakePlatform, status?: number) {
  const client = await fakeClient({ platform });
  platform.socket.connect();
  await client.advance(0);
  platform.status = status;
  platform.socket.end(1006);
  await untilNextAttempt(client);
  platform.socket.refuse();
  return client;
}

Deno.test("in Firefox no socket is tried during an outage until /healthz answers", async () => {
  const platform = firefox();
  const client = await afterOutage(platform);
  await client.advance(440_000);
  // The first connection, and the attempt that began the outage.
  equal(platform.sockets.length, 2);
  equal(client.infos.at(-1), `reconnecting: ${UNOPENED}`);
  // Of a server of another origin the page gets no status.
  platform.status = 0;
  for (let n = 0; n < 30 && platform.sockets.length < 3; n++) {
    await client.advance(1_000);
  }
  platform.socket.connect();
  equal(client.state, "connected");
  const urls = new Set(platform.fetched);
  deepEqual([...urls], ["https://presence.example/healthz"]);
});

Deno.test("in Firefox a proxy that answers for a server that is away is no answer", async () => {
  const platform = firefox();
  const client = await afterOutage(platform, 502);
  await client.advance(120_000);
  equal(platform.sockets.length, 2);
});

Deno.test("in Firefox a page whose policy forbids to ask /healthz opens sockets all the same", async () => {
  const platform = firefox();
  platform.status = undefined;
  const client = await afterOutage(platform);
  for (let n = 0; n < 3; n++) {
    await untilNextAttempt(client);
    platform.socket.refuse();
  }
  equal(platform.sockets.length, 5);
});

Deno.test("in other browsers the client fetches nothing", async () => {
  const platform = new FakePlatform();
  const client = await afterOutage(platform);
  await client.advance(120_000);
  deepEqual(platform.fetched, []);
});
