/** Where the server runs: several processes behind one port, few permissions, and a host without files. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { connect, type TestClient } from "../support/client.ts";
import { postgresForThisFile, query, statusOf } from "../support/database.ts";
import { onlineIds, statusCode } from "../support/endpoints.ts";
import { transitionsOf } from "../support/roster.ts";
import {
  ROOT,
  runFile,
  startServerOn,
  TEST_SECRET,
} from "../support/server.ts";
import { until } from "../support/until.ts";

const postgres = postgresForThisFile();

Deno.test({
  name: "[C1] several processes that share a port act as one server",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    const url = await postgres.database(60);
    const env = { HOST: "127.0.0.1", REUSE_PORT: "true", DRAIN_MS: "100" };
    await using first = await startServerOn(url, env);
    const { port } = new URL(first.url);
    await using second = await startServerOn(url, { ...env, PORT: port });
    equal(first.url, second.url);
    const clients: TestClient[] = [];
    for (let userId = 1; userId <= 60; userId++) {
      clients.push(await connect(first.url, userId));
    }
    const perNode = await until("all 60 users are claimed", async () => {
      const rows = await query(
        url,
        "select count(*)::int from rollcall_internal.presence, unnest(nodes) node group by node",
      );
      const counts: number[] = rows.map(({ count }) => count);
      return counts.reduce((sum, count) => sum + count, 0) === 60 && counts;
    });
    equal(perNode.length, 2, "both processes have sockets");
    await clients[0]?.receives("user_online", 60);
    // One process stops. The other one still listens on the same port.
    equal(await first.stop(), 0);
    await until("the open clients are those that are listed", async () => {
      const open = openIds(clients);
      const listed = await onlineIds(second);
      return perNode.includes(open.length) && listed.join() === open.join();
    });
    for (const client of clients) await client.close();
  },
});

function openIds(clients: readonly { socket: WebSocket }[]): number[] {
  return clients.flatMap(({ socket }, index) =>
    socket.readyState === WebSocket.OPEN ? [index + 1] : []
  );
}

Deno.test("the production permissions suffice, and allow neither writing files nor running programs", async () => {
  const { permissions } = JSON.parse(
    await Deno.readTextFile(`${ROOT}deno.json`),
  );
  deepEqual(Object.keys(permissions.production).sort(), [
    ...["env", "net", "read", "sys"],
  ]);
  await using server = await startServerOn(
    postgres.database(),
    { AUTO_PROVISION: "true" },
    { permissions: "-P=production" },
  );
  await using ada = await connect(server.url, 1);
  {
    await using _bob = await connect(server.url, 77);
    await ada.receives("user_online", 77);
  }
  await ada.receives("user_offline", 77);
  for (const path of ["users/online", "metrics", "readyz", "client.js"]) {
    equal(await statusCode(`${server.url}${path}`), 200, path);
  }
  equal(await server.stop(), 0);
  ok(!/"level":"(warn|error)"/.test(server.log.join("\n")));
});

Deno.test("on Deno Deploy the start fails without a database and names the missing variables", async () => {
  const env = { DENO_DEPLOY: "1" };
  const { code, stderr } = await runFile("main.ts", [], { env });
  equal(code, 2);
  match(
    stderr,
    /DATABASE_URL and PGHOST are both missing: expected a linked database on Deno Deploy/,
  );
});

Deno.test("[C7] as an isolate with PG* variables and without write and run permission, the server stops within 5 s of SIGINT", async () => {
  const url = await postgres.database();
  const { hostname, port, username, password, pathname } = new URL(url);
  const output = await Deno.makeTempFile();
  const cwd = await Deno.makeTempDir();
  const isolate = new Deno.Command("sh", {
    args: [
      "-c",
      `exec "$@" >"${output}" 2>&1`,
      "sh",
      Deno.execPath(),
      ...[
        "run",
        "--no-prompt",
        "--allow-net",
        "--allow-env",
        "--allow-read",
        "--allow-sys",
      ],
      ...["--config", `${ROOT}deno.json`, `${ROOT}main.ts`],
    ],
    cwd,
    clearEnv: true,
    env: {
      ...{ PATH: Deno.env.get("PATH") ?? "", HOME: Deno.env.get("HOME") ?? "" },
      ...{
        DENO_DEPLOY: "1",
        PORT: "0",
        JWT_SECRET: TEST_SECRET,
        ROSTER_ACCESS: "public",
      },
      ...{
        PGHOST: hostname,
        PGPORT: port,
        PGUSER: username,
        PGPASSWORD: password,
      },
      PGDATABASE: pathname.slice(1),
    },
  }).spawn();
  const listening = await until("the server listens", async () => {
    const lines = (await Deno.readTextFile(output)).split("\n").slice(0, -1);
    return lines.find((line) => line.includes('"msg":"listening"'));
  }, 30_000);
  const server = JSON.parse(listening);
  const ada = await connect(server.url, 1);
  const bob = await connect(server.url, 2);
  await ada.receives("user_online", 2);
  const signalledAt = performance.now();
  isolate.kill("SIGINT");
  equal((await isolate.status).code, 0);
  ok(performance.now() - signalledAt < 5_000);
  deepEqual([await statusOf(url, 1), await statusOf(url, 2)], [
    "offline",
    "offline",
  ]);
  deepEqual(transitionsOf(ada, 2), ["user_online"]);
  await Promise.all([ada.closed, bob.closed]);
  await Deno.remove(output);
  await Deno.remove(cwd, { recursive: true });
});
