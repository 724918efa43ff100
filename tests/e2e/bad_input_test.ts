/** Bad input: each request or message gets a clear answer, and other clients are not affected. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { SignJWT, UnsecuredJWT } from "jose";
import {
  connect,
  connectWith,
  socketUrl,
  tokenFor,
} from "../support/client.ts";
import { postgresForThisFile, query, statusOf } from "../support/database.ts";
import { sharedServer, startServerOn, TEST_SECRET } from "../support/server.ts";
import { rawHandshake } from "../support/raw_socket.ts";
import { expectThrottled, statusCode } from "../support/endpoints.ts";
import {
  alternates,
  listed,
  recorded,
  transitionsOf,
} from "../support/roster.ts";
import { until } from "../support/until.ts";

const postgres = postgresForThisFile();
const hour = () => Math.floor(Date.now() / 1000) + 3_600;

const server = sharedServer(() =>
  startServerOn(postgres.database(), {
    ROSTER_ACCESS: "token",
    MAX_FAILED_TOKENS_PER_MINUTE: "1000",
  })
);

function sign(
  claims: Record<string, unknown>,
  secret = TEST_SECRET,
): Promise<string> {
  return new SignJWT(claims).setProtectedHeader({ alg: "HS256" })
    .sign(new TextEncoder().encode(secret));
}

const NOT_AN_ID = "token claim sub: expected a user id from 1 to 2147483647";
const badTokens: Record<
  string,
  {
    token: () => Promise<string> | string | undefined;
    reason: string;
    /** 1008 if it is not named. */
    code?: number;
  }
> = {
  "no token": { token: () => undefined, reason: "token is missing" },
  "an empty token": { token: () => "", reason: "token is missing" },
  "garbage": { token: () => "garbage", reason: "token is malformed" },
  "three dots of garbage": {
    token: () => "a.b.c",
    reason: "token is malformed",
  },
  "a huge token": {
    token: () => "x".repeat(9_000),
    reason: "token is too long",
  },
  "a wrong signature": {
    token: () => sign({ sub: "1", exp: hour() }, `${TEST_SECRET}!`),
    reason: "token signature is invalid",
  },
  "an expired token": {
    token: () => sign({ sub: "1", exp: hour() - 3_700 }),
    reason: "token expired",
    code: 4401,
  },
  "a token that is not valid yet": {
    token: () => sign({ sub: "1", exp: hour(), nbf: hour() - 1_800 }),
    reason: "token is not valid yet",
    code: 4401,
  },
  "alg: none": {
    token: () => new UnsecuredJWT({ sub: "1", exp: hour() }).encode(),
    reason: "token algorithm is not allowed",
  },
  "no exp": {
    token: () => sign({ sub: "1" }),
    reason: "token claim exp: expected a number of seconds since 1970",
  },
  "sub 0": { token: () => sign({ sub: "0", exp: hour() }), reason: NOT_AN_ID },
  "sub -1": {
    token: () => sign({ sub: "-1", exp: hour() }),
    reason: NOT_AN_ID,
  },
  "sub 2147483648": {
    token: () => sign({ sub: "2147483648", exp: hour() }),
    reason: NOT_AN_ID,
  },
  "sub 1.5": {
    token: () => sign({ sub: 1.5, exp: hour() }),
    reason: NOT_AN_ID,
  },
  "sub ada": {
    token: () => sign({ sub: "ada", exp: hour() }),
    reason: NOT_AN_ID,
  },
  "sub 1e0": {
    token: () => sign({ sub: "1e0", exp: hour() }),
    reason: NOT_AN_ID,
  },
  "no sub": { token: () => sign({ exp: hour() }), reason: NOT_AN_ID },
  "an unknown user": {
    token: () => tokenFor(2_147_483_647),
    reason: "unknown user",
  },
};

for (
  const [name, { token, reason, code = 1008 }] of Object.entries(badTokens)
) {
  Deno.test(`[P1] ${name}: upgraded and closed with ${code} "${reason}"`, async () => {
    const client = await connectWith(
      new WebSocket(socketUrl(server.url, await token())),
    );
    deepEqual(await client.closed, { code, reason });
    deepEqual(client.messages, []);
  });
}

