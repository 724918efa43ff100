/** The configurations `docs/haproxy.cfg` and `docs/Caddyfile`, in front of a real server. */
import { equal, ok } from "node:assert/strict";
import { tokenFor } from "../support/client.ts";
import { postgresForThisFile } from "../support/database.ts";
import { expectThrottled, statusCode } from "../support/endpoints.ts";
import {
  CADDY,
  HAPROXY,
  isMissing,
  PROXY_ADDRESS,
  refusedRequestId,
  type RunningProxy,
  seesAnother,
  SOCKETS_MAX,
  startFrontProxy,
} from "../support/front_proxy.ts";
import { startServerOn, type TestServer } from "../support/server.ts";
import { connectSync, type SyncClient } from "../support/sync_client.ts";
import { until } from "../support/until.ts";

const postgres = postgresForThisFile();
const FAILED_TOKENS_MAX = 4;

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

for (const [name, kind] of Object.entries({ HAProxy: HAPROXY, Caddy: CADDY })) {
  Deno.test({
    name:
      `${name} sends clients past a node that is not ready, and hides what is not for them`,
    ignore: await isMissing(kind),
    fn: async () => {
      await using server = await startServerOn(postgres.database(), {
        TRUSTED_PROXIES: `${PROXY_ADDRESS},127.0.0.1`,
        MAX_FAILED_TOKENS_PER_MINUTE: String(FAILED_TOKENS_MAX),
        ROSTER_ACCESS: "token",
      });
      await using refusing = startRefusingNode();
      const nodes = [refusing.host, new URL(server.url).host];
      await using proxy = await startFrontProxy(kind, nodes);
      const { url } = proxy;
      await until(
        "the proxy has checked the nodes",
        async () => refusing.paths.includes("/readyz") && await isHealthy(url),
      );
      const token = await tokenFor(1);
      await using _ada = await seesAnother(url);
      equal(await statusCode(`${url}users/online?token=${token}`), 200);
      for (const path of ["metrics", "admin", "admin/disconnect"]) {
        equal(await statusCode(`${url}${path}`), 404);
      }
      let failedTokensLeft = FAILED_TOKENS_MAX;
      if (kind === HAPROXY) {
        await limitsSockets(proxy, server);
        failedTokensLeft -= 1;
      }
      ok(!(await proxy.output()).includes(token));
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
  { url, output }: RunningProxy,
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
  const requestId = await refusedRequestId(url, server);
  await until(
    "the proxy logs the request under the same id",
    async () => (await output()).includes(requestId),
  );
}
