import { deepEqual, equal } from "node:assert/strict";
import {
  V1Subscriber,
  V2Subscriber,
} from "../../../../src/core/fanout/subscriber.ts";
import { Audience } from "../../../../src/core/fanout/audience.ts";
import { Roster } from "../../../../src/core/roster/roster.ts";
import { liveConnection } from "../../../support/fakes.ts";

const { connection } = liveConnection(7, { version: 2 });

Deno.test("a change concerns version 1 unless it is of its own user", () => {
  const subscriber = new V1Subscriber(connection, 0);
  const concerns = [7, 8].map((userId) => subscriber.concerns({ userId }));
  deepEqual(concerns, [false, true]);
});

Deno.test("control messages wait for the first message about users, through a new watch and a replaced roster", () => {
  const audience = new Audience(new Roster(10).everybody);
  const subscriber = new V2Subscriber(connection, "*");
  subscriber.resume(audience, 0, 0);
  if (subscriber.state.kind !== "opening") throw new Error("not opening");
  subscriber.state.queuedControl.push("error");
  subscriber.requireSnapshot();
  subscriber.watch(new Set([1]), 5);
  deepEqual(subscriber.state, {
    kind: "opening",
    copy: {
      ...{ kind: "needs snapshot", scope: new Set([1]), ref: 5 },
      isAsked: true,
    },
    queuedControl: ["error"],
  });
  const following = { kind: "following", cursor: 0 } as const;
  deepEqual(subscriber.establish(following), ["error"]);
  deepEqual(subscriber.establish(following), []);
});

Deno.test("[S2] a replaced roster makes every copy need a snapshot, and a count due", () => {
  const subscriber = new V2Subscriber(connection, "*");
  subscriber.establish({ kind: "following", cursor: 3 });
  equal(subscriber.isBehind(3), false);
  subscriber.requireSnapshot();
  equal(subscriber.state.kind, "needs snapshot");
  equal(subscriber.cursor, undefined);

  subscriber.establish({ kind: "counting", cursor: 0 });
  equal(subscriber.isBehind(0), false);
  subscriber.requireSnapshot();
  equal(subscriber.state.kind, "counting");
  equal(subscriber.isBehind(0), true);

  const scope = new Set([1]);
  subscriber.establish({ kind: "watching", scope, changed: new Map() });
  equal(subscriber.isBehind(9), false);
  subscriber.requireSnapshot();
  deepEqual(subscriber.state, {
    ...{ kind: "needs snapshot", scope, ref: undefined },
    isAsked: false,
  });
});
