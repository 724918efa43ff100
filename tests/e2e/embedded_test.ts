/** The embedded database: its start, its stop, and what survives a crash. */
import { equal, match, ok } from "node:assert/strict";
import { connect, open } from "../support/client.ts";
import { query, statusOf } from "../support/database.ts";
import { statusCode } from "../support/endpoints.ts";
import {
  embeddedUrl,
  isRunning,
  postmasterPid,
  processTree,
} from "../support/process.ts";
import { copyProject, ORDINARY_USER, startTask } from "../support/project.ts";
import { listed, recorded } from "../support/roster.ts";
import { scratchFolder } from "../support/scratch_folder.ts";
import { runFile, startServer, TEST_SECRET } from "../support/server.ts";
import { until } from "../support/until.ts";

/** Only root can switch to another user. */
const ignore = Deno.build.os === "windows" || Deno.uid() !== 0;
const embedded = { JWT_SECRET: TEST_SECRET, ROSTER_ACCESS: "public" };

Deno.test("the embedded database stops with the server and keeps its data", async () => {
  await using folder = await scratchFolder();
  const cwd = folder.path;
  await using first = await startServer({ cwd, env: embedded });
  ok(
    first.log.some((line) =>
      JSON.parse(line).msg ===
        "database: embedded in .data/, because DATABASE_URL is not set"
    ),
    "the log says where the database is, and why",
  );
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

Deno.test({
  name: "the embedded database knows none of the server's variables",
  ignore: Deno.build.os !== "linux",
  fn: async () => {
    await using folder = await scratchFolder();
    const env = { ...embedded, ADMIN_TOKEN: crypto.randomUUID() };
    await using server = await startServer({ cwd: folder.path, env });
    const pids = await processTree(await postmasterPid(folder.path));
    const environments = await Promise.all(pids.map((pid) =>
      // A connection may have ended meanwhile, and its process with it.
      Deno.readTextFile(`/proc/${pid}/environ`).catch(() => "")
    ));
    ok(environments.some((text) => text.includes("LC_MESSAGES=C")));
    ok(!environments.join().includes(TEST_SECRET));
    ok(!environments.join().includes("ADMIN_TOKEN"));
    equal(await server.stop(), 0);
  },
});

Deno.test({
  name:
    "as root, the embedded database has a system user of its own, without groups and capabilities, and takes over data of another user",
  ignore,
  fn: async () => {
    await using folder = await scratchFolder();
    const cwd = folder.path;
    const file = `${cwd}/.data/postgres/PG_VERSION`;
    await using first = await startServer({ cwd, env: embedded });
    const { uid: own } = await Deno.stat(file);
    const pid = await postmasterPid(cwd);
    const status = await Deno.readTextFile(`/proc/${pid}/status`);
    match(status, new RegExp(`^Uid:(\\s+${own}){4}$`, "m"));
    match(status, /^Groups:\s*$/m);
    match(status, /^CapPrm:\s+0+$/m);
    match(status, /^CapAmb:\s+0+$/m);
    const users = await Deno.readTextFile("/etc/passwd");
    match(users, new RegExp(`^rollcall-postgres:[^:]*:${own}:`, "m"));
    equal(await first.stop(), 0);

    const data = `${cwd}/.data/postgres`;
    const { uid, gid } = ORDINARY_USER;
    await new Deno.Command("chown", { args: ["-R", `${uid}:${gid}`, data] })
      .output();
    await using second = await startServer({ cwd, env: embedded });
    equal((await Deno.stat(file)).uid, own);
    equal(await second.stop(), 0);
  },
});

Deno.test({
  name:
    "as root, a folder that the embedded database's user may not enter ends the start with 2 and one sentence that names it",
  ignore,
  fn: async () => {
    await using folder = await scratchFolder();
    const cwd = `${folder.path}/closed/project`;
    await Deno.mkdir(cwd, { recursive: true });
    await Deno.chmod(`${folder.path}/closed`, 0o700);
    const { code, stderr } = await runFile("main.ts", [], {
      ...{ cwd, env: { ...embedded, PORT: "0" } },
    });
    equal(code, 2);
    equal(
      stderr,
      `Cannot start the embedded Postgres: its system user rollcall-postgres may not enter ${folder.path}/closed; move the project to a folder that every user may enter, such as /srv/rollcall, start the server as an ordinary user, or set DATABASE_URL\n`,
    );
  },
});

Deno.test({
  name: "the embedded database works for a user other than root",
  // Without root, every other test in this file proves it.
  ignore,
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
