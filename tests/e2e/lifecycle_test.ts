/** Start and stop: the embedded database, signals, and what remains after a stop. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import pg from "pg";
import {
  connect,
  connectWith,
  open,
  socketUrl,
  tokenFor,
} from "../support/client.ts";
import { postgresForThisFile, query, statusOf } from "../support/database.ts";
import { readiness, statusCode, v1Connected } from "../support/endpoints.ts";
import { embeddedUrl, isRunning, postmasterPid } from "../support/process.ts";
import { copyProject, ORDINARY_USER, startTask } from "../support/project.ts";
import { startProxy } from "../support/proxy.ts";
import { rawHandshake } from "../support/raw_socket.ts";
import { listed, recorded } from "../support/roster.ts";
import { scratchFolder } from "../support/scratch_folder.ts";
import {
  runFile,
  startServer,
  startServerOn,
  TEST_SECRET,
} from "../support/server.ts";
import { until } from "../support/until.ts";

const postgres = postgresForThisFile();
const embedded = { JWT_SECRET: TEST_SECRET, ROSTER_ACCESS: "public" };

for (const signal of ["SIGTERM", "SIGINT"] as const) {
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

Deno.test("the embedded database stops with the server and keeps its data", async () => {
  await using folder = await scratchFolder();
  const cwd = folder.path;
  await using first = await startServer({ cwd, env: embedded });
  const url = await embeddedUrl(cwd);
  await query(url, "insert into users (id, username) values (7, 'grace')");
  const pid = await postmasterPid(cwd);
  ok(await isRunning(pid));
  equal(await first.stop(), 0);
  equal(await isRunning(pid), false);

  await using second = await startServer({ cwd, env: embedded });
  await using grace = await connect(second.url, 7);
  await listed(second, [7]);
  equal(await second.stop(), 0);
  equal((await grace.closed).code, 1001);
});

Deno.test("[C3] after kill -9 of the server and a new start, users without a connection are offline", async () => {
  await using folder = await scratchFolder();
  const cwd = folder.path;
  const env = { ...embedded, LEASE_MS: "2000", HEARTBEAT_MS: "500" };
  await using first = await startServer({ cwd, env });
  const url = await embeddedUrl(cwd);
  await query(
    url,
    "insert into users (id, username) values (1, 'ada'), (2, 'bob')",
  );
  const clients = [await connect(first.url, 1), await connect(first.url, 2)];
  await listed(first, [1, 2]);
  const orphan = await postmasterPid(cwd);
  await first.kill();
  for (const client of clients) await client.closed;
  ok(await isRunning(orphan), "the database of a killed server still runs");

  await using second = await startServer({ cwd, env });
  equal(await isRunning(orphan), false);
  await using _ada = await connect(second.url, 1);
  await listed(second, [1]);
  const again = await embeddedUrl(cwd);
  equal(await statusOf(again, 1), "online");
  equal(await statusOf(again, 2), "offline");
  equal(await second.stop(), 0);
});

Deno.test("[C5] after kill -9 of the embedded database it is restarted, and clients, list and status agree", async () => {
  await using folder = await scratchFolder();
  const cwd = folder.path;
  await using server = await startServer({ cwd, env: embedded });
  const url = await embeddedUrl(cwd);
  await query(
    url,
    "insert into users select n, 'user' || n from generate_series(1, 3) n",
  );
  const ada = await connect(server.url, 1);
  const bob = await connect(server.url, 2);
  await listed(server, [1, 2]);

  const killed = await postmasterPid(cwd);
  Deno.kill(killed, "SIGKILL");
  await bob.close();
  // The database does not run yet, so the list cannot contain chen.
  const chen = await open(server.url, 3);
  await ada.receives("user_offline", 2);
  await ada.receives("user_online", 3);
  await listed(server, [1, 3]);
  // Connections of the killed database may have lived long enough to write all this.
  await until("another database answers", async () => {
    const pid = await postmasterPid(cwd).catch(() => killed);
    return pid !== killed &&
      await query(url, "select").then(() => true, () => false);
  });
  await recorded(url, [1, 3]);
  equal(ada.socket.readyState, WebSocket.OPEN);
  equal(await server.stop(), 0);
  await Promise.all([ada.closed, chen.closed]);
});

Deno.test("[C3] kill -9 of the server and its database at once loses no data at the next start", async () => {
  await using folder = await scratchFolder();
  const cwd = folder.path;
  await using first = await startServer({ cwd, env: embedded });
  const url = await embeddedUrl(cwd);
  await query(url, "insert into users (id, username) values (7, 'grace')");
  const database = await postmasterPid(cwd);
  await first.kill();
  Deno.kill(database, "SIGKILL");
  await using second = await startServer({ cwd, env: embedded });
  const again = await embeddedUrl(cwd);
  equal(await statusOf(again, 7), "offline");
  equal(await second.stop(), 0);
});

Deno.test("a demo secret that cannot be read ends the start with exit code 2 and its path", async () => {
  await using folder = await scratchFolder();
  const cwd = folder.path;
  // A folder in its place cannot be read as a file, not even by root.
  await Deno.mkdir(`${cwd}/.data/secret`, { recursive: true });
  const { code, stderr } = await runFile("main.ts", [], { cwd });
  equal(code, 2);
  match(stderr, /^Cannot keep the demo's secret in \.data\/secret: /);
});

Deno.test("a second server on the same data folder ends with exit code 2 and the id of the first process", async () => {
  await using folder = await scratchFolder();
  const cwd = folder.path;
  await using first = await startServer({ cwd, env: embedded });
  const { code, stderr } = await runFile("main.ts", [], {
    cwd,
    env: { ...embedded, PORT: "0" },
  });
  equal(code, 2);
  match(
    stderr,
    new RegExp(
      `^Cannot use .*\\.data: another Rollcall server \\(process ${first.pid}\\)`,
    ),
  );
  equal(await statusCode(`${first.url}healthz`), 200);
});

Deno.test("a port in use ends the start with exit code 2, and the embedded database is stopped", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  await using folder = await scratchFolder();
  const cwd = folder.path;
  const env = {
    ...embedded,
    HOST: "127.0.0.1",
    PORT: String(listener.addr.port),
  };
  const { code, stderr } = await runFile("main.ts", [], { cwd, env });
  equal(code, 2);
  match(
    stderr,
    new RegExp(
      `^Cannot listen on HOST=127\\.0\\.0\\.1 PORT=${listener.addr.port}: .*in use`,
    ),
  );
  await until("the database has stopped", async () => {
    const pidFile = await Deno.stat(`${cwd}/.data/postgres/postmaster.pid`)
      .catch(() => undefined);
    return pidFile === undefined;
  });
});

Deno.test("deno task start runs demo mode without configuration, and a signal to the task stops the server and its database", async () => {
  await using project = await copyProject();
  for (const signal of ["SIGTERM", "SIGINT"] as const) {
    await using task = await startTask(project.directory);
    const page = await fetch(task.url);
    match(await page.text(), /<html/);
    const { token } = await (await fetch(`${task.url}demo/token?user=ada`))
      .json();
    await using ada = await connectWith(
      new WebSocket(socketUrl(task.url, token)),
    );
    await listed(task, [1]);
    const database = await postmasterPid(project.directory);
    equal(await task.stop(signal), 0);
    equal((await ada.closed).code, 1001);
    equal(await isRunning(database), false);
    match(task.output, /try it/);
    match(task.output, /"msg":"stopped"/);
  }
});

Deno.test({
  name: "the embedded database works for a user other than root",
  // Only root can switch to another user. Without root, every other test in this file proves it.
  ignore: Deno.build.os === "windows" || Deno.uid() !== 0,
  fn: async () => {
    await using project = await copyProject();
    await project.giveTo(ORDINARY_USER);
    await using task = await startTask(project.directory, ORDINARY_USER);
    const { uid } = await Deno.stat(
      `${project.directory}/.data/postgres/PG_VERSION`,
    );
    equal(uid, ORDINARY_USER.uid);
    equal(await task.stop("SIGTERM"), 0);
  },
});
