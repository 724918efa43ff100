/** User ids of every type, from the token to the application's table, with real clients. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { connect as connectLibrary } from "../../src/client/client.ts";
import {
  formatIdList,
  type UserId,
  userIds,
  type UserIdType,
} from "../../src/client/protocol/user_id.ts";
import { connect, open, tokenFor } from "../support/client.ts";
import { postgresForThisFile, query, renewals } from "../support/database.ts";
import { onlineIds } from "../support/endpoints.ts";
import { listed, transitionsOf } from "../support/roster.ts";
import {
  runFile,
  startServer,
  startServerOn,
  TEST_SECRET,
} from "../support/server.ts";
import { connectSync } from "../support/sync_client.ts";
import { pause, until, untilEqual } from "../support/until.ts";

const postgres = postgresForThisFile();
const ADMIN_TOKEN = "an-admin-token-that-every-test-knows-0123";

interface Kind {
  /** Makes the table. */
  readonly sql: string;
  readonly env?: Record<string, string>;
  /** As an application writes them, three, ascending. */
  readonly ids: readonly [UserId, UserId, UserId];
  readonly type: UserIdType;
  /** In SQL. Default: the plan's. */
  readonly table?: string;
  readonly columns?: { id: string; name: string; status: string };
  /** As clients get the third id, where that differs. */
  readonly json?: UserId;
}

const planned = (type: string) =>
  `create table users (id ${type} primary key, username text not null, status text not null default 'offline')`;

const [first, second, third] = [1, 2, 3].map((n) =>
  `a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a1${n}`
) as [string, string, string];

const KINDS: Record<string, Kind> = {
  "smallint": {
    sql: planned("smallint"),
    ids: [1, 2, 32_767],
    type: "smallint",
  },
  "integer": {
    sql: planned("integer"),
    ids: [1, 20, 2_147_483_647],
    type: "integer",
  },
  "bigint": {
    sql: planned("bigint"),
    ids: [1, 2_147_483_648, 9_007_199_254_740_991],
    type: "bigint",
  },
  "bigint as JSON text": {
    sql: planned("bigint"),
    env: { USER_ID_JSON: "string" },
    ids: ["9", "10", "9223372036854775807"],
    type: "bigint",
  },
  "integer as JSON text": {
    sql: planned("integer"),
    env: { USER_ID_JSON: "string" },
    ids: ["9", "10", "100"],
    type: "integer",
  },
  "uuid": { sql: planned("uuid"), ids: [first, second, third], type: "uuid" },
  "text": {
    sql: planned("text"),
    ids: ["*", "100% a,b|c \u{1f600}", "ada%2C&watch=*#+?\"'\\"],
    type: "text",
  },
  "text that looks like numbers and lists": {
    sql: planned("text"),
    ids: ["0", "007,008", "7"],
    type: "text",
  },
  "varchar": {
    sql: planned("varchar(60)"),
    ids: ["Z", "a", "\u00e4"],
    type: "text",
  },
  "a domain over a domain over uuid, beside a key, and a citext name": {
    sql: `create extension if not exists citext;
      create domain app_uuid as uuid; create domain account_id as app_uuid check (value is not null);
      create type state as enum ('away', 'offline', 'online');
      create schema app;
      create table app."User" (
        key bigserial primary key, "accountId" account_id unique, "Name" citext, "State" state default 'offline'
      )`,
    env: {
      ...{ USERS_TABLE: 'app."User"', USERS_ID: "accountId" },
      ...{ USERS_NAME: "Name", USERS_STATUS: "State" },
    },
    table: 'app."User"',
    columns: { id: '"accountId"', name: '"Name"', status: '"State"' },
    ids: [first, second, third],
    type: "uuid",
  },
};

const PLAN_COLUMNS = { id: "id", name: "username", status: "status" };

