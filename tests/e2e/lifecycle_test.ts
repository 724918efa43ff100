/** How a server stops: signals, peers and a database that do not answer, and what remains. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import pg from "pg";
import { connect, open, tokenFor } from "../support/client.ts";
import { postgresForThisFile, query, statusOf } from "../support/database.ts";
import { readiness, statusCode, v1Connected } from "../support/endpoints.ts";
import { listeningPorts } from "../support/process.ts";
import { startProxy } from "../support/proxy.ts";
import { rawHandshake } from "../support/raw_socket.ts";
import { listed } from "../support/roster.ts";
import { runFile, startServerOn, TEST_SECRET } from "../support/server.ts";
import { until } from "../support/until.ts";

const postgres = postgresForThisFile();
const embedded = { JWT_SECRET: TEST_SECRET, ROSTER_ACCESS: "public" };

const STOP_SIGNALS = [
  ...["SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR2"] as const,
  ...["SIGXCPU", "SIGPWR"] as const,
];

for (const signal of STOP_SIGNALS) {
  Deno.test(`${signal}: sockets are closed with 1001, claims are released, users are offline, exit code 0`, async () => {
    await using server = await startServerOn(postgres.database(), {
      DRAIN_MS: signal === "SIGTERM" ? "300" : "0",
    });
    const url = server.databaseUrl;
    const clients = await Promise.all(
      Array.from({ length: 60 }, (_, n) => open(server.url, 1 + n % 3)),
    );
    await v1Connected(server, 60);
    await listed(server, [1, 2, 3]);
    equal(await server.stop(signal), 0);
    for (const client of clients) {
      deepEqual(await client.closed, {
        code: 1001,
        reason: "server going away",
      });
    }
    for (const userId of [1, 2, 3]) {
      equal(await statusOf(url, userId), "offline");
    }
    deepEqual(
      await query(
        url,
        "select from rollcall_internal.presence where nodes <> '{}'",
      ),
      [],
    );
    deepEqual(await query(url, "select from rollcall_internal.nodes"), []);
  });
}

Deno.test({
  name:
    "SIGUSR1 stops nothing, and the debugger that it opens is closed each time",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    await using server = await startServerOn(postgres.database());
    const ports = listeningPorts(server.pid);
    for (const times of [1, 2]) {
      await until("Deno has opened the debugger", () => {
        Deno.kill(server.pid, "SIGUSR1");
        const opened = server.log.filter((line) =>
          line.startsWith("Debugger listening")
        );
        return opened.length >= times;
      });
      await until(
        "it is closed",
        () =>
          `${listeningPorts(server.pid)}` === `${ports}` &&
          server.log.filter((line) => line.includes("closed the inspector"))
              .length >= times,
      );
    }
    equal(await statusCode(`${server.url}healthz`), 200);
    equal(await server.stop(), 0);
  },
});

Deno.test("while it drains, a node is not ready and refuses new sockets", async () => {
  // The last of eight sockets is closed after seven eighths of the time.
  await using server = await startServerOn(postgres.database(), {
    DRAIN_MS: "4000",
  });
  for (let userId = 1; userId <= 8; userId++) await connect(server.url, userId);
  const stopping = server.stop();
  const { error } = await until("the node is not ready", async () => {
    const answer = await readiness(server);
    return answer.status === 503 && answer;
  });
  match(error?.message ?? "", /drain/);
  using refused = await rawHandshake(server.url);
  equal(refused.status, 503);
  equal(await stopping, 0);
});

Deno.test("a peer that never answers the close does not delay the stop beyond 10 s", async () => {
  await using server = await startServerOn(postgres.database());
  using _mute = await rawHandshake(server.url, {
    authorization: `Bearer ${await tokenFor(1)}`,
  });
  await listed(server, [1]);
  const startedAt = performance.now();
  equal(await server.stop(), 0);
  ok(performance.now() - startedAt < 10_000);
  equal(await statusOf(server.databaseUrl, 1), "offline");
});

Deno.test("a database that does not answer does not delay the stop beyond 10 s", async () => {
  await using proxy = startProxy(await postgres.database());
  await using server = await startServerOn(proxy.url);
  await using _ada = await connect(server.url, 1);
  await listed(server, [1]);
  proxy.set("silent");
  const startedAt = performance.now();
  equal(await server.stop(), 0);
  ok(performance.now() - startedAt < 10_000);
});

for (const signal of ["SIGTERM", "SIGINT"] as const) {
  Deno.test(`${signal} during a start that waits for the database ends the process with 0 within 5 s`, async () => {
    const DATABASE_URL = await postgres.database();
    const other = new pg.Client(DATABASE_URL);
    await other.connect();
    await other.query("begin");
    await other.query(
      "select from rollcall_internal.migration_lock for update",
    );
    let lastSentAt = 0;
    const env = { ...embedded, DATABASE_URL, PORT: "0" };
    const run = await runFile("main.ts", [], { env }, async (process) => {
      await until("the start waits for the lock", async () => {
        const rows = await query(
          DATABASE_URL,
          "select from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()",
        );
        return rows.length > 0;
      });
      lastSentAt = performance.now();
      process.kill(signal);
    });
    await other.end();
    ok(performance.now() - lastSentAt < 5_000);
    equal(run.code, 0);
    match(run.stdout, /stopping before the start completed/);
  });
}
