import { deepEqual, equal } from "node:assert/strict";
import { Hub, hub } from "../../../../src/core/connections/hub.ts";
import type { UserId } from "../../../../src/client/protocol/user_id.ts";
import { liveConnection } from "../../../support/fakes.ts";

Deno.test("register reports the first connection of a user, and unregister the last", () => {
  const subject = new Hub();
  const [one, two] = [
    liveConnection(7).connection,
    liveConnection(7).connection,
  ];
  equal(subject.register(one), "first");
  equal(subject.register(two), "more");
  equal(subject.unregister(one), "more");
  equal(subject.has(7), true);
  equal(subject.unregister(two), "last");
  equal(subject.has(7), false);
});

Deno.test("unregister may be repeated, and changes nothing for a connection that is not in the hub", () => {
  const subject = new Hub();
  const { connection } = liveConnection(7);
  equal(subject.unregister(connection), "absent");
  subject.register(connection);
  equal(subject.unregister(connection), "last");
  equal(subject.unregister(connection), "absent");
});

Deno.test("a walk over all connections leaves out those that are removed and includes those that are added", () => {
  const subject = new Hub();
  const all = [1, 2, 3].map((userId) => liveConnection(userId).connection);
  for (const connection of all) subject.register(connection);
  const visited: UserId[] = [];
  for (const connection of subject.connections()) {
    visited.push(connection.userId);
    if (connection.userId !== 1) continue;
    for (const removed of all.slice(1, 2)) {
      subject.unregister(removed);
    }
    const added = liveConnection(4).connection;
    subject.register(added);
  }
  deepEqual(visited, [1, 3, 4]);
});

Deno.test("the process has one hub, which is empty at the start", () => {
  deepEqual([...hub.userIds()], []);
});
