/** Revocation, provisioning, and limits behind a proxy. */
import { deepEqual, equal, match } from "node:assert/strict";
import pg from "pg";
import {
  connect,
  connectWith,
  open,
  socketUrl,
  tokenFor,
} from "../support/client.ts";
import { postgresForThisFile, query, renewals } from "../support/database.ts";
import {
  expectThrottled,
  statusCode,
  v1Connected,
} from "../support/endpoints.ts";
import { listed } from "../support/roster.ts";
import { startServerOn } from "../support/server.ts";
import { connectSync } from "../support/sync_client.ts";
import { until } from "../support/until.ts";

const postgres = postgresForThisFile();
const ADMIN_TOKEN = "an-admin-token-that-every-test-knows-0123";

async function revoke(
  url: string,
  body: unknown,
  token = ADMIN_TOKEN,
): Promise<{ status: number; word: string }> {
  const response = await fetch(`${url}admin/disconnect`, {
    method: "POST",
    headers: { authorization: `Bearer ${token}` },
    body: typeof body === "string" ? body : JSON.stringify(body),
  });
  const { status, error } = await response.json();
  return { status: response.status, word: status ?? error.code };
}

Deno.test("[P1] an administrator disconnects a user on every node, and the user may reconnect", async () => {
  const databaseUrl = await postgres.database();
  const env = { ADMIN_TOKEN };
  await using a = await startServerOn(databaseUrl, env);
  await using b = await startServerOn(databaseUrl, env);
  const there = [await open(a.url, 1), await open(b.url, 1)];
  await v1Connected(a, 1);
  await v1Connected(b, 1);
  await listed(b, [1]);
  await using bob = await connect(b.url, 2);
  equal((await revoke(a.url, { userId: 1 })).status, 202);
  for (const client of there) {
    deepEqual(await client.closed, {
      code: 1008,
      reason: "disconnected by an administrator",
    });
  }
  await bob.receives("user_offline", 1);
  await using _again = await connect(b.url, 1);
  await bob.receives("user_online", 1);
  equal(bob.socket.readyState, WebSocket.OPEN);
});

Deno.test("[P1] a revoked token closes its connections and is refused, also after a restart", async () => {
  const databaseUrl = await postgres.database();
  const env = { ADMIN_TOKEN };
  const [bad, good] = [
    await tokenFor(1, 3_600, { jti: "stolen" }),
    await tokenFor(1, 3_600, { jti: "own" }),
  ];
  const refused = async (url: string) => {
    // A node that has not read the revocation yet accepts the token, and closes the socket when it has.
    await until("the token is refused", async () => {
      const client = await connectWith(new WebSocket(socketUrl(url, bad)));
      const { code, reason } = await client.closed;
      equal(code, 1008);
      return reason === "token was revoked";
    });
  };
  {
    await using a = await startServerOn(databaseUrl, env);
    await using b = await startServerOn(databaseUrl, env);
    await using thief = await connectSync(b.url, 1, { token: bad });
    await using owner = await connectSync(b.url, 1, { token: good });
    await owner.holds([1]);
    await thief.holds([1]);
    equal((await revoke(a.url, { jti: "stolen" })).status, 202);
    equal((await thief.closed).code, 1008);
    equal(owner.socket.readyState, WebSocket.OPEN);
    owner.send({ type: "refresh", token: bad });
    match((await owner.receives("error")).message, /revoked/);
    await refused(a.url);
    await refused(b.url);
  }
  await using again = await startServerOn(databaseUrl, env);
  await refused(again.url);
});

Deno.test("a revocation needs the admin token and a valid body", async () => {
  const databaseUrl = await postgres.database();
  {
    await using server = await startServerOn(databaseUrl, { ADMIN_TOKEN });
    const { url } = server;
    deepEqual(await revoke(url, { userId: 1 }, "x"), {
      ...{ status: 401, word: "unauthorized" },
    });
    for (
      const body of [
        "no json",
        {},
        { userId: "1" },
        { userId: 0 },
        { userId: 1, jti: "x" },
        { jti: "" },
        { jti: "x".repeat(257) },
        { jti: "a\0b" },
        { jti: "\ud800" },
        { jti: "x".repeat(3_000) },
      ]
    ) {
      deepEqual(await revoke(url, body), {
        status: 400,
        word: "bad_revocation",
      });
    }
    deepEqual(await revoke(url, { userId: 7 }), {
      ...{ status: 202, word: "revoked" },
    });
    const logged = (event: string) =>
      until(`"${event}" is logged`, () => {
        const lines = server.log.map((line) => JSON.parse(line));
        const found = lines.filter(({ msg }) => msg === event);
        return found.length > 0 && found;
      });
    const [wrong] = await logged("wrong ADMIN_TOKEN");
    equal(wrong.address, "127.0.0.1");
    const requested = await logged("revocation requested");
    deepEqual(requested.map(({ userId }) => userId), [7]);
    const got = await fetch(`${url}admin/disconnect`);
    equal(got.status, 405);
    equal(got.headers.get("allow"), "POST");
    await got.body?.cancel();
  }
  await using closed = await startServerOn(databaseUrl);
  deepEqual(await revoke(closed.url, { userId: 1 }), {
    ...{ status: 404, word: "not_found" },
  });
});

