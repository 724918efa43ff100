/** A `DATABASE_URL` with several hosts, of which one takes writes. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { connect } from "../support/client.ts";
import { query } from "../support/database.ts";
import { readiness, statusCode } from "../support/endpoints.ts";
import { freePort } from "../support/ports.ts";
import { runFile, startServerOn, TEST_SECRET } from "../support/server.ts";
import { startPair } from "../support/standby.ts";
import { connectSync } from "../support/sync_client.ts";
import { until } from "../support/until.ts";

const PLAN =
  `create table users (id integer primary key, username text, status text not null default 'offline');
   insert into users select n, 'user' || n from generate_series(1, 9) n`;

Deno.test("[C5] a node goes on at the host that takes writes after a failover, and one that starts before it waits", async () => {
  await using pair = await startPair();
  const { primary, standby } = pair;
  await query(primary.url, PLAN);
  const url = new URL(standby.url);
  // The standby comes first, so that the node has to look further at its start too.
  const hosts = `${url.host},${new URL(primary.url).host}`;
  const databaseUrl = `${
    standby.url.replace(url.host, hosts)
  }?target_session_attrs=read-write`;
  await using server = await startServerOn(databaseUrl);
  match(server.log.join("\n"), /database: \S+ or \S+"/);
  await using ada = await connectSync(server.url, 1);
  await ada.holds([1]);

  const PORT = String(freePort());
  const waiting = `http://127.0.0.1:${PORT}/`;
  const second = await runFile("main.ts", [], {
    env: {
      ...{ DATABASE_URL: standby.url, JWT_SECRET: TEST_SECRET },
      ...{ HOST: "127.0.0.1", PORT },
    },
  }, async (process) => {
    await until("the second node waits", async () => {
      const answer = await readiness({ url: waiting }).catch(() => undefined);
      return answer?.checks.database ===
        "this host is a standby, which takes no writes";
    });
    await primary.stop();
    await until(
      "the first node is not ready",
      async () => await statusCode(`${server.url}readyz`) === 503,
    );
    await pair.promote();
    for (const node of [server.url, waiting]) {
      await until(
        `${node} is ready`,
        async () => await statusCode(`${node}readyz`) === 200,
      );
    }
    // Two nodes: what one writes reaches the clients of the other by its new notification connection.
    await using bob = await connect(waiting, 2);
    await ada.holds([1, 2]);
    await using _cyd = await connect(server.url, 3);
    await bob.receives("user_online", 3);
    process.kill("SIGTERM");
  });
  equal(second.code, 0, second.stderr);
  equal(ada.socket.readyState, WebSocket.OPEN);
  const online = await query(
    standby.url,
    "select id from rollcall.online_users order by id",
  );
  ok(online.some(({ id }) => id === 1));
  deepEqual(
    server.log.filter((line) => line.includes('"error"')),
    [],
  );
});
