/** How a server starts: its port, what it answers meanwhile, and what ends the start. */
import { equal, match, ok } from "node:assert/strict";
import pg from "pg";
import { connectWith, socketUrl } from "../support/client.ts";
import { postgresForThisFile, query } from "../support/database.ts";
import { statusCode } from "../support/endpoints.ts";
import { freePort } from "../support/ports.ts";
import { isRunning, postmasterPid } from "../support/process.ts";
import { copyProject, startTask } from "../support/project.ts";
import { listed } from "../support/roster.ts";
import { scratchFolder } from "../support/scratch_folder.ts";
import { runFile, startServerOn, TEST_SECRET } from "../support/server.ts";
import { until } from "../support/until.ts";

const postgres = postgresForThisFile();
const embedded = { JWT_SECRET: TEST_SECRET, ROSTER_ACCESS: "public" };

Deno.test("a demo secret that cannot be read ends the start with exit code 2 and its path", async () => {
  await using folder = await scratchFolder();
  const cwd = folder.path;
  // A folder in its place cannot be read as a file, not even by root.
  await Deno.mkdir(`${cwd}/.data/secret`, { recursive: true });
  const { code, stderr } = await runFile("main.ts", [], { cwd });
  equal(code, 2);
  match(stderr, /^Cannot keep the demo's secret in \.data\/secret: /);
});

Deno.test("[C3] a server whose port is in use does not join the cluster", async () => {
  using listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const DATABASE_URL = await postgres.database();
  await query(
    DATABASE_URL,
    `create function joined() returns trigger language plpgsql as
       $$ begin raise 'a node joined'; end $$;
     create trigger joined before insert on rollcall_internal.nodes
       for each row execute function joined()`,
  );
  const { code, stderr } = await runFile("main.ts", [], {
    env: {
      ...{ ...embedded, DATABASE_URL },
      ...{ HOST: "127.0.0.1", PORT: String(listener.addr.port) },
    },
  });
  equal(code, 2);
  match(
    stderr,
    /^Cannot listen on HOST=127\.0\.0\.1 .*; set PORT to another port, or stop the program that has this one\n$/,
  );
});

Deno.test("until a node has joined the cluster, it is not ready, and its sockets get 503", async () => {
  const DATABASE_URL = await postgres.database();
  const other = new pg.Client(DATABASE_URL);
  other.on("error", () => {});
  await other.connect();
  await other.query(
    "begin; lock table rollcall_internal.nodes in access exclusive mode",
  );
  const PORT = String(freePort());
  const env = { ...embedded, DATABASE_URL, HOST: "127.0.0.1", PORT };
  const url = `http://127.0.0.1:${PORT}/`;
  const run = await runFile("main.ts", [], { env }, async (process) => {
    await until("it listens", async () => {
      const codes = await Promise.all(
        ["healthz", "readyz", "ws"].map(async (path) => {
          const answer = await fetch(`${url}${path}`).catch(() => undefined);
          const { status, error } = await answer?.json() ?? {};
          return status ?? error?.code;
        }),
      );
      return `${codes}` === "ok,not_ready,starting";
    });
    await other.query("rollback");
    await until(
      "it is ready",
      async () => await statusCode(`${url}readyz`) === 200,
    );
    process.kill("SIGTERM");
  });
  await other.end();
  equal(run.code, 0, run.stderr);
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

Deno.test("the log names the database and the address of the socket, and / says what the server is", async () => {
  await using server = await startServerOn(postgres.database());
  const lines = server.log.map((line) => JSON.parse(line));
  const { host, pathname } = new URL(server.databaseUrl);
  ok(lines.some(({ msg }) =>
    msg.startsWith("database: postgres://") &&
    msg.endsWith(`@${host}${pathname}`)
  ));
  const listening = lines.find(({ msg }) => msg === "listening");
  equal(listening.socket, socketUrl(server.url));
  const page = await fetch(server.url);
  equal(page.status, 200);
  match(page.headers.get("content-type") ?? "", /^text\/plain/);
  match(await page.text(), /^Rollcall \d+\.\d+\.\d+\S*, .*README\.md.*\n$/);
});

Deno.test("a misspelt variable is a warning in the log, without its value", async () => {
  await using server = await startServerOn(postgres.database(), {
    MAX_CONECTIONS: "8123",
  });
  const warnings = server.log.filter((line) => line.includes('"warn"'));
  equal(warnings.length, 1);
  match(
    warnings[0] ?? "",
    /"variable":"MAX_CONECTIONS","meant":"MAX_CONNECTIONS","msg":"unknown variable, probably misspelt"/,
  );
  ok(!server.log.join().includes("8123"));
});
