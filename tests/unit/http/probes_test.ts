import { deepEqual, equal, match } from "node:assert/strict";
import { LOST_DESCRIPTORS_MS } from "../../../src/http/limits.ts";
import { Probes } from "../../../src/http/probes.ts";

function probes() {
  let now = 0;
  const state = {
    ...{ lagMs: 0, socketsLost: 0, isFull: false },
    groupsReadable: undefined as boolean | undefined,
  };
  const subject = new Probes({
    lease: { held: true, renewing: true },
    feed: { notificationsUp: true },
    groupsReadable: () => state.groupsReadable,
    drain: { isDraining: false },
    admission: {
      isCordoned: false,
      get isFull() {
        return state.isFull;
      },
      get socketsLost() {
        return state.socketsLost;
      },
      get hasLostTooMany() {
        return state.socketsLost >= 5;
      },
    },
    loop: {
      get lagMs() {
        return state.lagMs;
      },
    },
    metrics: { text: () => Promise.resolve("x 1"), contentType: "text/plain" },
  }, () => now);
  const read = async (response: Response) => {
    const { error, checks } = await response.json();
    return { status: response.status, error, checks };
  };
  return {
    ...{ state, pass: (ms: number) => now += ms },
    health: () => read(subject.health()),
    ready: () => read(subject.readiness()),
  };
}

Deno.test("[L1] a node that lost too many descriptors is not ready, and a while later it is not healthy", async () => {
  const { state, pass, health, ready } = probes();
  pass(LOST_DESCRIPTORS_MS);
  equal((await ready()).checks.descriptors, "ok");
  state.socketsLost = 5;
  const { status, checks } = await ready();
  deepEqual([status, checks.descriptors], [503, "5 file descriptors are lost"]);
  pass(LOST_DESCRIPTORS_MS - 1);
  equal((await health()).status, 200);
  pass(1);
  const { status: after, error } = await health();
  deepEqual([after, error.code], [503, "descriptors_lost"]);
  match(error.message, /^5 file descriptors are lost, restart the process$/);
});

Deno.test("the time until a node is not healthy begins again when descriptors are free after all", async () => {
  const { state, pass, health } = probes();
  state.socketsLost = 5;
  equal((await health()).status, 200);
  state.socketsLost = 4;
  pass(LOST_DESCRIPTORS_MS);
  equal((await health()).status, 200);
  state.socketsLost = 5;
  equal((await health()).status, 200);
  pass(LOST_DESCRIPTORS_MS);
  equal((await health()).status, 503);
});

Deno.test("[L1] a full node is not ready, and is healthy", async () => {
  const { state, health, ready } = probes();
  state.isFull = true;
  const { status, checks } = await ready();
  deepEqual([status, checks.load], [503, "MAX_CONNECTIONS is reached"]);
  equal((await health()).status, 200);
});

Deno.test("[V5] /readyz names groups that cannot be read, and has no such check without groups", async () => {
  const { state, ready } = probes();
  equal("groups" in (await ready()).checks, false);
  state.groupsReadable = true;
  equal((await ready()).checks.groups, "ok");
  state.groupsReadable = false;
  const { status, error } = await ready();
  deepEqual([status, error.message], [
    503,
    "groups: the groups cannot be read",
  ]);
  state.groupsReadable = true;
  equal((await ready()).status, 200);
});
