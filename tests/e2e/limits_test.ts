/** Each configured limit: one socket past it is refused, and below it sockets are accepted again. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import {
  connect,
  connectWith,
  socketUrl,
  tokenFor,
} from "../support/client.ts";
import { postgresForThisFile } from "../support/database.ts";
import { readiness } from "../support/endpoints.ts";
import { openDescriptors } from "../support/process.ts";
import { rawHandshake, resetHandshake } from "../support/raw_socket.ts";
import { startServerOn, type TestServer } from "../support/server.ts";
import { connectSync } from "../support/sync_client.ts";
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

/** The request of a client behind a trusted proxy. */
const from = (address: string) => ({ "X-Forwarded-For": address });

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
  const other = await handshake(server, 2, from("192.0.2.7"));
  equal(other.status, 101);
});

Deno.test("[L1] past MAX_NEW_CONNECTIONS_PER_SECOND a node answers 503 with the time to retry", async () => {
  await using server = await start({
    ...{ MAX_NEW_CONNECTIONS_PER_SECOND: "5", TRUSTED_PROXIES: "127.0.0.1" },
  });
  const startedAt = performance.now();
  const answers = await Promise.all(
    Array.from(
      { length: 40 },
      (_, n) => handshake(server, 1 + n % 10, from(`192.0.2.${n}`)),
    ),
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

Deno.test("[L1] one address that opens sockets as fast as it can leaves others their share of MAX_NEW_CONNECTIONS_PER_SECOND", async () => {
  await using server = await start({
    ...{ MAX_NEW_CONNECTIONS_PER_SECOND: "10", TRUSTED_PROXIES: "127.0.0.1" },
  });
  for (let round = 0; round < 3; round++) {
    const answers = await Promise.all(
      Array.from(
        { length: 30 },
        (_, n) => handshake(server, 1 + n % 10, from("192.0.2.1")),
      ),
    );
    const codes = answers.flatMap(({ code }) => code ?? []);
    deepEqual([...new Set(codes)], ["too_many_handshakes"]);
    equal((await handshake(server, 1, from("192.0.2.2"))).status, 101);
  }
});

Deno.test("[L1] malformed handshakes use no budget of the node, and count against their address", async () => {
  await using server = await start({
    MAX_NEW_CONNECTIONS_PER_SECOND: "1",
    MAX_FAILED_TOKENS_PER_MINUTE: "5",
    TRUSTED_PROXIES: "127.0.0.1",
  });
  const statusOf = async (headers: Record<string, string>, path = "/ws") => {
    const all = { ...from("192.0.2.1"), ...headers };
    using raw = await rawHandshake(server.url, all, "answer", path);
    return raw.status;
  };
  const all = async () => {
    equal(await statusOf({ "Sec-WebSocket-Key": "" }), 400);
    equal(await statusOf({ "Connection": "keep-alive" }), 400);
    equal(await statusOf({ "Sec-WebSocket-Version": "8" }), 426);
    equal(await statusOf({}, "/ws?since=x"), 400);
  };
  for (let n = 0; n < 5; n++) await all();
  equal((await handshake(server, 1, from("192.0.2.2"))).status, 101);
  await until("the address is throttled", async () => {
    await all();
    const { code } = await handshake(server, 1, from("192.0.2.1"));
    return code === "too_many_failed_tokens";
  });
});

Deno.test("[L1] while other clients of its address send bad tokens, a client with a token that was verified before connects", async () => {
  await using server = await start({ MAX_FAILED_TOKENS_PER_MINUTE: "3" });
  const token = await tokenFor(1);
  await (await connectWith(new WebSocket(socketUrl(server.url, token))))
    .close();
  await until("the address is throttled", async () => {
    for (let n = 0; n < 5; n++) {
      using _bad = await rawHandshake(server.url, {}, "answer", "/ws?token=x");
    }
    const path = `/ws?token=${token}`;
    using known = await rawHandshake(server.url, {}, "answer", path);
    equal(known.status, 101);
    return (await handshake(server, 2)).status === 429;
  });
});

Deno.test("[L1] bad tokens of a refresh count against the address", async () => {
  await using server = await start({ MAX_FAILED_TOKENS_PER_MINUTE: "3" });
  const token = await tokenFor(1);
  await until("the address is throttled", async () => {
    await using client = await connectSync(server.url, 1, { token });
    await client.receives("presence_state");
    for (let n = 0; n < 4; n++) client.send({ type: "refresh", token: "x" });
    await client.receives("error");
    return (await handshake(server, 2)).code === "too_many_failed_tokens";
  });
});

Deno.test("[L1] a peer that resets its connection before the answer is counted, and too many of them make the node not ready", async () => {
  // The engine `ws` loses no descriptor.
  await using server = await start({
    MAX_CONNECTIONS: "4",
    SOCKET_ENGINE: "native",
  });
  const before = openDescriptors(server.pid);
  const url = socketUrl(server.url, await tokenFor(1));
  // Not every new descriptor is of a handshake, so the node's own count ends the loop.
  const { checks } = await until("the node is not ready", async () => {
    await resetHandshake(url);
    const answer = await readiness(server);
    return answer.checks.descriptors !== "ok" && answer;
  });
  match(checks.descriptors ?? "", /^\d+ file descriptors are lost$/);
  ok(openDescriptors(server.pid) >= before + 2);
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