Deno.test("[P1] an unknown user does not keep other users of its batch from going online", async () => {
  await using watcher = await connect(server.url, 9);
  const users = [5, 999_999, 6];
  const clients = await Promise.all(
    users.map((userId) => connect(server.url, userId)),
  );
  await watcher.receives("user_online", 5);
  await watcher.receives("user_online", 6);
  equal((await clients[1]?.closed)?.code, 1008);
  for (const client of clients) await client.close();
});

Deno.test("[P1] the largest user id is served like any other", async () => {
  await query(
    server.databaseUrl,
    "insert into users (id, username) values (2147483647, 'max')",
  );
  await using watcher = await connect(server.url, 9);
  await using _max = await connect(server.url, 2_147_483_647);
  await watcher.receives("user_online", 2_147_483_647);
  equal(await statusOf(server.databaseUrl, 2_147_483_647), "online");
});

Deno.test("the token may be in a bearer subprotocol, which the answer does not name", async () => {
  const token = await tokenFor(1);
  const socket = new WebSocket(socketUrl(server.url), [
    "rollcall.v1",
    `bearer.${token}`,
  ]);
  await using _client = await connectWith(socket);
  equal(socket.protocol, "rollcall.v1");
});

Deno.test("the token may be in an Authorization header, and the subprotocols in any spacing", async () => {
  using socket = await rawHandshake(server.url, {
    authorization: `bearer ${await tokenFor(1)}`,
    "sec-websocket-protocol": "chat,rollcall.v1",
  });
  equal(socket.status, 101);
  match(socket.head, /sec-websocket-protocol: rollcall\.v1\r\n/i);
});

Deno.test("an offer without a supported subprotocol is refused with 400", async () => {
  using socket = await rawHandshake(server.url, {
    "sec-websocket-protocol": "bearer.x, chat",
  });
  equal(socket.status, 400);
});

const requests: Record<
  string,
  {
    path: string;
    method?: string;
    status: number;
    code: string;
    /** The message. */
    says?: RegExp;
  }
> = {
  "a GET on /ws that is not an upgrade": {
    path: "ws",
    status: 426,
    code: "upgrade_required",
  },
  "a POST on /ws": {
    path: "ws",
    method: "POST",
    status: 405,
    code: "method_not_allowed",
  },
  "a POST on /users/online": {
    path: "users/online",
    method: "POST",
    status: 405,
    code: "method_not_allowed",
  },
  "a DELETE on /healthz": {
    path: "healthz",
    method: "DELETE",
    status: 405,
    code: "method_not_allowed",
  },
  "an unknown path": { path: "nothing/here", status: 404, code: "not_found" },
  "the demo's users outside of demo mode": {
    path: "demo/users",
    status: 404,
    code: "not_found",
  },
  "a demo token outside of demo mode": {
    path: "demo/token?user=ada",
    status: 404,
    code: "not_found",
  },
  "/users/online without a token": {
    path: "users/online",
    status: 401,
    code: "unauthorized",
    says: /^token is missing: send it in Authorization, as Bearer <token>, or/,
  },
  "/users/online with a bad token": {
    path: "users/online?token=x",
    status: 401,
    code: "unauthorized",
  },
};

for (
  const [name, { path, method = "GET", status, code, says = /./ }] of Object
    .entries(requests)
) {
  Deno.test(`${name}: ${status} with JSON`, async () => {
    const response = await fetch(server.url + path, { method });
    equal(response.status, status);
    const { error } = await response.json();
    equal(error.code, code);
    match(error.message, says);
  });
}

