import { deepEqual, equal } from "node:assert/strict";
import { noMetrics } from "../../../../src/base/metrics.ts";
import { Connections } from "../../../../src/core/connections/connections.ts";
import { Hub } from "../../../../src/core/connections/hub.ts";
import { DISCONNECT } from "../../../../src/client/protocol/disconnect.ts";
import { liveConnection } from "../../../support/fakes.ts";

/** Connections, and the calls of two observers in their order. */
function observedConnections() {
  const calls: string[] = [];
  const closed: [number, string][] = [];
  const connections = new Connections(new Hub(), {
    ...noMetrics,
    closed: ({ code }, by) => void closed.push([code, by]),
  });
  connections.observe(
    { ended: (_connection, left) => void calls.push(`first: ${left}`) },
    {
      opened: () => void calls.push("second: opened"),
      ended: (_connection, left) => void calls.push(`second: ${left}`),
    },
  );
  return { connections, calls, closed };
}

Deno.test("observers are called in their order, once for each connection", () => {
  const { connections, calls } = observedConnections();
  const [one, two] = [liveConnection(7), liveConnection(7)];
  connections.open(one.connection);
  connections.open(two.connection);
  deepEqual(calls.splice(0), ["second: opened", "second: opened"]);
  connections.closed(one.connection);
  connections.closed(one.connection);
  deepEqual(calls.splice(0), ["first: more", "second: more"]);
  connections.closed(two.connection);
  deepEqual(calls, ["first: last", "second: last"]);
});

Deno.test("a connection that the server closes is removed at once, and counted once", () => {
  const { connections, calls, closed } = observedConnections();
  const { connection, socket } = liveConnection(7);
  connections.open(connection);
  connections.disconnect(connection, DISCONNECT.tokenExpired);
  equal(connections.hub.has(7), false);
  equal(connection.state, "closing");
  connections.disconnect(connection, DISCONNECT.sendFailed);
  connections.closed(connection);
  equal(connection.state, "gone");
  deepEqual(socket.closes, ["4401 token expired"]);
  deepEqual(closed, [[4401, "server"]]);
  deepEqual(calls, ["second: opened", "first: last", "second: last"]);
});

Deno.test("[P8] a close tells the observers whether the client is expected back", () => {
  const calls: [number, boolean][] = [];
  const connections = new Connections(new Hub(), noMetrics);
  connections.observe({
    ended: ({ userId }, _left, isForGood) =>
      void calls.push([Number(userId), isForGood]),
  });
  const open = (userId: number) => {
    const { connection } = liveConnection(userId);
    connections.open(connection);
    return connection;
  };
  connections.closed(open(1));
  connections.closed(open(2), true);
  const final = [
    ...[DISCONNECT.tokenExpired, DISCONNECT.disconnectedByAdministrator],
    ...[DISCONNECT.tooManyMessages, DISCONNECT.messageTooLarge],
  ];
  const passing = [
    ...[DISCONNECT.serverGoingAway, DISCONNECT.sendFailed],
    ...[DISCONNECT.slowConsumerStopped, DISCONNECT.watchLimitReached],
  ];
  for (const why of final) connections.disconnect(open(3), why);
  for (const why of passing) connections.disconnect(open(4), why);
  deepEqual(calls, [
    ...[[1, false], [2, true]],
    ...final.map(() => [3, true]),
    ...passing.map(() => [4, false]),
  ]);
});
