/** Groups, from both sources, through the server: sockets, the list, refreshed tokens. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import type { UserId } from "../../src/client/protocol/user_id.ts";
import { tokenFor } from "../support/client.ts";
import { postgresForThisFile, query } from "../support/database.ts";
import { statusCode } from "../support/endpoints.ts";
import { startServerOn } from "../support/server.ts";
import { connectSync } from "../support/sync_client.ts";
import { until, untilEqual } from "../support/until.ts";

const postgres = postgresForThisFile();

/** No sweep comes in time to do what a connect or a refresh must do. */
const WITHOUT_SWEEP = {
  ...{ ROSTER_ACCESS: "token", HEARTBEAT_MS: "250000", LEASE_MS: "600000" },
};
const ADMIN_TOKEN = "an-admin-token-that-every-test-knows-0123";

/** A server whose tokens have groups in `app.teams`. */
async function startWithClaim(
  env: Record<string, string> = {},
  databaseUrl?: string,
) {
  return await startServerOn(databaseUrl ?? postgres.database(), {
    ...{ ...WITHOUT_SWEEP, JWT_GROUPS_CLAIM: "app.teams" },
    ...env,
  });
}

/** A token with groups that was issued at this second. */
function tokenIn(
  userId: UserId,
  teams: unknown,
  iat = 1,
  claims: Record<string, unknown> = {},
) {
  return tokenFor(userId, 3_600, { ...claims, app: { teams }, iat });
}

/** A server that reads groups from the table `teams`. */
async function startWithTable(
  rows: string,
  env: Record<string, string> = {},
) {
  const databaseUrl = await postgres.database();
  await query(
    databaseUrl,
    `create table teams as
       select user_id, group_id from (values ${rows}) t (user_id, group_id)`,
  );
  return await startServerOn(databaseUrl, {
    ...{ ...WITHOUT_SWEEP, GROUPS_TABLE: "teams" },
    ...env,
  });
}

/** What the list answers to a token. */
async function list(
  { url }: { readonly url: string },
  token: string,
  { query = "", etag = "", method = "GET" } = {},
) {
  const response = await fetch(`${url}users/online${query}`, {
    headers: { authorization: `Bearer ${token}`, "if-none-match": etag },
    method,
  });
  const { status, headers } = response;
  const text = await response.text();
  const { online_users, error } = text === "" ? {} : JSON.parse(text);
  const ids = online_users?.map(({ id }: { id: UserId }) => id);
  return { status, headers, text, error, ids };
}

Deno.test("[V1] with JWT_GROUPS_CLAIM sockets and the list show those who share a group, and nothing of others", async () => {
  await using server = await startWithClaim();
  const tokens = {
    ada: await tokenIn(1, "a"),
    bob: await tokenIn(2, ["a", 7]),
    chen: await tokenIn(3, ["7"]),
    dora: await tokenFor(4),
  };
  await using ada = await connectSync(server.url, 1, { token: tokens.ada });
  await using bob = await connectSync(server.url, 2, { token: tokens.bob });
  await using chen = await connectSync(server.url, 3, { token: tokens.chen });
  await using dora = await connectSync(server.url, 4, { token: tokens.dora });
  await ada.holds([1, 2]);
  await bob.holds([1, 2, 3]);
  await chen.holds([2, 3]);
  await dora.holds([4]);

  deepEqual((await list(server, tokens.ada)).ids, [1, 2]);
  deepEqual((await list(server, tokens.bob)).ids, [1, 2, 3]);
  deepEqual((await list(server, tokens.dora)).ids, [4]);
  const some = { query: "?ids=1,2,3,4,5" };
  deepEqual((await list(server, tokens.ada, some)).ids, [1, 2]);
  const hidden = await list(server, tokens.ada, { query: "?ids=3" });
  const nobody = await list(server, tokens.ada, { query: "?ids=4000000" });
  equal(hidden.text, nobody.text);
  equal(hidden.headers.get("etag"), nobody.headers.get("etag"));

  const { headers } = await list(server, tokens.ada);
  const etag = headers.get("etag") ?? "";
  match(etag, /^"[\w-]{16}"$/);
  equal(headers.get("cache-control"), "private, no-cache");
  match(headers.get("vary") ?? "", /\bAuthorization\b/);
  const head = await list(server, tokens.ada, { method: "HEAD" });
  for (const name of ["etag", "cache-control", "vary", "content-length"]) {
    equal(head.headers.get(name), headers.get(name), name);
  }
  {
    // Somebody comes whom ada does not see: her ETag stays, and bob's does not.
    const bobs = (await list(server, tokens.bob)).headers.get("etag") ?? "";
    const token = await tokenIn(5, [7]);
    await using _emil = await connectSync(server.url, 5, { token });
    await bob.holds([1, 2, 3, 5]);
    equal((await list(server, tokens.ada, { etag })).status, 304);
    equal((await list(server, tokens.bob, { etag: bobs })).status, 200);
  }
  await bob.holds([1, 2, 3]);
  // A user without a socket sees the same as with one.
  deepEqual((await list(server, await tokenIn(6, [7]))).ids, [2, 3]);
});