for (
  const [name, head, status, content] of [
    [
      "an invalid Host",
      "GET /readyz HTTP/1.1\r\nHost: a b",
      400,
      "bad_host",
    ],
    ["a Host of a script", 'GET / HTTP/1.1\r\nHost: "><i>', 400, "bad_host"],
    ...[
      ...["a:b:c", "[", "]", "[::", "a:99999", ":80", "xn--", "1.2.3.4.5:x"],
      ...["x/metrics?", "x/healthz#", "x/", "x?", "x#", "x\\healthz?", "a@x"],
    ].map(
      (host) =>
        [
          `the Host ${host}`,
          `GET /ws?token=SECRETTOKEN HTTP/1.1\r\nHost: ${host}`,
          400,
          "bad_host",
        ] as const,
    ),
    [
      "a target at x beside the Host x/metrics?",
      "GET http://x/readyz HTTP/1.1\r\nHost: x/metrics?",
      400,
      "bad_host",
    ],
    [
      "an absolute URL as the target",
      "GET http://x/readyz HTTP/1.1\r\nHost: x",
      200,
      "ready",
    ],
    ...["x:99999", "[", "a@x", "xn--"].map((host) =>
      [
        `a target at ${host}`,
        `GET http://${host}/ws?token=SECRETTOKEN HTTP/1.1\r\nHost: x`,
        400,
        "",
      ] as const
    ),
    ["a HEAD", "HEAD /healthz HTTP/1.1\r\nHost: x", 200, "content-length: 15"],
    [
      "a HEAD that offers another protocol",
      "HEAD /healthz HTTP/1.1\r\nHost: x\r\nUpgrade: h2c",
      200,
      "content-length: 15",
    ],
    ...["a b", "1.2.3.4.5", "xn--a", "a#b"].map((host) =>
      [
        `a HEAD for the Host ${host}`,
        `HEAD /users/online?token=SECRETTOKEN HTTP/1.1\r\nHost: ${host}`,
        400,
        "",
      ] as const
    ),
    ["no Host at all", "GET /readyz HTTP/1.0", 200, "ready"],
    [
      "a handshake by HEAD",
      "HEAD /ws HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\n" +
      "Connection: Upgrade\r\nSec-WebSocket-Version: 13\r\n" +
      "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
      405,
      "allow: GET",
    ],
  ] as const
) {
  Deno.test(`${name}: ${status}, ${content}`, async () => {
    const { hostname, port } = new URL(server.url);
    using conn = await Deno.connect({ hostname, port: Number(port) });
    const lines = `${head}\r\nConnection: close\r\n\r\n`;
    await conn.write(new TextEncoder().encode(lines));
    const answer = await new Response(conn.readable).text();
    equal(Number(answer.split(" ")[1]), status);
    ok(answer.includes(content), answer);
  });
}

Deno.test("invalid user ids in ids= are refused with 400, and valid ones filter the list", async () => {
  await using _ada = await connect(server.url, 1);
  await using _bob = await connect(server.url, 2);
  const headers = { authorization: `Bearer ${await tokenFor(1)}` };
  const get = (ids: string) =>
    fetch(`${server.url}users/online?ids=${ids}`, { headers });
  for (const ids of ["x", "1,,2", "0", "1,-2", Array(1_001).fill(1).join()]) {
    const response = await get(ids);
    equal(response.status, 400);
    equal((await response.json()).error.code, "bad_ids");
  }
  await until("both are listed", async () => {
    const { online_users } = await (await get("2,7,1")).json();
    return online_users.length === 2;
  });
  deepEqual(await (await get("2")).json(), {
    online_users: [{ id: 2, username: "user2" }],
  });
  deepEqual(await (await get("")).json(), { online_users: [] });
});

Deno.test("an unchanged list is answered with 304 to its ETag", async () => {
  const headers = { authorization: `Bearer ${await tokenFor(1)}` };
  const list = `${server.url}users/online`;
  await using watcher = await connect(server.url, 9);
  await listed(server, [9], headers);
  const first = await fetch(list, { headers });
  await first.body?.cancel();
  const etag = first.headers.get("etag") ?? "";
  const again = await fetch(list, {
    headers: { ...headers, "if-none-match": `W/${etag}` },
  });
  equal(again.status, 304);
  const head = await fetch(list, { headers, method: "HEAD" });
  equal(
    head.headers.get("content-length"),
    first.headers.get("content-length"),
  );
  // A rename changes the list, although no user went online or offline.
  await query(
    server.databaseUrl,
    "update users set username = 'other' where id = 9",
  );
  const conditional = { headers: { ...headers, "if-none-match": etag } };
  await until(
    "the new name has another tag",
    async () => await statusCode(list, conditional) === 200,
  );
  await using _bob = await connect(server.url, 2);
  await watcher.receives("user_online", 2);
  equal(await statusCode(list, conditional), 200);
});

