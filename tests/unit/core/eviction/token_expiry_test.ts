import { deepEqual } from "node:assert/strict";
import { Hub } from "../../../../src/core/connections/hub.ts";
import {
  KEEPALIVE_MS,
  TOKEN_WARNING_MS,
  UPKEEP_MS,
} from "../../../../src/core/eviction/limits.ts";
import { Upkeep } from "../../../../src/core/eviction/token_expiry.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import { liveConnection } from "../../../support/fakes.ts";

function upkeep(version: 1 | 2, endsAt: number) {
  const hub = new Hub();
  const clock = new FakeClock();
  const { connection, socket } = liveConnection(1, { version, endsAt });
  hub.register(1, connection);
  const said: string[] = [];
  const subject = new Upkeep({
    clock,
    fanout: {
      sendControl: (_connection, text) => void said.push(JSON.parse(text).code),
      keepAlive: (connection) => {
        said.push("keepalive");
        connection.lastSentAt = clock.now();
      },
    },
    connections: {
      hub,
      disconnect: (connection, why) => connection.close(why),
    },
  });
  connection.lastSentAt = 0;
  subject.start();
  return { subject, clock, connection, socket, said };
}

Deno.test("[P1] a connection ends with its token, and version 2 is warned once before", async () => {
  const { subject, clock, socket, said } = upkeep(2, 2 * TOKEN_WARNING_MS);
  await clock.advance(TOKEN_WARNING_MS - UPKEEP_MS);
  deepEqual(said.filter((word) => word !== "keepalive"), []);
  await clock.advance(TOKEN_WARNING_MS - UPKEEP_MS);
  deepEqual(said.filter((word) => word !== "keepalive"), ["token_expiring"]);
  deepEqual(socket.closes, []);
  await clock.advance(3 * UPKEEP_MS);
  deepEqual(socket.closes, ["4401 token expired"]);
  await subject.stop();
});

Deno.test("[P1] a token that lives shortly is asked for when half of its time is left, once", async () => {
  const { subject, clock, connection, said } = upkeep(2, 20_000);
  await clock.advance(9_000);
  deepEqual(said, []);
  await clock.advance(3_000);
  deepEqual(said, ["token_expiring"]);
  connection.extend(32_000, undefined);
  await clock.advance(8_000);
  deepEqual(said, ["token_expiring"]);
  await clock.advance(3_500);
  deepEqual(said, ["token_expiring", "token_expiring"]);
  await subject.stop();
});

Deno.test("[P1] version 1 ends with its token too, and a later token extends", async () => {
  const { subject, clock, socket, said, connection } = upkeep(1, 10_000);
  await clock.advance(9_000);
  connection.extend(20_000, undefined);
  await clock.advance(10_000);
  deepEqual(socket.closes, []);
  await clock.advance(2_000);
  deepEqual(socket.closes, ["4401 token expired"]);
  deepEqual(said, []);
  await subject.stop();
});

Deno.test("[S2] after a silence there is a sign of life", async () => {
  const { subject, clock, said } = upkeep(2, Infinity);
  await clock.advance(KEEPALIVE_MS - UPKEEP_MS);
  deepEqual(said, []);
  await clock.advance(2 * KEEPALIVE_MS);
  deepEqual(said, ["keepalive", "keepalive"]);
  await subject.stop();
});
