import { deepEqual, equal } from "node:assert/strict";
import { Hub, hub } from "../../../../src/core/connections/hub.ts";
import { liveConnection } from "../../../support/fakes.ts";

Deno.test("register tells the first connection of a user, unregister the last", () => {
  const subject = new Hub();
  const [one, two] = [
    liveConnection(7).connection,
    liveConnection(7).connection,
  ];
  equal(subject.register(7, one), "first");
  equal(subject.register(7, two), "more");
  equal(subject.unregister(7, one), "more");
  equal(subject.has(7), true);
  equal(subject.unregister(7, two), "last");
  equal(subject.has(7), false);
});

Deno.test("unregister may be repeated, and does nothing for a stranger", () => {
  const subject = new Hub();
  const { connection } = liveConnection(7);
  equal(subject.unregister(7, connection), "absent");
  subject.register(7, connection);
  equal(subject.unregister(7, connection), "last");
  equal(subject.unregister(7, connection), "absent");
});

Deno.test("a walk over all connections passes over those that leave and meets those that come", () => {
  const subject = new Hub();
  const all = [1, 2, 3].map((userId) => liveConnection(userId).connection);
  for (const connection of all) subject.register(connection.userId, connection);
  const met: number[] = [];
  for (const connection of subject.connections()) {
    met.push(connection.userId);
    if (connection.userId !== 1) continue;
    for (const leaver of all.slice(1, 2)) {
      subject.unregister(leaver.userId, leaver);
    }
    const newcomer = liveConnection(4).connection;
    subject.register(4, newcomer);
  }
  deepEqual(met, [1, 3, 4]);
});

Deno.test("this process has one hub, which starts empty", () => {
  deepEqual([...hub.userIds()], []);
});
