/** What a server does at its start while the database cannot be used, and will be usable again. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { connect } from "../support/client.ts";
import { postgresForThisFile, query, uniqueName } from "../support/database.ts";
import { statusCode } from "../support/endpoints.ts";
import { freePort } from "../support/ports.ts";
import { startProxy } from "../support/proxy.ts";
import { runFile, TEST_SECRET } from "../support/server.ts";
import { until } from "../support/until.ts";

const postgres = postgresForThisFile();

/** What the log of a waiting server says, each time. */
const WAITS = "cannot use the database yet, trying again";

/** Starts a server that has to wait. Resolves when it has ended, with its exit code and its log. */
async function startWaiting(
  env: Record<string, string>,
  meanwhile: (url: string, process: Deno.ChildProcess) => Promise<void>,
) {
  const PORT = String(freePort());
  const { code, stdout, stderr } = await runFile("main.ts", [], {
    env: {
      ...{ JWT_SECRET: TEST_SECRET, ROSTER_ACCESS: "public" },
      ...{ HOST: "127.0.0.1", PORT, ...env },
    },
  }, (process) => meanwhile(`http://127.0.0.1:${PORT}/`, process));
  const log = stdout.split("\n").filter((line) => line.startsWith("{"))
    .map((line) => JSON.parse(line));
  return { code, stderr, log };
}

/** Waits until `/readyz` gives this reason, and returns what the probes and the sockets answer then. */
async function waitsFor(url: string, reason: RegExp) {
  const readyz = await until(`the server waits: ${reason}`, async () => {
    const response = await fetch(`${url}readyz`).catch(() => undefined);
    const body = await response?.json();
    return reason.test(body?.error?.message) &&
      { status: response?.status, ...body };
  });
  equal(readyz.status, 503);
  equal(readyz.error.code, "not_ready");
  deepEqual(Object.keys(readyz.checks), ["database"]);
  const health = await fetch(`${url}healthz`);
  deepEqual([health.status, await health.json()], [200, { status: "ok" }]);
  const socket = await fetch(`${url}ws`);
  deepEqual([socket.status, (await socket.json()).error.code], [
    503,
    "starting",
  ]);
}

async function becomesReady(url: string): Promise<void> {
  await until(
    "the server is ready",
    async () => await statusCode(`${url}readyz`) === 200,
  );
  await using ada = await connect(url, 1);
  await using _bob = await connect(url, 2);
  await ada.receives("user_online", 2);
}

interface Away {
  /** Makes the database usable again. */
  readonly heal: () => Promise<void>;
  readonly url: string;
}

/** Databases that cannot be used, with what `/readyz` and the log say. */
const away: Record<
  string,
  { start: () => Promise<Away & AsyncDisposable>; says: RegExp; logs: RegExp }
> = {
  "nothing listens there": {
    start: async () => {
      const proxy = startProxy(await postgres.database());
      proxy.set("refusing");
      return { ...awayBehind(proxy), url: proxy.url };
    },
    says: /^database: the connection is refused$/,
    logs:
      /^Cannot connect to postgres:\/\/\w+@127\.0\.0\.1:\d+\/\w+: .*; check DATABASE_URL .* that Postgres runs$/,
  },
  "nobody answers": {
    start: async () => {
      const proxy = startProxy(await postgres.database());
      proxy.set("silent");
      return { ...awayBehind(proxy), url: proxy.url };
    },
    says: /^database: no answer$/,
    logs: /^Cannot connect to .*timeout/,
  },
  "it takes no writes": {
    start: async () => {
      const url = await postgres.database();
      const name = new URL(url).pathname.slice(1);
      const set = "default_transaction_read_only";
      await query(url, `alter database ${name} set ${set} = on`);
      return {
        url,
        heal: async () =>
          void await query(
            url,
            `begin read write; alter database ${name} reset ${set}; commit`,
          ),
        [Symbol.asyncDispose]: async () => {},
      };
    },
    says: /^database: this host takes no writes, /,
    logs: /takes no writes, .*; expected the primary: check DATABASE_URL/,
  },
  "it has no free connection": {
    start: async () => {
      const owner = await postgres.database();
      const url = new URL(owner);
      const role = uniqueName("server");
      await query(
        owner,
        `create role ${role} login password 'topsecret' connection limit 0 in role ${url.username}`,
      );
      [url.username, url.password] = [role, "topsecret"];
      return {
        url: url.href,
        heal: async () =>
          void await query(owner, `alter role ${role} connection limit -1`),
        [Symbol.asyncDispose]: async () => {},
      };
    },
    says: /^database: too many connections for role/,
    logs: /too many connections for role/,
  },
};

function awayBehind(proxy: ReturnType<typeof startProxy>) {
  return {
    heal: () => Promise.resolve(proxy.set("open")),
    [Symbol.asyncDispose]: () => proxy[Symbol.asyncDispose](),
  };
}

for (const [why, { start, says, logs }] of Object.entries(away)) {
  Deno.test(`a server waits at its start for a database, and serves when it can be used: ${why}`, async () => {
    await using database = await start();
    const { code, stderr, log } = await startWaiting(
      { DATABASE_URL: database.url },
      async (url, process) => {
        await waitsFor(url, says);
        await database.heal();
        await becomesReady(url);
        process.kill("SIGTERM");
      },
    );
    equal(code, 0, stderr);
    const lines = log.filter(({ msg }) => msg === WAITS);
    ok(lines.length >= 1 && lines.length < 20, `${lines.length} lines`);
    match(lines[0].reason, logs);
    const { password } = new URL(database.url);
    ok(password === "" || !JSON.stringify(log).includes(password));
  });
}

Deno.test("a server whose database does not answer stops at once on a signal", async () => {
  const url = new URL(await postgres.emptyDatabase());
  url.hostname = "no-such-host.invalid";
  let signalledAt = Infinity;
  const { code, log } = await startWaiting(
    { DATABASE_URL: url.href },
    async (server, process) => {
      await waitsFor(server, /the host (does not exist|cannot be looked up)/);
      signalledAt = performance.now();
      process.kill("SIGTERM");
    },
  );
  equal(code, 0);
  ok(performance.now() - signalledAt < 2_000);
  equal(log.at(-1).msg, "the start was abandoned");
});
