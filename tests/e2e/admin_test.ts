/** What an administrator sees, and the cordon. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { connect, open } from "../support/client.ts";
import { isDocumented } from "../support/contracts.ts";
import { nodeOf, postgresForThisFile } from "../support/database.ts";
import { readiness, statusCode } from "../support/endpoints.ts";
import { rawHandshake } from "../support/raw_socket.ts";
import { startServerOn } from "../support/server.ts";
import { connectSync } from "../support/sync_client.ts";
import { pause, until, untilEqual } from "../support/until.ts";

const postgres = postgresForThisFile();
const ADMIN_TOKEN = "an-admin-token-that-every-test-knows-0123";
const env = { ADMIN_TOKEN, HEARTBEAT_MS: "200" };

/** Sends an administrator's request, whose answer must be as documented. */
async function ask(
  url: string,
  method: "GET" | "POST",
  path: string,
  body?: unknown,
  token = ADMIN_TOKEN,
) {
  const response = await fetch(`${url}${path}`, {
    method,
    headers: { authorization: `Bearer ${token}` },
    ...(body === undefined ? {} : { body: JSON.stringify(body) }),
  });
  const { status, headers } = response;
  await isDocumented(method, `/${path.split("?")[0]}`, response.clone());
  return { status, headers, body: await response.json() };
}

const status = async (url: string, query = "") =>
  (await ask(url, "GET", `admin/status${query}`)).body;

Deno.test("the status needs the admin token, and is not stored", async () => {
  const databaseUrl = await postgres.database();
  await using server = await startServerOn(databaseUrl, env);
  const { url } = server;
  const wrong = await ask(url, "GET", "admin/status", undefined, "x");
  deepEqual([wrong.status, wrong.body.error.code], [401, "unauthorized"]);
  const { status, headers, body } = await ask(url, "GET", "admin/status");
  deepEqual([status, headers.get("cache-control")], [200, "no-store"]);
  deepEqual(
    body.warnings.map(({ level, event }: Record<string, string>) =>
      `${level}: ${event}`
    ),
    ["warn: wrong ADMIN_TOKEN"],
  );
  deepEqual(body.refusals, [
    { status: 401, reason: "unauthorized", count: 1 },
  ]);
  equal(body.node.isReady, true);
  ok(body.metrics.rollcall_connections_max > 0);
  const odd = await ask(url, "GET", "admin/status?user=0");
  deepEqual([odd.status, odd.body.error.code], [400, "bad_user"]);
  for (const path of ["", "/page.js", "/draw.js", "/judge.js", "/style.css"]) {
    const response = await fetch(`${url}admin${path}`);
    equal(response.status, 200);
    equal(response.headers.get("cache-control"), "no-store");
    match(
      response.headers.get("content-security-policy") ?? "",
      /^default-src 'none'; script-src 'self'; .*frame-ancestors 'none'$/,
    );
    ok(!(await response.text()).includes(ADMIN_TOKEN));
  }
});

Deno.test("without an ADMIN_TOKEN there is nothing below /admin", async () => {
  await using server = await startServerOn(await postgres.database());
  for (const path of ["admin", "admin/status", "admin/page.js"]) {
    equal(await statusCode(`${server.url}${path}`), 404);
  }
});

Deno.test("the status of any node has all nodes, and says where a user is connected", async () => {
  const databaseUrl = await postgres.database();
  await using a = await startServerOn(databaseUrl, env);
  await using b = await startServerOn(databaseUrl, {
    ...env,
    LEASE_MS: "1000",
  });
  await using bob = await connectSync(b.url, 2);
  await bob.holds([2]);
  const nodes = await until("b has reported its connection", async () => {
    const { nodes } = await status(a.url);
    return nodes.at(-1)?.connections === 1 && nodes;
  });
  deepEqual(
    nodes.map(({ host, pid, connections, state }: Record<string, unknown>) => ({
      ...{ host, pid, connections, state },
    })),
    [a, b].map(({ pid }, index) => ({
      ...{ host: Deno.hostname(), pid, connections: index, state: "serving" },
    })),
  );
  const id = await nodeOf(databaseUrl, 2);
  const { user } = await status(a.url, "?user=2");
  deepEqual([user.username, user.nodes, user.connections], ["user2", [id], []]);
  const [here] = (await status(b.url, "?user=2")).user.connections;
  deepEqual([here.version, here.state, here.unsentBytes], [2, "live", 0]);
  const nobody = (await status(a.url, "?user=3")).user;
  deepEqual([nobody.nodes, nobody.connections], [[], []]);
  await b.kill();
  await until("the lease of b is over", async () => {
    const { nodes } = await status(a.url);
    return nodes.length === 1 || nodes[1].state === "expired";
  });
});

