/** The end of a grace: clients that leave for good, and users who are disconnected. */
import { equal } from "node:assert/strict";
import {
  connect,
  connectWith,
  socketUrl,
  tokenFor,
} from "../support/client.ts";
import { postgresForThisFile } from "../support/database.ts";
import { v1Connected } from "../support/endpoints.ts";
import { listed } from "../support/roster.ts";
import { startServerOn } from "../support/server.ts";

const postgres = postgresForThisFile();

Deno.test("[P8] who leaves for good is offline at once: by the close reason, an expired token or an administrator", async () => {
  const adminToken = "admin-0123456789012345678901234567";
  await using server = await startServerOn(postgres.database(), {
    OFFLINE_GRACE_MS: "600000",
    ADMIN_TOKEN: adminToken,
  });
  const disconnect = async (body: unknown) => {
    const response = await fetch(`${server.url}admin/disconnect`, {
      method: "POST",
      headers: { authorization: `Bearer ${adminToken}` },
      body: JSON.stringify(body),
    });
    await response.body?.cancel();
    equal(response.status, 202);
  };
  await using ada = await connect(server.url, 1);
  // Accepted for the five seconds of tolerance.
  await using chen = await connectWith(
    new WebSocket(socketUrl(server.url, await tokenFor(3, 0))),
  );
  await ada.receives("user_online", 3);

  const bob = await connect(server.url, 2);
  bob.socket.close(1000, "leave");
  await ada.receives("user_offline", 2);

  await using dana = await connect(server.url, 4);
  await disconnect({ userId: 4 });
  equal((await dana.closed).code, 1008);
  await ada.receives("user_offline", 4);

  equal((await chen.closed).code, 4401);
  await ada.receives("user_offline", 3);

  const erik = await connect(server.url, 5);
  const token = await tokenFor(6, 3_600, { jti: "stolen" });
  const fay = await connectWith(new WebSocket(socketUrl(server.url, token)));
  const gus = await connect(server.url, 7);
  await ada.receives("user_online", 6);
  for (const client of [erik, fay, gus]) await client.close();
  await v1Connected(server, 1);
  await listed(server, [1, 5, 6, 7]);
  await disconnect({ userId: 5 });
  await ada.receives("user_offline", 5);
  await disconnect({ jti: "stolen" });
  await ada.receives("user_offline", 6);
  await listed(server, [1, 7]);
});
