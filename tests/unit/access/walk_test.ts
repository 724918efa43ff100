import { deepEqual, equal } from "node:assert/strict";
import { Hub } from "../../../src/core/connections/hub.ts";
import { Eviction } from "../../../src/access/eviction.ts";
import { CONNECTION_CHECK_MS } from "../../../src/access/limits.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { liveConnection, rememberingLog } from "../../support/fakes.ts";

/** An eviction with users 1 and 2, and what it did to their connections. */
async function eviction(onKeepAlive: (userId: unknown) => void = () => {}) {
  const hub = new Hub();
  const clock = new FakeClock();
  const log = rememberingLog();
  const sockets = [1, 2].map((userId) => {
    const { connection, socket } = liveConnection(userId);
    hub.register(connection);
    return socket;
  });
  const disconnected: string[] = [];
  const eviction = new Eviction({
    endGrace: () => {},
    ...{ clock, log, heartbeatMs: 3_000 },
    store: { readRevocations: () => Promise.resolve([]) },
    fanout: {
      sendControl: () => {},
      keepAlive: ({ userId }) => onKeepAlive(userId),
    },
    connections: {
      hub,
      disconnect: (connection, { reason }) => {
        disconnected.push(`${connection.userId} ${reason}`);
        hub.unregister(connection);
      },
    },
  });
  await eviction.start();
  return {
    ...{ clock, log, sockets, disconnected },
    [Symbol.asyncDispose]: () => eviction.stop(),
  };
}

Deno.test("[P4] a connection whose socket cannot send any more is removed, before the socket has ended", async () => {
  await using test = await eviction();
  const [, second] = test.sockets;
  await test.clock.advance(CONNECTION_CHECK_MS);
  deepEqual(test.disconnected, []);
  if (second !== undefined) second.isOpen = false;
  await test.clock.advance(CONNECTION_CHECK_MS);
  deepEqual(test.disconnected, ["2 no answer to a ping"]);
});

Deno.test("[P1] a fault with one connection does not end the walk over the others", async () => {
  const checked: unknown[] = [];
  await using test = await eviction((userId) => {
    checked.push(userId);
    if (userId === 1) throw new Error("injected");
  });
  await test.clock.advance(2 * CONNECTION_CHECK_MS);
  deepEqual(checked, [1, 2, 1, 2]);
  equal(test.log.events[0], "error: cannot check a connection");
});
