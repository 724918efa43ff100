import { deepEqual, equal } from "node:assert/strict";
import { Hub } from "../../../../src/core/connections/hub.ts";
import { Eviction } from "../../../../src/core/eviction/eviction.ts";
import { CONNECTION_CHECK_MS } from "../../../../src/core/eviction/limits.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import { liveConnection, rememberingLog } from "../../../support/fakes.ts";

Deno.test("[P1] a fault with one connection does not end the walk over the others", async () => {
  const hub = new Hub();
  const clock = new FakeClock();
  const log = rememberingLog();
  const checked: unknown[] = [];
  for (const userId of [1, 2]) {
    hub.register(liveConnection(userId).connection);
  }
  const eviction = new Eviction({
    endGrace: () => {},
    ...{ clock, log, heartbeatMs: 3_000 },
    store: { readRevocations: () => Promise.resolve([]) },
    fanout: {
      sendControl: () => {},
      keepAlive: ({ userId }) => {
        checked.push(userId);
        if (userId === 1) throw new Error("injected");
      },
    },
    connections: { hub, disconnect: () => {} },
  });
  await eviction.start();
  await clock.advance(2 * CONNECTION_CHECK_MS);
  deepEqual(checked, [1, 2, 1, 2]);
  equal(log.events[0], "error: cannot check a connection");
  await eviction.stop();
});
