/** Each configured limit: one socket past it is refused, and below it sockets are accepted again. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { connect, socketUrl, tokenFor } from "../support/client.ts";
import { postgresForThisFile } from "../support/database.ts";
import { readiness } from "../support/endpoints.ts";
import { openDescriptors } from "../support/process.ts";
import { rawHandshake } from "../support/raw_socket.ts";
import { startServerOn, type TestServer } from "../support/server.ts";
import { until } from "../support/until.ts";

const postgres = postgresForThisFile();

const start = (env: Record<string, string>) =>
  startServerOn(postgres.database(), env);

/** The answer to a handshake. The socket, if there is one, is closed at once. */
async function handshake(
  server: TestServer,
  userId: number,
  headers: Record<string, string> = {},
) {
  const path = new URL(socketUrl(server.url, await tokenFor(userId)));
  using raw = await rawHandshake(
    server.url,
    headers,
    "answer",
    path.pathname + path.search,
  );
  const retryAfter = /^retry-after: (\d+)\r$/im.exec(raw.head)?.[1];
  const code = /"code":"([a-z_]+)"/.exec(
    raw.head + new TextDecoder().decode(raw.rest),
  )?.[1];
  return { status: raw.status, code, retryAfter: Number(retryAfter ?? 0) };
}

Deno.test("[L1] past MAX_CONNECTIONS a node refuses sockets and is not ready, until a socket ends", async () => {
  await using server = await start({ MAX_CONNECTIONS: "2" });
  await using _ada = await connect(server.url, 1);
  const bob = await connect(server.url, 2);
  const { status, code, retryAfter } = await handshake(server, 3);
  deepEqual([status, code], [503, "full"]);
  ok(retryAfter >= 5 && retryAfter <= 10);
  const ready = await readiness(server);
  equal(ready.status, 503);
  equal(ready.checks.load, "MAX_CONNECTIONS is reached");
  await bob.close();
  await until(
    "a slot is free",
    async () => (await handshake(server, 3)).status === 101,
  );
});

Deno.test("[L1] past MAX_CONNECTIONS_PER_USER a socket is closed with 4429", async () => {
  await using server = await start({ MAX_CONNECTIONS_PER_USER: "2" });
  await using _first = await connect(server.url, 1);
  await using second = await connect(server.url, 1);
  await using third = await connect(server.url, 1);
  deepEqual(await third.closed, {
    code: 4429,
    reason: "too many connections for this user",
  });
  equal(second.socket.readyState, WebSocket.OPEN);
  await using _bob = await connect(server.url, 2);
  await second.receives("user_online", 2);
});

Deno.test("[L1] past MAX_CONNECTIONS_PER_ADDRESS an address gets 429, and other addresses are served", async () => {
  await using server = await start({
    MAX_CONNECTIONS_PER_ADDRESS: "1",
    TRUSTED_PROXIES: "127.0.0.1",
  });
  await using _ada = await connect(server.url, 1);
  const { status, code } = await handshake(server, 2);
  deepEqual([status, code], [429, "too_many_connections"]);
  const other = await handshake(server, 2, { "X-Forwarded-For": "192.0.2.7" });
  equal(other.status, 101);
});

Deno.test("[L1] past MAX_NEW_CONNECTIONS_PER_SECOND a node answers 503 with the time to retry", async () => {
  await using server = await start({ MAX_NEW_CONNECTIONS_PER_SECOND: "5" });
  const startedAt = performance.now();
  const answers = await Promise.all(
    Array.from({ length: 40 }, (_, index) => handshake(server, 1 + index % 10)),
  );
  const seconds = (performance.now() - startedAt) / 1_000;
  const refused = answers.filter(({ status }) => status === 503);
  const taken = answers.length - refused.length;
  // A burst of one second, and then one every fifth of a second for as long as it took.
  ok(taken >= 5 && taken <= 5 + 5 * seconds, `${taken} in ${seconds} s`);
  ok(refused.length > 0, `none of 40 is refused in ${seconds} s`);
  for (const { code, retryAfter } of refused) {
    equal(code, "busy");
    ok(retryAfter >= 1 && retryAfter <= 2);
  }
  await until(
    "the rate limit has recovered",
    async () => (await handshake(server, 1)).status === 101,
  );
});

