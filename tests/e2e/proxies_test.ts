/** The configurations `docs/haproxy.cfg` and `docs/Caddyfile`, in front of a real server. */
import { equal, ok } from "node:assert/strict";
import { tokenFor } from "../support/client.ts";
import { postgresForThisFile } from "../support/database.ts";
import { expectThrottled, statusCode } from "../support/endpoints.ts";
import { freePort } from "../support/ports.ts";
import { ROOT, startServerOn, type TestServer } from "../support/server.ts";
import { connectSync, type SyncClient } from "../support/sync_client.ts";
import { until } from "../support/until.ts";

const postgres = postgresForThisFile();

interface ProxyKind {
  readonly program: string;
  readonly document: string;
  readonly args: (file: string) => string[];
  /** The documented configuration with ports that need no root, and few sockets for an address. */
  readonly adapt: (
    text: string,
    port: number,
    nodes: readonly string[],
  ) => string;
}

/** The address from which the proxy connects, where it can be set. It is not that of the clients. */
const PROXY_ADDRESS = "127.0.0.9";
const SOCKETS_MAX = 5;
const FAILED_TOKENS_MAX = 4;

const kinds: Record<string, ProxyKind> = {
  HAProxy: {
    program: "/usr/sbin/haproxy",
    document: "docs/haproxy.cfg",
    args: (file) => ["-f", file],
    adapt: (text, port, nodes) => {
      const servers = nodes.map((node, nth) => `  server n${nth} ${node}\n`);
      return text.replace("bind :80 ", `bind 127.0.0.1:${port} `)
        .replace("gt 100", `gt ${SOCKETS_MAX}`)
        .replace("rise 1", `rise 1 source ${PROXY_ADDRESS}`)
        .replace(/^ *server node1 .*\n/m, servers.join(""));
    },
  },
  Caddy: {
    program: "/usr/bin/caddy",
    document: "docs/Caddyfile",
    args: (file) => ["run", "--adapter", "caddyfile", "--config", file],
    adapt: (text, port, nodes) =>
      text.replace("presence.example", `http://127.0.0.1:${port}`)
        .replace(/^{\n/m, "{\n\tadmin off\n")
        .replace("127.0.0.1:8000", nodes.join(" ")),
  },
};

interface RunningProxy extends AsyncDisposable {
  readonly url: string;
  log(): Promise<string>;
}

async function startProxy(
  { program, document, args, adapt }: ProxyKind,
  nodes: readonly string[],
): Promise<RunningProxy> {
  const directory = await Deno.makeTempDir({ prefix: "rollcall-proxy-" });
  const port = freePort();
  const text = await Deno.readTextFile(`${ROOT}${document}`);
  const file = `${directory}/configuration`;
  await Deno.writeTextFile(file, adapt(text, port, nodes));
  const words = [program, ...args(file)].join(" ");
  const process = new Deno.Command("sh", {
    args: ["-c", `exec ${words} >${directory}/log 2>&1`],
    env: { XDG_DATA_HOME: directory, XDG_CONFIG_HOME: directory },
  }).spawn();
  const url = `http://127.0.0.1:${port}/`;
  const log = () => Deno.readTextFile(`${directory}/log`);
  await until(
    "the proxy listens",
    () => statusCode(`${url}healthz`).then(() => true, () => false),
  ).catch(async (err) => {
    throw new Error(await log(), { cause: err });
  });
  return {
    ...{ url, log },
    [Symbol.asyncDispose]: async () => {
      process.kill("SIGKILL");
      await process.status;
      await Deno.remove(directory, { recursive: true });
    },
  };
}

/** Answers as a node that is starting, draining or full. */
function startRefusingNode() {
  const paths: string[] = [];
  const server = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    ({ url }) => {
      paths.push(new URL(url).pathname);
      return Response.json({ error: {} }, { status: 503 });
    },
  );
  return {
    ...{ host: `127.0.0.1:${server.addr.port}`, paths },
    [Symbol.asyncDispose]: () => server.shutdown(),
  };
}

async function isHealthy(url: string): Promise<boolean> {
  const codes = [1, 2, 3, 4].map(() => statusCode(`${url}healthz`));
  return (await Promise.all(codes)).every((code) => code === 200);
}

for (const [name, kind] of Object.entries(kinds)) {
  Deno.test({
    name:
      `${name} sends clients past a node that is not ready, and hides what is not for them`,
    ignore: await Deno.stat(kind.program).then(() => false, () => true),
    fn: async () => {
      await using server = await startServerOn(postgres.database(), {
        TRUSTED_PROXIES: `${PROXY_ADDRESS},127.0.0.1`,
        MAX_FAILED_TOKENS_PER_MINUTE: String(FAILED_TOKENS_MAX),
        ROSTER_ACCESS: "token",
      });
      await using refusing = startRefusingNode();
      const nodes = [refusing.host, new URL(server.url).host];
      await using proxy = await startProxy(kind, nodes);
      const { url } = proxy;
      await until(
        "the proxy has checked the nodes",
        async () => refusing.paths.includes("/readyz") && await isHealthy(url),
      );
      const token = await tokenFor(1);
      await using ada = await connectSync(url, 1);
      await ada.holds([1]);
      {
        await using bob = await connectSync(url, 2, { watch: [1] });
        await bob.holds([1]);
        await ada.holds([1, 2]);
      }
      await ada.holds([1]);
      equal(await statusCode(`${url}users/online?token=${token}`), 200);
      for (const path of ["metrics", "admin", "admin/disconnect"]) {
        equal(await statusCode(`${url}${path}`), 404);
      }
      let failedTokensLeft = FAILED_TOKENS_MAX;
      if (name === "HAProxy") {
        await limitsSockets(proxy, server);
        failedTokensLeft -= 1;
      }
      ok(!(await proxy.log()).includes(token));
      // The address that a client claims does not count.
      await expectThrottled((n) => {
        const headers = { "x-forwarded-for": `192.0.2.${n}` };
        return statusCode(`${url}users/online?token=bad`, { headers });
      }, failedTokensLeft);
    },
  });
}

/** One client address has `SOCKETS_MAX` sockets at most, and the log has the id of a bad token's request. */
async function limitsSockets(
  { url, log }: RunningProxy,
  server: TestServer,
): Promise<void> {
  const clients: SyncClient[] = [];
  // One socket is open already.
  await until("no further socket may be opened", async () => {
    const client = await connectSync(url, 1);
    clients.push(client);
    await until("it is decided", () =>
      client.messages.length > 0 ||
      client.socket.readyState === WebSocket.CLOSED);
    return client.messages.length === 0;
  });
  equal(clients.length, SOCKETS_MAX);
  for (const client of clients) await client[Symbol.asyncDispose]();
  const refused = await connectSync(url, 1, { token: "worse" });
  equal((await refused.closed).code, 1008);
  const line = await until(
    "the refusal is logged",
    () => server.log.find((line) => line.includes("socket refused")),
  );
  const { requestId } = JSON.parse(line);
  await until(
    "the proxy logs the request under the same id",
    async () => (await log()).includes(requestId),
  );
}