Deno.test("[L1] guesses of the admin token are limited, and lock out the administrator for a second", async () => {
  await using server = await startServerOn(await postgres.database(), {
    ...{ ADMIN_TOKEN, MAX_FAILED_TOKENS_PER_MINUTE: "2" },
  });
  await expectThrottled(async () => {
    const { status } = await revoke(server.url, { userId: 7 }, "x");
    return status;
  }, 2);
  await until(
    "the right token is compared again",
    async () => (await revoke(server.url, { userId: 7 })).status === 202,
  );
});

Deno.test("[L1] while guesses of the admin token are limited, the right one gets no other answer than a wrong one", async () => {
  await using server = await startServerOn(await postgres.database(), {
    ...{ ADMIN_TOKEN, MAX_FAILED_TOKENS_PER_MINUTE: "1" },
  });
  await until("the right token is refused too", async () => {
    await revoke(server.url, { userId: 7 }, "x");
    return (await revoke(server.url, { userId: 7 })).status === 429;
  });
});

Deno.test("[P1] with AUTO_PROVISION a good token creates or renames its user", async () => {
  const databaseUrl = await postgres.database(1);
  await using server = await startServerOn(databaseUrl, {
    AUTO_PROVISION: "true",
  });
  const token = await tokenFor(77, 3_600, { name: "Ada" });
  {
    await using ada = await connectSync(server.url, 77, { token });
    await ada.holds([77]);
    const [state] = ada.messages;
    deepEqual(state?.type === "presence_state" && state.users, [
      { id: 77, username: "Ada" },
    ]);
  }
  const renamed = await tokenFor(77, 3_600, { preferred_username: "ada" });
  await using _again = await connectSync(server.url, 77, { token: renamed });
  await using nameless = await connectSync(server.url, 78);
  await nameless.holds([77, 78]);
  // Postgres stores no NUL character.
  const odd = await tokenFor(79, 3_600, { name: "Gr\0ace" });
  await using grace = await connectSync(server.url, 79, { token: odd });
  await grace.holds([77, 78, 79]);
  deepEqual(
    await query(databaseUrl, "select id, username from users order by id"),
    [
      { id: 1, username: "user1" },
      { id: 77, username: "ada" },
      { id: 78, username: "user 78" },
      { id: 79, username: "Grace" },
    ],
  );
});

Deno.test("[L1] with AUTO_PROVISION a locked row or a refused name does not affect other users", async () => {
  const databaseUrl = await postgres.database(1);
  await query(
    databaseUrl,
    "alter table users add column name text, add column user_id integer; create unique index on users (username)",
  );
  await using server = await startServerOn(databaseUrl, {
    ...{ AUTO_PROVISION: "true", HEARTBEAT_MS: "300" },
  });
  await using watcher = await connectSync(server.url, 1);
  await watcher.holds([1]);
  const application = new pg.Client(databaseUrl);
  await application.connect();
  await application.query("begin");
  await application.query("update users set username = 'x' where id = 1");
  const named = (userId: number, name: string) =>
    tokenFor(userId, 3_600, { name });
  const locked = [];
  for (let n = 0; n < 8; n++) {
    const token = await named(1, `name${n}`);
    locked.push(await connectSync(server.url, 1, { token }));
  }
  for (let userId = 2; userId <= 20; userId++) {
    const token = await named(userId, `new${userId}`);
    await using client = await connectSync(server.url, userId, { token });
    await client.receives("presence_state");
  }
  for (const client of locked) {
    await client.receives("presence_state");
    await client[Symbol.asyncDispose]();
  }
  // The locked row delays no heartbeat.
  await renewals(databaseUrl, 3);
  await application.query("rollback");
  await application.end();
  // The user is renamed as soon as the row is not locked.
  await using _renamed = await connectSync(server.url, 1, {
    token: await named(1, "name0"),
  });
  await until("user 1 has the name", async () => {
    const rows = await query(
      databaseUrl,
      "select username from users where id = 1",
    );
    return rows[0]?.username === "name0";
  });
  // The name is taken: an existing user keeps its old name, and a new user cannot be created.
  await using _same = await connectSync(server.url, 2, {
    token: await named(2, "new3"),
  });
  await watcher.holds([1, 2]);
  await using none = await connectSync(server.url, 99, {
    token: await named(99, "new3"),
  });
  deepEqual(await none.closed, {
    code: 1008,
    reason:
      "unknown user, cannot be created: a unique value, such as the name, is taken",
  });
  const log = server.log.join("\n");
  equal(/lease was lost|cannot renew|cannot write a user/.test(log), false);
});