for (const [name, kind] of Object.entries(KINDS)) {
  const { sql, env = {}, ids, table = "users", columns = PLAN_COLUMNS } = kind;
  const [ada, bob, chen] = ids;
  const start = async () => {
    const url = await postgres.emptyDatabase();
    await query(url, sql);
    for (const [index, id] of ids.entries()) {
      await query(
        url,
        `insert into ${table} (${columns.id}, ${columns.name}) values ($1, $2)`,
        [id, `user${index}`],
      );
    }
    return await startServerOn(url, {
      ...env,
      ADMIN_TOKEN,
      HEARTBEAT_MS: "500",
    });
  };
  const copies = async (url: string) =>
    (await query(
      url,
      `select ${columns.id}::text as id from ${table} where ${columns.status}::text = 'online' order by 1`,
    )).map(({ id }) => id).sort();

  Deno.test(`[U3] ids of ${name}: token, messages of both versions, list, filter, watch, resume, revocation and SQL`, async () => {
    await using server = await start();
    const { databaseUrl } = server;
    await using listener = await connect(server.url, ada);
    await using everyone = await connectSync(server.url, ada);
    await using watcher = await connectSync(server.url, ada, { watch: [chen] });
    await everyone.holds([ada]);
    const bobs = await connect(server.url, bob);
    deepEqual(await listener.receives("user_online", bob), {
      ...{ type: "user_online", userId: bob },
    });
    const chens = await connect(server.url, chen);
    await listener.receives("user_online", chen);
    // Every list is in the order of the ids.
    await listed(server, ids);
    await everyone.holds(ids);
    await watcher.holds([chen]);
    const filter = async (list: string) => {
      const response = await fetch(`${server.url}users/online?ids=${list}`);
      equal(response.status, 200);
      const { online_users } = await response.json();
      return online_users;
    };
    const users = [
      { id: ada, username: "user0" },
      { id: chen, username: "user2" },
    ];
    deepEqual(await filter(formatIdList([chen, ada])), users);
    // As URLSearchParams encodes one id.
    const encoded = String(new URLSearchParams({ ids: String(bob) }));
    deepEqual(await filter(encoded.slice("ids=".length)), [
      { id: bob, username: "user1" },
    ]);

    watcher.send({ type: "watch", userIds: [bob, chen], ref: 1 });
    await watcher.receives("presence_state", 1);
    await watcher.holds([bob, chen]);

    // A client that was away resumes from what it has.
    const known = { since: everyone.model.seq, known: everyone.model.ids };
    await chens.close();
    await listener.receives("user_offline", chen);
    await everyone.holds([ada, bob]);
    await watcher.holds([bob]);
    await using resumed = await connectSync(server.url, bob, known);
    await resumed.holds([ada, bob]);
    equal(resumed.messages[0]?.type, "presence_diff");
    const { offline } = await resumed.receives("presence_diff");
    deepEqual(offline, [chen]);

    const status = await query(
      databaseUrl,
      "select id::text, username from rollcall.online_users order by rollcall.online_users.id",
    );
    deepEqual(status, [
      { id: String(ada), username: "user0" },
      { id: String(bob), username: "user1" },
    ]);
    deepEqual(
      await query(
        databaseUrl,
        "select user_id::text as id, status from rollcall.presence order by user_id",
      ),
      ids.map((id) => ({
        id: String(id),
        status: id === chen ? "offline" : "online",
      })),
    );
    await untilEqual(
      "the copies are right",
      () => copies(databaseUrl),
      [ada, bob].map(String).sort(),
    );

    const response = await fetch(`${server.url}admin/disconnect`, {
      method: "POST",
      headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
      body: JSON.stringify({ userId: bob }),
    });
    equal(response.status, 202);
    await response.body?.cancel();
    equal((await bobs.closed).reason, "disconnected by an administrator");
    equal((await resumed.closed).reason, "disconnected by an administrator");
    await listener.receives("user_offline", bob);
    deepEqual(transitionsOf(listener, bob), ["user_online", "user_offline"]);
    await renewals(databaseUrl, 3);
    deepEqual(await onlineIds(server), [ada]);
    deepEqual(await copies(databaseUrl), [String(ada)]);
  });

  Deno.test(`[U3] ids of ${name}: the client library`, async () => {
    await using server = await start();
    const socket = server.url.replace("http", "ws") + "ws";
    await using stack = new AsyncDisposableStack();
    const token = () => tokenFor(ada);
    const all = connectLibrary(socket, { token });
    const some = connectLibrary(socket, { token, watch: [chen] });
    // The sockets close while the server drains.
    stack.defer(() => pause(50));
    for (const library of [all, some]) stack.defer(() => library.close());
    const events: string[] = [];
    const note = (sign: string) => ({ user }: { user: { id: UserId } }) =>
      void events.push(`${sign}${JSON.stringify(user.id)}`);
    all.on("online", note("+"));
    all.on("offline", note("-"));
    await until("ada is online", () => all.users.has(ada));
    const bobs = await open(server.url, bob);
    await until("bob is online", () => all.users.has(bob));
    const chens = await open(server.url, chen);
    await until(
      "chen is online",
      () => all.users.has(chen) && some.users.has(chen),
    );
    deepEqual([...some.users.keys()], [chen]);
    equal(all.users.get(bob)?.username, "user1");
    some.watch([bob]);
    await until("bob is watched", () => some.users.has(bob));
    deepEqual([...some.users.keys()], [bob]);
    await bobs.close();
    await until(
      "bob is offline",
      () => !all.users.has(bob) && !some.users.has(bob),
    );
    await chens.close();
    await until("chen is offline", () => !all.users.has(chen));
    const [b, c] = [bob, chen].map((id) => JSON.stringify(id));
    deepEqual(events, [`+${b}`, `+${c}`, `-${b}`, `-${c}`]);
  });

  Deno.test(`[U3] ids of ${name}: ids that are none, and users that are unknown`, async () => {
    await using server = await start();
    const { expected, type } = userIds(
      kind.type,
      env.USER_ID_JSON === "string" ? "string" : "number",
    );
    const isText = type === "text";
    const bad = isText ? "x".repeat(256) : "one";
    await using client = await open(server.url, bad);
    const { code, reason } = await client.closed;
    equal(code, 1008);
    ok(reason !== "unknown user", reason);
    const unknown = isText
      ? "nobody"
      : type === "uuid"
      ? first.replace(/1$/, "f")
      : 300;
    await using nobody = await open(server.url, unknown);
    deepEqual(await nobody.closed, { code: 1008, reason: "unknown user" });
    for (const list of ["ids=", "watch="]) {
      const path = list === "ids=" ? "users/online?" : "ws?";
      const response = await fetch(`${server.url}${path}${list}${bad}`, {
        headers: { "sec-websocket-protocol": "rollcall.v2" },
      });
      await response.body?.cancel();
      equal(
        response.status,
        path === "ws?" && response.status === 426 ? 426 : 400,
        list,
      );
    }
    await using watcher = await connectSync(server.url, ada);
    await watcher.holds([ada]);
    watcher.send({ type: "watch", userIds: [bad] });
    const { message } = await watcher.receives("error");
    ok(message.includes(expected), message);
  });

  Deno.test(`[U3] ids of ${name}: the task that prints a token`, async () => {
    const userId = String(bob);
    const tokenEnv = {
      ...{ JWT_SECRET: TEST_SECRET, USER_ID_TYPE: kind.type },
      ...env,
    };
    const run = await runFile("src/cli.ts", ["token", userId], {
      env: tokenEnv,
    });
    equal(run.stderr, "");
    match(run.stdout, /^[\w-]+\.[\w-]+\.[\w-]+\n$/);
    const payload = run.stdout.split(".")[1] ?? "";
    const text = new TextDecoder().decode(
      Uint8Array.from(
        atob(payload.replaceAll("-", "+").replaceAll("_", "/")),
        (char) => char.charCodeAt(0),
      ),
    );
    equal(JSON.parse(text).sub, userId);
  });
}