Deno.test("[L1] messages of a v1 client are ignored up to CLIENT_MESSAGE_BYTES_MAX, and a larger one closes with 1009", async () => {
  await using ada = await connect(server.url, 1);
  ada.socket.send("hello");
  ada.socket.send(new Uint8Array(65_536));
  ada.socket.send("x".repeat(65_536));
  await using bob = await connect(server.url, 2);
  await ada.receives("user_online", 2);
  for (
    const message of [
      "x".repeat(65_537),
      "\u20ac".repeat(21_846),
      new Uint8Array(65_537),
    ]
  ) {
    const rude = await connect(server.url, 3);
    rude.socket.send(message);
    equal((await rude.closed).code, 1009);
  }
  await ada.receives("user_offline", 3);
  equal(ada.socket.readyState, WebSocket.OPEN);
  equal(bob.socket.readyState, WebSocket.OPEN);
});

Deno.test("[L1] a v1 client that sends too many messages is closed with 1008", async () => {
  await using loud = await connect(server.url, 1);
  for (let n = 0; n < 30; n++) loud.socket.send("x");
  deepEqual(await loud.closed, { code: 1008, reason: "too many messages" });
});

Deno.test("[P4] a socket that is dropped without a close frame counts as closed", async () => {
  await using ada = await connect(server.url, 1);
  const { conn } = await rawHandshake(server.url, {
    authorization: `Bearer ${await tokenFor(2)}`,
  });
  await ada.receives("user_online", 2);
  conn.close();
  await ada.receives("user_offline", 2);
  equal(await statusOf(server.databaseUrl, 2), "offline");
});

Deno.test("[P6] a socket that ends while it is registered leaves no claim and no status behind", async () => {
  await using ada = await connect(server.url, 1);
  for (let round = 0; round < 50; round++) {
    const { conn } = await rawHandshake(server.url, {
      authorization: `Bearer ${await tokenFor(2)}`,
    }, "no answer");
    conn.close();
  }
  await using _chen = await connect(server.url, 3);
  await ada.receives("user_online", 3);
  await recorded(server.databaseUrl, [1, 3]);
  alternates(transitionsOf(ada, 2));
});

Deno.test("a username with quotes, emoji and a closing script tag is data everywhere", async () => {
  const username =
    `"quoted" \u{1F600} </script><script>alert(1)</script> \u0007 ' ; drop table users`;
  await query(
    server.databaseUrl,
    "update users set username = $1 where id = 4",
    [username],
  );
  await using watcher = await connect(server.url, 9);
  await using _client = await connect(server.url, 4);
  await watcher.receives("user_online", 4);
  const headers = { authorization: `Bearer ${await tokenFor(9)}` };
  const response = await fetch(`${server.url}users/online?ids=4`, { headers });
  equal(response.headers.get("content-type"), "application/json");
  deepEqual(await response.json(), { online_users: [{ id: 4, username }] });
});

Deno.test("[L1] an address that sent too many bad tokens gets 429, on the list as on the socket", async () => {
  await using strict = await startServerOn(server.databaseUrl, {
    ROSTER_ACCESS: "token",
    MAX_FAILED_TOKENS_PER_MINUTE: "3",
  });
  const list = `${strict.url}users/online?token=bad`;
  await expectThrottled(() => statusCode(list), 3);
  const head = await until("the socket is refused as well", async () => {
    await statusCode(list);
    // A token that is new to the server.
    const token = await tokenFor(1, 3_600, { jti: crypto.randomUUID() });
    const authorization = `Bearer ${token}`;
    using socket = await rawHandshake(strict.url, { authorization });
    return socket.status === 429 && socket.head;
  });
  match(head, /retry-after: \d+/i);
});

Deno.test("no token is in the log", () => {
  ok(!server.log.join("\n").includes("SECRETTOKEN"));
  equal(
    server.log.filter((line) => /eyJ[A-Za-z0-9_-]{10,}/.test(line)).length,
    0,
  );
  for (const line of server.log) JSON.parse(line);
});