Deno.test("[P1] with AUTO_PROVISION users are renamed, even if the table accepts no new users", async () => {
  const databaseUrl = await postgres.database(1);
  await query(databaseUrl, "alter table users add column email text");
  await query(databaseUrl, "update users set email = 'user@example.com'");
  await query(databaseUrl, "alter table users alter email set not null");
  await using server = await startServerOn(databaseUrl, {
    AUTO_PROVISION: "true",
  });
  const token = await tokenFor(1, 3_600, { name: "Ada" });
  await using ada = await connectSync(server.url, 1, { token });
  await ada.holds([1]);
  const [state] = ada.messages;
  deepEqual(state?.type === "presence_state" && state.users, [
    { id: 1, username: "Ada" },
  ]);
  await using none = await connectSync(server.url, 2);
  deepEqual(await none.closed, {
    code: 1008,
    reason:
      "unknown user, cannot be created: a column of the users table needs a value",
  });
  const refusal = server.log.map((line) => JSON.parse(line))
    .find(({ msg }) => msg === "the users table refuses a new user");
  deepEqual([refusal?.userId, refusal?.code], [2, "23502"]);
  match(refusal?.reason, /null value in column "email"/);
});

Deno.test("[P1] with AUTO_PROVISION a user whose row was deleted may connect again", async () => {
  const databaseUrl = await postgres.database(1);
  await using server = await startServerOn(databaseUrl, {
    ...{ AUTO_PROVISION: "true", LEASE_MS: "2000", HEARTBEAT_MS: "500" },
  });
  const token = await tokenFor(7, 3_600, { name: "Ada" });
  const remove = () => query(databaseUrl, "delete from users where id = 7");
  await (await connectSync(server.url, 7, { token }))[Symbol.asyncDispose]();
  await until("the user is offline", async () => {
    const list = await (await fetch(`${server.url}users/online`)).json();
    return list.online_users.length === 0;
  });
  await remove();
  // The server has written the row before, and nothing told it that the row is gone.
  {
    await using again = await connectSync(server.url, 7, { token });
    await again.holds([7]);
    const [state] = again.messages;
    deepEqual(state?.type === "presence_state" && state.users, [
      { id: 7, username: "Ada" },
    ]);
    // A user who is deleted while connected is disconnected: the application decided that.
    await remove();
    deepEqual(await again.closed, { code: 1008, reason: "unknown user" });
    deepEqual(await query(databaseUrl, "select from users where id = 7"), []);
  }
  await using back = await connectSync(server.url, 7, { token });
  await back.holds([7]);
});

Deno.test("X-Forwarded-For from a peer that is not in TRUSTED_PROXIES is logged once, with the peer", async () => {
  await using server = await startServerOn(await postgres.database());
  for (const client of ["192.0.2.1", "192.0.2.2"]) {
    const headers = { "x-forwarded-for": client };
    equal(await statusCode(`${server.url}healthz`, { headers }), 200);
  }
  const warnings = () =>
    server.log.map((line) => JSON.parse(line))
      .filter(({ msg }) => /^X-Forwarded-For/.test(msg))
      .map(({ level, peer }) => `${level} ${peer}`);
  await until("it is logged", () => warnings().length > 0);
  deepEqual(warnings(), ["warn 127.0.0.1"]);
});

Deno.test("[L1] limits count the clients behind a trusted proxy, not the proxy", async () => {
  const databaseUrl = await postgres.database();
  await using server = await startServerOn(databaseUrl, {
    TRUSTED_PROXIES: "127.0.0.0/8",
    MAX_FAILED_TOKENS_PER_MINUTE: "3",
    ROSTER_ACCESS: "token",
  });
  const ask = async (client: string) => {
    const response = await fetch(`${server.url}users/online`, {
      headers: { "x-forwarded-for": client, authorization: "Bearer x" },
    });
    await response.body?.cancel();
    return response.status;
  };
  await expectThrottled(
    (n) => ask(n % 2 === 0 ? "1.2.3.4" : "spoofed, 1.2.3.4"),
    3,
  );
  equal(await ask("1.2.3.5"), 401);
});