Deno.test("[C7] a cordoned node takes no newcomers and keeps its clients", async () => {
  const databaseUrl = await postgres.database();
  await using server = await startServerOn(databaseUrl, env);
  const { url } = server;
  await using ada = await connect(url, 1);
  deepEqual((await ask(url, "POST", "admin/cordon")).body, {
    ...{ status: "cordoned", closesPerMinute: 0 },
  });
  const { status: code, checks } = await readiness(server);
  deepEqual([code, checks.cordon], [503, "this node is cordoned"]);
  using refused = await rawHandshake(url);
  equal(refused.status, 503);
  match(refused.head, /^retry-after: \d+\r$/im);
  const refusals = (await status(url)).refusals;
  deepEqual(refusals.map(({ reason }: { reason: string }) => reason), [
    ...["not_ready", "cordoned"],
  ]);
  equal(await statusCode(`${url}users/online`), 200);
  equal((await status(url)).node.isCordoned, true);
  // Whatever happens elsewhere still arrives.
  await using other = await startServerOn(databaseUrl, env);
  await using _bob = await connect(other.url, 2);
  await ada.receives("user_online", 2);
  deepEqual((await ask(url, "POST", "admin/uncordon")).body, {
    status: "serving",
  });
  equal((await readiness(server)).status, 200);
  await using _chen = await connect(url, 3);
});

Deno.test("[C7] a cordon with a rate sends clients to other nodes, without a transition", async () => {
  const databaseUrl = await postgres.database();
  const grace = { ...env, DRAIN_GRACE_MS: "3000" };
  await using full = await startServerOn(databaseUrl, grace);
  await using empty = await startServerOn(databaseUrl, env);
  await using watcher = await connect(empty.url, 9);
  const clients = await Promise.all([1, 2, 3].map((id) => open(full.url, id)));
  for (const id of [1, 2, 3]) await watcher.receives("user_online", id);
  await ask(full.url, "POST", "admin/cordon", { closesPerMinute: 1_200 });
  const moved = await Promise.all(clients.map(async ({ closed }, index) => {
    const { code, reason } = await closed;
    deepEqual([code, reason], [1001, "node is cordoned, reconnect"]);
    // Longer than a write takes, so that without the grace the user would go offline.
    await pause(100);
    return await connect(empty.url, index + 1);
  }));
  await untilEqual(
    "the users are claimed by the other node",
    () => Promise.all([1, 2, 3].map((id) => nodeOf(databaseUrl, id))),
    Array(3).fill(await nodeOf(databaseUrl, 9)),
  );
  deepEqual(watcher.messages.length, 3);
  await Promise.all(moved.map((client) => client[Symbol.asyncDispose]()));
});

Deno.test("a cordon with another body is refused", async () => {
  await using server = await startServerOn(await postgres.database(), env);
  for (
    const body of [{ closesPerMinute: 0 }, { closesPerMinute: "1" }, { x: 1 }]
  ) {
    const refused = await ask(server.url, "POST", "admin/cordon", body);
    deepEqual([refused.status, refused.body.error.code], [400, "bad_cordon"]);
  }
  const path = `${server.url}admin/cordon`;
  equal(await statusCode(path, { method: "POST" }), 401);
  equal((await readiness(server)).status, 200);
});
