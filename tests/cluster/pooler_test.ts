/** A pooler in front of Postgres. LISTEN works through one in session mode alone. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { DATABASE_STATEMENT_MS } from "../../src/postgres/limits.ts";
import { migrateDatabase } from "../../src/postgres/migrate.ts";
import { Pool } from "../../src/postgres/pool.ts";
import { connect } from "../support/client.ts";
import { postgresForThisFile, query, silentLog } from "../support/database.ts";
import { freePort } from "../support/ports.ts";
import { runFile, startServerOn, TEST_SECRET } from "../support/server.ts";
import { until } from "../support/until.ts";

const postgres = postgresForThisFile();
const PGBOUNCER = "/usr/sbin/pgbouncer";
const isMissing = await Deno.stat(PGBOUNCER).then(() => false, () => true);
if (isMissing) {
  const line = `skipping the test of a pooler: no ${PGBOUNCER}\n`;
  Deno.stderr.writeSync(new TextEncoder().encode(line));
}

/** Starts pgbouncer, and resolves with the URL through it. */
async function startPooler(
  databaseUrl: string,
  mode: "session" | "transaction",
  connections = 20,
) {
  const { hostname, port, username, password, pathname } = new URL(databaseUrl);
  const directory = await Deno.makeTempDir({ prefix: "rollcall-pooler-" });
  const ownPort = freePort();
  const database = `host=${hostname} port=${port} user=${username}` +
    (password === "" ? "" : ` password=${password}`);
  await Deno.writeTextFile(
    `${directory}/users`,
    `"${username}" "${password}"\n`,
  );
  await Deno.writeTextFile(
    `${directory}/pgbouncer.ini`,
    [
      "[databases]",
      `${pathname.slice(1)} = ${database}`,
      "[pgbouncer]",
      "listen_addr = 127.0.0.1",
      `listen_port = ${ownPort}`,
      "unix_socket_dir =",
      "auth_type = trust",
      `auth_file = ${directory}/users`,
      `pool_mode = ${mode}`,
      `default_pool_size = ${connections}`,
    ].join("\n"),
  );
  const isRoot = Deno.uid() === 0;
  if (isRoot) {
    await new Deno.Command("chown", { args: ["-R", "nobody", directory] })
      .output();
  }
  const process = new Deno.Command(PGBOUNCER, {
    args: [...(isRoot ? ["-u", "nobody"] : []), `${directory}/pgbouncer.ini`],
    stdout: "null",
    stderr: "null",
  }).spawn();
  const url = new URL(databaseUrl);
  url.port = String(ownPort);
  await until("the pooler listens", async () => {
    const connection = await Deno.connect({
      hostname: "127.0.0.1",
      port: ownPort,
    })
      .catch(() => undefined);
    connection?.close();
    return connection !== undefined;
  });
  return {
    url: url.href,
    [Symbol.asyncDispose]: async () => {
      process.kill("SIGKILL");
      await process.status;
      await Deno.remove(directory, { recursive: true });
    },
  };
}

Deno.test({
  name:
    "a pooler in transaction mode ends the start with 2 and asks for a direct connection",
  ignore: isMissing,
  fn: async () => {
    await using pooler = await startPooler(
      await postgres.database(),
      "transaction",
    );
    const startedAt = performance.now();
    const env = {
      DATABASE_URL: pooler.url,
      JWT_SECRET: TEST_SECRET,
      PORT: "0",
    };
    const { code, stderr } = await runFile("main.ts", [], { env });
    equal(code, 2);
    match(
      stderr,
      /^Cannot listen for notifications: .*direct connection.*DATABASE_URL/,
    );
    ok(performance.now() - startedAt < 10_000);
  },
});

Deno.test({
  name:
    "a start through a pooler in transaction mode leaves nothing set and nothing locked on its connections",
  ignore: isMissing,
  fn: async () => {
    const direct = await postgres.emptyDatabase();
    // The application and the start share one connection.
    await using pooler = await startPooler(direct, "transaction", 1);
    const settings = () =>
      query(
        pooler.url,
        `select name, setting from pg_settings
          where source = 'session' and name not in ('application_name', 'client_encoding')
          order by 1`,
      );
    const before = await settings();
    const env = { DATABASE_URL: pooler.url, JWT_SECRET: TEST_SECRET };
    equal((await runFile("main.ts", [], { env })).code, 2);
    for (let n = 0; n < 10; n++) deepEqual(await settings(), before);
    deepEqual(
      await query(direct, "select from pg_locks where locktype = 'advisory'"),
      [],
    );
    // The application finds its table, and the next start waits for nobody.
    await query(
      pooler.url,
      "insert into users (id, username) values (1, 'ada')",
    );
    const startedAt = performance.now();
    await migrateDatabase(direct);
    ok(performance.now() - startedAt < 5_000);
  },
});

Deno.test({
  name:
    "a server works through a pooler in session mode, and its statements have their time limit",
  ignore: isMissing,
  fn: async () => {
    await using pooler = await startPooler(
      await postgres.database(),
      "session",
    );
    await using server = await startServerOn(pooler.url);
    await using ada = await connect(server.url, 1);
    await using _bob = await connect(server.url, 2);
    await ada.receives("user_online", 2);
    const pool = new Pool(pooler.url, silentLog);
    const [row] = await pool.query("show statement_timeout");
    await pool.close();
    equal(row?.statement_timeout, `${DATABASE_STATEMENT_MS / 1_000}s`);
  },
});