Deno.test("[U3] an id beyond 2^53 is refused by name where ids are JSON numbers", async () => {
  const url = await postgres.emptyDatabase();
  await query(url, planned("bigint"));
  await query(
    url,
    "insert into users values (1, 'ada'), (9007199254740993, 'grace')",
  );
  await using server = await startServerOn(url, { HEARTBEAT_MS: "300" });
  await using ada = await connect(server.url, 1);
  await using grace = await open(server.url, "9007199254740993");
  const { code, reason } = await grace.closed;
  equal(code, 1008);
  match(reason, /9007199254740991.*USER_ID_JSON=string/);
  // Its row harms nobody, also while the sweep corrects its copy.
  await query(url, "update users set status = 'online' where id <> 1");
  await untilEqual(
    "the copy is corrected",
    () => query(url, "select id from users where status = 'online'"),
    [{ id: "1" }],
  );
  await using _again = await open(server.url, 1);
  deepEqual(await onlineIds(server), [1]);
  equal(ada.socket.readyState, WebSocket.OPEN);
});

for (const type of ["bigint", "uuid", "text"] as const) {
  Deno.test(`[U3] the demo with ids of type ${type}: its users, tokens, times and simulated users`, async () => {
    await using server = await startServer({
      env: { USER_ID_TYPE: type, USER_ID_JSON: "string" },
    });
    const get = async (path: string) =>
      await (await fetch(`${server.url}demo/${path}`)).json();
    const { users } = await get("users");
    const ids: UserId[] = users.map(({ id }: { id: UserId }) => id);
    equal(ids.length, 6);
    const valid = userIds(type, "string");
    ok(ids.every((id) => valid.parse(id) === id), ids.join());
    const { userId, token } = await get("token?user=bob");
    equal(userId, ids[1]);
    await using bob = await connectSync(server.url, ids[1] ?? "", { token });
    await bob.holds([ids[1] ?? ""]);
    const since = await get("since");
    deepEqual(since.map(({ id }: { id: UserId }) => id), [ids[1]]);
    await fetch(`${server.url}demo/crowd`, {
      ...{ method: "POST", body: '{"add":20}' },
    }).then((response) => response.body?.cancel());
    await until("16 of 20 are online", () => bob.model.ids.length > 16);
    ok(bob.model.ids.every((id) => valid.parse(id) === id));
  });
}