Deno.test("[L1] peers with bad tokens that never answer the close do not use slots of other clients", async () => {
  await using server = await start({ MAX_CONNECTIONS: "3" });
  const mutes = [];
  for (let n = 0; n < 10; n++) {
    const path = "/ws?token=bad";
    const mute = await rawHandshake(server.url, {}, "answer", path);
    equal(mute.status, 101);
    // The slot moves to closing when the close frame is sent. The peer never answers it.
    if (mute.rest.length === 0) await mute.conn.read(new Uint8Array(128));
    mutes.push(mute);
  }
  await using ada = await connect(server.url, 1);
  await using _bob = await connect(server.url, 2);
  await ada.receives("user_online", 2);
  for (const mute of mutes) mute[Symbol.dispose]();
});

Deno.test("[L1] peers past MAX_CONNECTIONS_PER_USER that never answer the close do not use slots of other clients", async () => {
  await using server = await start({
    ...{ MAX_CONNECTIONS: "3", MAX_CONNECTIONS_PER_USER: "1" },
  });
  await using ada = await connect(server.url, 1);
  const mutes = [];
  for (let n = 0; n < 10; n++) {
    const mute = await rawHandshake(
      server.url,
      {},
      "answer",
      `/ws?token=${await tokenFor(1)}`,
    );
    equal(mute.status, 101);
    if (mute.rest.length === 0) await mute.conn.read(new Uint8Array(128));
    mutes.push(mute);
  }
  await using _bob = await connect(server.url, 2);
  await ada.receives("user_online", 2);
  for (const mute of mutes) mute[Symbol.dispose]();
});

Deno.test("[L1] without free descriptors the server logs an error, keeps its sockets, and listens again later", async () => {
  await using server = await start({});
  await using ada = await connect(server.url, 1);
  const { hostname, port } = new URL(server.url);
  const most = openDescriptors(server.pid) + 10;
  const limited = await new Deno.Command("prlimit", {
    args: [`--pid=${server.pid}`, `--nofile=${most}`],
  }).output();
  equal(limited.code, 0);
  const silent = await Promise.all(
    Array.from(
      { length: 30 },
      () =>
        Deno.connect({ hostname, port: Number(port) }).catch(() => undefined),
    ),
  );
  await until(
    "the error is logged",
    () => server.log.some((line) => line.includes("the HTTP listener ended")),
  );
  for (const conn of silent) conn?.close();
  const bob = await until(
    "bob is served",
    () => connect(server.url, 2).catch(() => undefined),
  );
  await ada.receives("user_online", 2);
  await bob.close();
  await ada.receives("user_offline", 2);
});

Deno.test("[P1] a damaged and a foreign signature are refused with the same code in the same time", async () => {
  await using server = await start({ MAX_FAILED_TOKENS_PER_MINUTE: "100000" });
  const wrong = `${await tokenFor(1)}x`;
  const foreign = (await tokenFor(1)).replace(/\.[^.]*$/, ".AAAA");
  const time = async (token: string) => {
    const startedAt = performance.now();
    const socket = new WebSocket(socketUrl(server.url, token));
    const code = await new Promise((resolve) => {
      socket.onclose = (event) => resolve(event.code);
    });
    equal(code, 1008);
    return performance.now() - startedAt;
  };
  const times: [number[], number[]] = [[], []];
  for (let n = 0; n < 100; n++) {
    times[0].push(await time(wrong));
    times[1].push(await time(foreign));
  }
  const [first, second] = times.map((all) =>
    all.sort((a, b) => a - b)[50] ?? 0
  );
  const ratio = (first ?? 0) / (second ?? 1);
  ok(ratio > 0.5 && ratio < 2, `${first} ms and ${second} ms`);
});
