import { deepEqual, equal } from "node:assert/strict";
import { noMetrics } from "../../../../src/base/metrics.ts";
import { Connection } from "../../../../src/core/connections/connection.ts";
import { Connections } from "../../../../src/core/connections/connections.ts";
import { Hub } from "../../../../src/core/connections/hub.ts";
import { DISCONNECT } from "../../../../src/client/protocol/disconnect.ts";

Deno.test("[P1] a connection whose socket cannot be closed is removed all the same", () => {
  const socket = {
    isOpen: true,
    bufferedAmount: 0,
    send: () => {},
    close: () => {
      throw new Error("injected");
    },
  };
  const start = { version: 1, endsAt: Infinity, receivedAt: 0 } as const;
  const connection = new Connection(7, socket, start);
  const connections = new Connections(new Hub(), noMetrics);
  const ended: unknown[] = [];
  connections.observe({ ended: (_, left) => void ended.push(left) });
  connections.open(connection);
  connections.disconnect(connection, DISCONNECT.tokenExpired);
  equal(connections.hub.has(7), false);
  deepEqual(ended, ["last"]);
});
