/** The nginx configuration `docs/nginx.conf`, in front of a real server. */
import { equal, match, ok } from "node:assert/strict";
import { tokenFor } from "../support/client.ts";
import { postgresForThisFile } from "../support/database.ts";
import { expectThrottled, metrics, statusCode } from "../support/endpoints.ts";
import {
  isMissing,
  NGINX,
  PROXY_ADDRESS,
  refusedRequestId,
  type RunningProxy,
  seesAnother,
  startFrontProxy,
} from "../support/front_proxy.ts";
import { freePort } from "../support/ports.ts";
import { startServerOn, type TestServer } from "../support/server.ts";
import { connectSync, type SyncClient } from "../support/sync_client.ts";
import { until } from "../support/until.ts";

const isSkipped = await isMissing(NGINX);
const postgres = postgresForThisFile();
let server: TestServer;
let nginx: RunningProxy;

function startNginx(servers: readonly TestServer[]): Promise<RunningProxy> {
  return startFrontProxy(NGINX, servers.map(({ url }) => new URL(url).host));
}

Deno.test.beforeAll(async () => {
  if (isSkipped) return;
  server = await startServerOn(await postgres.database(), {
    TRUSTED_PROXIES: PROXY_ADDRESS,
    MAX_FAILED_TOKENS_PER_MINUTE: "4",
    ROSTER_ACCESS: "token",
  });
  nginx = await startNginx([server]);
});
Deno.test.afterAll(async () => {
  if (isSkipped) return;
  await nginx[Symbol.asyncDispose]();
  await server[Symbol.asyncDispose]();
});

function nginxTest(name: string, fn: () => Promise<void>): void {
  Deno.test({ name, fn, ignore: isSkipped });
}

nginxTest(
  "sockets work through nginx, and its log has no tokens",
  async () => {
    const { url, directory } = nginx;
    const token = await tokenFor(1);
    await using _ada = await seesAnother(url);
    equal(await statusCode(`${url}users/online?token=${token}`), 200);
    equal(await statusCode(`${url}metrics`), 404);
    const log = await until("nginx logs the request", async () => {
      const text = await Deno.readTextFile(`${directory}/access.log`);
      return text.includes("/users/online") && text;
    });
    ok(!log.includes(token));
  },
);

nginxTest(
  "Rollcall logs a request under the id that nginx gave it",
  async () => {
    const { url, directory } = nginx;
    const requestId = await refusedRequestId(url, server);
    match(requestId, /^[0-9a-f]{32}$/);
    await until("nginx logs the request under the same id", async () => {
      const text = await Deno.readTextFile(`${directory}/access.log`);
      return text.includes(`"GET /ws" 101 `) && text.includes(requestId);
    });
  },
);

nginxTest(
  "[L1] nginx disconnects a client that sends its headers too slowly",
  async () => {
    const { hostname, port } = new URL(nginx.url);
    using conn = await Deno.connect({ hostname, port: Number(port) });
    const startedAt = performance.now();
    await conn.write(
      new TextEncoder().encode("GET /ws HTTP/1.1\r\nHost: x\r\n"),
    );
    const size = await conn.read(new Uint8Array(1_024));
    const tookMs = performance.now() - startedAt;
    ok(size === null || size > 0);
    ok(
      tookMs > 4_000 && tookMs < 9_000,
      `disconnected after ${tookMs.toFixed()} ms`,
    );
  },
);

nginxTest("[L1] nginx limits the sockets of one client address", async () => {
  const conns: SyncClient[] = [];
  // Nginx may still count the sockets of the tests before, for a moment.
  await until("five sockets are open", async () => {
    const client = await connectSync(nginx.url, 1);
    await until("it is decided", () =>
      client.messages.length > 0 ||
      client.socket.readyState === WebSocket.CLOSED);
    if (client.messages.length > 0) conns.push(client);
    return conns.length === 5;
  });
  const sixth = await connectSync(nginx.url, 1);
  equal((await sixth.closed).code, 0);
  for (const client of conns) await client[Symbol.asyncDispose]();
});

nginxTest(
  "[L1] behind nginx, failed tokens count against the client's address and not against one that it claims",
  async () => {
    const { url } = nginx;
    // The same client through nginx, and without it.
    const direct = server.url.replace("localhost", "127.0.0.1");
    await expectThrottled((n) => {
      const headers = { "x-forwarded-for": `192.0.2.${n}` };
      const through = n % 2 === 0 ? url : direct;
      return statusCode(`${through}users/online?token=bad`, { headers });
    }, 4);
  },
);

nginxTest(
  "a restarted node gets its share of new clients at once",
  async () => {
    const databaseUrl = await postgres.database();
    const env = { TRUSTED_PROXIES: PROXY_ADDRESS };
    await using staying = await startServerOn(databaseUrl, env);
    const port = String(freePort());
    let moving = await startServerOn(databaseUrl, { ...env, PORT: port });
    await using stack = new AsyncDisposableStack();
    stack.defer(() => moving[Symbol.asyncDispose]());
    await using front = await startNginx([staying, moving]);
    const join = async (userId: number) => {
      const client = stack.use(await connectSync(front.url, userId));
      await client.receives("presence_state");
      return client;
    };
    // One client on each node.
    await join(1);
    await join(2);
    await moving.stop("SIGTERM");
    await moving[Symbol.asyncDispose]();
    // The stopped node accepts no connection, so nginx sends the client to the other one.
    await join(3);
    moving = await startServerOn(databaseUrl, { ...env, PORT: port });
    await join(4);
    await join(5);
    const sockets = (await metrics(moving)).get("rollcall_sockets") ?? 0;
    ok(sockets === 1 || sockets === 2, `${sockets} sockets`);
  },
);