Deno.test("[V3] a refreshed token with a newer iat moves the user at once, and an older one never", async () => {
  await using server = await startWithClaim({ ADMIN_TOKEN });
  const token = await tokenIn(1, ["a"], 100);
  await using ada = await connectSync(server.url, 1, { token });
  const bobs = { token: await tokenIn(2, ["b"]) };
  await using bob = await connectSync(server.url, 2, bobs);
  const chens = { token: await tokenIn(3, ["c"]) };
  await using chen = await connectSync(server.url, 3, chens);
  await ada.holds([1]);
  await bob.holds([2]);
  await chen.holds([3]);

  const newer = await tokenIn(1, ["b"], 200);
  ada.send({ type: "refresh", token: newer });
  await ada.holds([1, 2]);
  await bob.holds([1, 2]);
  deepEqual((await list(server, newer)).ids, [1, 2]);

  // An older token is good, but its groups are not; also on a node that never saw the newer one.
  const older = await tokenIn(1, ["a", "b", "c"], 150, { jti: "older" });
  await using other = await startWithClaim({}, server.databaseUrl);
  await using second = await connectSync(other.url, 1, { token: older });
  await second.holds([1, 2]);
  deepEqual((await list(other, older)).ids, [1, 2]);
  deepEqual((await list(server, older)).ids, [1, 2]);
  // It counts for its connection: a revocation finds it.
  await using third = await connectSync(server.url, 1, { token: newer });
  await third.holds([1, 2]);
  third.send({ type: "refresh", token: older });
  await until("the older token counts", async () => {
    await statusCode(`${server.url}admin/disconnect`, {
      method: "POST",
      headers: { authorization: `Bearer ${ADMIN_TOKEN}` },
      body: JSON.stringify({ jti: "older" }),
    });
    return third.socket.readyState === WebSocket.CLOSED;
  });
  equal((await third.closed).code, 1008);
  await ada.holds([1, 2]);
  await chen.holds([3]);
  equal(chen.messages.filter(({ type }) => type === "presence_diff").length, 0);
  deepEqual(
    await query(
      server.databaseUrl,
      "select groups from rollcall_internal.token_groups where user_id = 1",
    ),
    [{ groups: ["b"] }],
  );
});

Deno.test("[V1] a token whose groups are not understood, or are too many, is refused with what is expected", async () => {
  await using server = await startWithClaim({ MAX_GROUPS_PER_USER: "2" });
  const refusal = async (teams: unknown) => {
    const token = await tokenIn(1, teams);
    await using client = await connectSync(server.url, 1, { token });
    const closed = await client.closed;
    const answer = await list(server, token);
    equal(answer.status, 401);
    equal(answer.error.message, closed.reason);
    return closed;
  };
  deepEqual(await refusal({ a: true }), {
    code: 1008,
    reason:
      "token claim app.teams: expected group ids, each a text that is not empty or a whole number",
  });
  deepEqual(await refusal(["a", "b", "c"]), {
    code: 1008,
    reason:
      "the user is in more than 2 groups, or a group id is longer than 128 characters",
  });
});

