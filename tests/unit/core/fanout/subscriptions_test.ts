import { deepEqual, equal } from "node:assert/strict";
import { V2Subscriber } from "../../../../src/core/fanout/subscriber.ts";
import { Subscriptions } from "../../../../src/core/fanout/subscriptions.ts";
import { Roster } from "../../../../src/core/roster/roster.ts";
import { liveConnection } from "../../../support/fakes.ts";

function newSubscriber(
  scope: ReadonlySet<number> | "*" = "*",
  userId = 101,
): V2Subscriber {
  const { connection } = liveConnection(userId, { version: 2 });
  return new V2Subscriber(connection, scope);
}

Deno.test("[L1] a node has a limit of watched ids, and a connection frees its own", () => {
  const subscriptions = new Subscriptions(new Roster(), 5);
  const [one, two] = [newSubscriber(), newSubscriber()];
  subscriptions.addV2(one);
  subscriptions.addV2(two);
  equal(subscriptions.watch(one, new Set([1, 2, 3])), "watching");
  equal(subscriptions.watch(two, new Set([1, 2, 3])), "full");
  equal(two.scope, "*");
  deepEqual([subscriptions.v2Connections, subscriptions.watchers], [2, 1]);
  equal(subscriptions.watch(one, new Set([4])), "watching");
  equal(subscriptions.watch(two, new Set([1, 2, 3])), "watching");
  equal(subscriptions.addV2(newSubscriber(new Set([5, 6]))), "full");
  subscriptions.remove(one.connection);
  subscriptions.remove(two.connection);
  equal(subscriptions.v2Connections, 0);
  const three = newSubscriber(new Set([1, 2, 3, 4, 5]));
  equal(subscriptions.addV2(three), "added");
  equal(subscriptions.watchedIds, 5);
});

Deno.test("[L1] a user has a share of the watched ids of a node, with all connections together", () => {
  const subscriptions = new Subscriptions(new Roster(), 10, 4);
  const [one, two] = [newSubscriber(), newSubscriber()];
  subscriptions.addV2(one);
  subscriptions.addV2(two);
  equal(subscriptions.watch(one, new Set([1, 2, 3])), "watching");
  equal(subscriptions.watch(two, new Set([1, 2])), "full");
  equal(subscriptions.watch(two, new Set([1])), "watching");
  equal(subscriptions.addV2(newSubscriber(new Set([5]))), "full");
  const other = newSubscriber(new Set([1, 2, 3, 4]), 102);
  equal(subscriptions.addV2(other), "added");
  equal(subscriptions.watch(one, new Set([4])), "watching");
  equal(subscriptions.watch(two, new Set([1, 2, 3])), "watching");
  subscriptions.remove(one.connection);
  subscriptions.remove(two.connection);
  equal(subscriptions.addV2(newSubscriber(new Set([5, 6, 7, 8]))), "added");
  equal(subscriptions.watchedIds, 8);
});
