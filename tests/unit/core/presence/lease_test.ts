import { deepEqual, equal, rejects } from "node:assert/strict";
import { Lease } from "../../../../src/core/presence/lease.ts";
import { FencedError } from "../../../../src/core/store/store.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import { rememberingLog } from "../../../support/fakes.ts";

const HEARTBEAT_MS = 1_000;

/** A lease over a store that can be away, and notes when it is asked to tidy up. */
async function lease() {
  const clock = new FakeClock();
  const tidied: number[] = [];
  const store = { isAway: false, knows: "" };
  const answer = <Value>(value: Value) =>
    store.isAway ? Promise.reject(new Error("away")) : Promise.resolve(value);
  let ids = 0;
  const subject = new Lease(
    {
      ...{ clock, log: rememberingLog(), leaseMs: 3_000 },
      heartbeatMs: HEARTBEAT_MS,
      store: {
        join: (nodeId) => {
          store.knows = nodeId;
          return answer([]);
        },
        heartbeat: (nodeId) =>
          nodeId === store.knows
            ? answer(undefined)
            : Promise.reject(new FencedError("no lease")),
        sweep: () => {
          tidied.push(clock.now());
          return answer([]);
        },
        leave: () => answer(undefined),
      },
      feed: { ingest: () => {}, requestVerification: () => {} },
      onRenewed: () => {},
    },
    () => 1,
    () => `node${++ids}`,
  );
  await subject.join();
  await clock.advance(HEARTBEAT_MS);
  deepEqual(tidied, [HEARTBEAT_MS]);
  return { subject, clock, store, tidied };
}

Deno.test("[C5] whoever lost the lease tidies up after others a heartbeat later, however it noticed", async () => {
  for (const notices of ["by a write", "by a heartbeat"]) {
    const { subject, clock, store, tidied } = await lease();
    store.knows = "";
    await clock.advance(HEARTBEAT_MS - 10);
    if (notices === "by a write") await subject.rejoin("node1");
    await clock.advance(10);
    equal(subject.nodeId, "node2");
    deepEqual(tidied, [HEARTBEAT_MS]);
    await clock.advance(HEARTBEAT_MS);
    deepEqual(tidied, [HEARTBEAT_MS, 3 * HEARTBEAT_MS]);
    await subject.leave(0);
  }
});

Deno.test("[C5] whoever's lease just outlived an outage tidies up a heartbeat later", async () => {
  const { subject, clock, store, tidied } = await lease();
  store.isAway = true;
  await clock.advance(2 * HEARTBEAT_MS);
  store.isAway = false;
  await clock.advance(HEARTBEAT_MS / 2);
  deepEqual([subject.renewing, subject.nodeId], [true, "node1"]);
  equal(tidied.length, 1);
  await clock.advance(HEARTBEAT_MS);
  equal(tidied.length, 2);
  await subject.leave(0);
});

Deno.test("[C2] heartbeats that fail and are made up for at once keep nobody from tidying up", async () => {
  const { subject, clock, store, tidied } = await lease();
  for (let n = 0; n < 20; n++) {
    store.isAway = true;
    await clock.advance(HEARTBEAT_MS);
    store.isAway = false;
    await clock.advance(200);
  }
  equal(tidied.length > 10, true, `${tidied.length} times`);
  await subject.leave(0);
});

Deno.test("[C4] a node that cannot join anew tries again", async () => {
  const { subject, clock, store } = await lease();
  store.knows = "";
  store.isAway = true;
  await rejects(subject.rejoin("node1"));
  equal(subject.nodeId, "node1");
  store.isAway = false;
  store.knows = "";
  await clock.advance(HEARTBEAT_MS);
  equal(subject.nodeId, "node3");
  await subject.leave(0);
});
