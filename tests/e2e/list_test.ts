/** `GET /users/online`: which users may read the list. */
import { deepEqual, equal } from "node:assert/strict";
import pg from "pg";
import { connect, tokenFor } from "../support/client.ts";
import { postgresForThisFile, query } from "../support/database.ts";
import { startServerOn } from "../support/server.ts";
import { until } from "../support/until.ts";

const postgres = postgresForThisFile();

Deno.test("a token of a user who does not exist or was deleted does not read the list", async () => {
  await using server = await startServerOn(postgres.database(), {
    ROSTER_ACCESS: "token",
  });
  const read = async (userId: number) => {
    const headers = { authorization: `Bearer ${await tokenFor(userId)}` };
    const response = await fetch(`${server.url}users/online`, { headers });
    const { error } = await response.json();
    return { status: response.status, ...error };
  };
  const refused = {
    ...{ status: 401, code: "unauthorized", message: "unknown user" },
  };
  deepEqual(await read(2), { status: 200 });
  deepEqual(await read(4_000_000), refused);
  await using _ada = await connect(server.url, 1);
  await query(server.databaseUrl, "delete from users where id in (1, 3)");
  deepEqual(await read(3), refused);
  await until(
    "the deleted user may not read the list",
    async () => (await read(1)).status === 401,
    60_000,
  );

  const application = new pg.Client(server.databaseUrl);
  await application.connect();
  try {
    await application.query("begin; lock table users");
    equal((await read(2)).status, 200, "was looked up before");
    equal((await read(5)).code, "unavailable");
  } finally {
    await application.end();
  }
  await until("the user may read", async () => (await read(5)).status === 200);
});

Deno.test("with AUTO_PROVISION a token of a user who does not exist yet reads the list", async () => {
  await using server = await startServerOn(postgres.database(), {
    ROSTER_ACCESS: "token",
    AUTO_PROVISION: "true",
  });
  const headers = { authorization: `Bearer ${await tokenFor(4_000_000)}` };
  const response = await fetch(`${server.url}users/online`, { headers });
  deepEqual(await response.json(), { online_users: [] });
});
