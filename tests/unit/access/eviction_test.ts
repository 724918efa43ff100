import { deepEqual } from "node:assert/strict";
import { Hub } from "../../../src/core/connections/hub.ts";
import { Eviction } from "../../../src/access/eviction.ts";
import {
  CONNECTION_CHECK_MS,
  KEEPALIVE_MS,
  TOKEN_WARNING_MS,
} from "../../../src/access/limits.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { liveConnection, rememberingLog } from "../../support/fakes.ts";

/** An eviction that checks one connection, and what it sends to it. */
async function startEviction(version: 1 | 2, endsAt: number) {
  const hub = new Hub();
  const clock = new FakeClock();
  const { connection, socket } = liveConnection(1, { version, endsAt });
  hub.register(connection);
  const sent: string[] = [];
  let lastSentAt = 0;
  const eviction = new Eviction({
    endGrace: () => {},
    ...{ clock, log: rememberingLog(), heartbeatMs: 3_000 },
    store: { readRevocations: () => Promise.resolve([]) },
    fanout: {
      sendControl: (_connection, text) => void sent.push(JSON.parse(text).code),
      keepAlive: (_connection, silenceMs) => {
        if (clock.now() - lastSentAt < silenceMs) return;
        sent.push("keepalive");
        lastSentAt = clock.now();
      },
    },
    connections: {
      hub,
      disconnect: (connection, why) => connection.close(why),
    },
  });
  await eviction.start();
  return { eviction, clock, connection, socket, sent };
}

Deno.test("[P1] a connection is closed when its token expires, and version 2 is warned once before", async () => {
  const { eviction, clock, socket, sent } = await startEviction(
    2,
    2 * TOKEN_WARNING_MS,
  );
  await clock.advance(TOKEN_WARNING_MS - CONNECTION_CHECK_MS);
  deepEqual(sent.filter((code) => code !== "keepalive"), []);
  await clock.advance(TOKEN_WARNING_MS - CONNECTION_CHECK_MS);
  deepEqual(sent.filter((code) => code !== "keepalive"), ["token_expiring"]);
  deepEqual(socket.closes, []);
  await clock.advance(3 * CONNECTION_CHECK_MS);
  deepEqual(socket.closes, ["4401 token expired"]);
  await eviction.stop();
});

Deno.test("[P1] a connection with a short-lived token is warned once, at half of the token's time", async () => {
  const { eviction, clock, connection, sent } = await startEviction(2, 20_000);
  await clock.advance(9_000);
  deepEqual(sent, []);
  await clock.advance(3_000);
  deepEqual(sent, ["token_expiring"]);
  connection.extend({ endsAt: 32_000, receivedAt: clock.now() });
  await clock.advance(8_000);
  deepEqual(sent, ["token_expiring"]);
  await clock.advance(3_500);
  deepEqual(sent, ["token_expiring", "token_expiring"]);
  await eviction.stop();
});

Deno.test("[P1] a version 1 connection is closed when its token expires, unless a later token extends it", async () => {
  const { eviction, clock, socket, sent, connection } = await startEviction(
    1,
    10_000,
  );
  await clock.advance(9_000);
  connection.extend({ endsAt: 20_000, receivedAt: clock.now() });
  await clock.advance(10_000);
  deepEqual(socket.closes, []);
  await clock.advance(2_000);
  deepEqual(socket.closes, ["4401 token expired"]);
  deepEqual(sent, []);
  await eviction.stop();
});

Deno.test("[S2] a version 2 connection without messages gets a keepalive", async () => {
  const { eviction, clock, sent } = await startEviction(2, Infinity);
  await clock.advance(KEEPALIVE_MS - CONNECTION_CHECK_MS);
  deepEqual(sent, []);
  await clock.advance(2 * KEEPALIVE_MS);
  deepEqual(sent, ["keepalive", "keepalive"]);
  await eviction.stop();
});