Deno.test("[V3] with GROUPS_TABLE a refresh and a connect read the groups again, and the list does for a user who is not online", async () => {
  await using server = await startWithTable("(1, 10), (2, 10), (3, 20)");
  await using ada = await connectSync(server.url, 1);
  await using bob = await connectSync(server.url, 2);
  await using chen = await connectSync(server.url, 3);
  await ada.holds([1, 2]);
  await bob.holds([1, 2]);
  await chen.holds([3]);
  const [adas, doras] = [await tokenFor(1), await tokenFor(4)];
  deepEqual((await list(server, adas)).ids, [1, 2]);
  deepEqual((await list(server, doras)).ids, []);

  const { databaseUrl } = server;
  await query(databaseUrl, "update teams set group_id = 20 where user_id = 1");
  await query(databaseUrl, "insert into teams values (4, 10)");
  ada.send({ type: "refresh", token: adas });
  await ada.holds([1, 3]);
  await bob.holds([2]);
  await chen.holds([1, 3]);
  deepEqual((await list(server, adas)).ids, [1, 3]);
  const doraSees = (ids: number[]) =>
    untilEqual(
      `user 4 lists ${ids}`,
      async () => (await list(server, doras)).ids,
      ids,
    );
  await doraSees([2]);

  await query(databaseUrl, "update teams set group_id = 20 where user_id = 2");
  await query(databaseUrl, "delete from teams where user_id = 4");
  await doraSees([]);
  await using bobAgain = await connectSync(server.url, 2);
  await bobAgain.holds([1, 2, 3]);
  await bob.holds([1, 2, 3]);
});

Deno.test("[V3] rollcall.groups_changed moves the users that it names at once, on all nodes, and no others", async () => {
  await using server = await startWithTable("(1, 10), (2, 10), (3, 20)");
  const { databaseUrl } = server;
  await using other = await startServerOn(databaseUrl, {
    ...{ ...WITHOUT_SWEEP, GROUPS_TABLE: "teams" },
  });
  await using ada = await connectSync(server.url, 1);
  await using bob = await connectSync(other.url, 2);
  await using chen = await connectSync(other.url, 3);
  await ada.holds([1, 2]);
  await bob.holds([1, 2]);
  await chen.holds([3]);
  await query(
    databaseUrl,
    `update teams set group_id = 30 - group_id;
     select rollcall.groups_changed(array[1, 3])`,
  );
  // Nobody has named user 2 yet.
  await ada.holds([1]);
  await chen.holds([2, 3]);
  await bob.holds([2, 3]);
  deepEqual((await list(server, await tokenFor(1))).ids, [1]);
  deepEqual((await list(other, await tokenFor(3))).ids, [2, 3]);
  await query(databaseUrl, "select rollcall.groups_changed(array[2])");
  await ada.holds([1, 2]);
  await bob.holds([1, 2]);
  await chen.holds([3]);
});

Deno.test("[V5] while the table of groups is away nobody new comes in, and those who are in keep what they had", async () => {
  await using server = await startWithTable("(1, 10), (2, 10), (3, 20)", {
    MAX_GROUPS_PER_USER: "2",
  });
  const { databaseUrl } = server;
  await using ada = await connectSync(server.url, 1);
  await using bob = await connectSync(server.url, 2);
  await ada.holds([1, 2]);
  await query(databaseUrl, "alter table teams rename to gone");
  await using chen = await connectSync(server.url, 3);
  deepEqual(await chen.closed, {
    code: 1013,
    reason: "groups cannot be read now, try again",
  });
  const unread = await list(server, await tokenFor(3));
  deepEqual([unread.status, unread.error.code], [503, "unavailable"]);
  ok(!/teams|gone/.test(unread.text));
  ada.send({ type: "refresh", token: await tokenFor(1) });
  await using adaAgain = await connectSync(server.url, 1);
  await adaAgain.holds([1, 2]);
  deepEqual((await list(server, await tokenFor(1))).ids, [1, 2]);
  await bob.holds([1, 2]);

  await query(databaseUrl, "alter table gone rename to teams");
  await query(
    databaseUrl,
    "insert into teams select 3, generate_series(30, 40)",
  );
  await using overgrouped = await connectSync(server.url, 3);
  const { code, reason } = await overgrouped.closed;
  equal(code, 1008);
  match(reason, /^the user is in more than 2 groups/);
  await untilEqual("user 3 may not list", async () => {
    const { status, error } = await list(server, await tokenFor(3));
    return [status, error?.code];
  }, [403, "too_many_groups"]);
});
