import { deepEqual, equal, rejects } from "node:assert/strict";
import { Lease } from "../../../../src/core/presence/lease.ts";
import { FencedError } from "../../../../src/core/store/store.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import { rememberingLog } from "../../../support/fakes.ts";

const HEARTBEAT_MS = 1_000;

/** A lease over a store that can be away, and the times of its sweeps. */
async function joinedLease() {
  const clock = new FakeClock();
  const sweptAt: number[] = [];
  const store = { isAway: false, knownNodeId: "" };
  const answer = <Value>(value: Value) =>
    store.isAway ? Promise.reject(new Error("away")) : Promise.resolve(value);
  let ids = 0;
  const lease = new Lease(
    {
      ...{ clock, log: rememberingLog(), leaseMs: 3_000 },
      heartbeatMs: HEARTBEAT_MS,
      store: {
        join: (nodeId) => {
          store.knownNodeId = nodeId;
          return answer([]);
        },
        heartbeat: (nodeId) =>
          nodeId === store.knownNodeId
            ? answer(undefined)
            : Promise.reject(new FencedError("no lease")),
        sweep: () => {
          sweptAt.push(clock.now());
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
  await lease.join();
  await clock.advance(HEARTBEAT_MS);
  deepEqual(sweptAt, [HEARTBEAT_MS]);
  return { lease, clock, store, sweptAt };
}

Deno.test("[C5] a node that lost its lease skips one sweep, whether a write or a heartbeat was fenced", async () => {
  for (const fenced of ["write", "heartbeat"]) {
    const { lease, clock, store, sweptAt } = await joinedLease();
    store.knownNodeId = "";
    await clock.advance(HEARTBEAT_MS - 10);
    if (fenced === "write") await lease.rejoin("node1");
    await clock.advance(10);
    equal(lease.nodeId, "node2");
    deepEqual(sweptAt, [HEARTBEAT_MS]);
    await clock.advance(HEARTBEAT_MS);
    deepEqual(sweptAt, [HEARTBEAT_MS, 3 * HEARTBEAT_MS]);
    await lease.leave(0);
  }
});

Deno.test("[C5] a node whose lease barely survived an outage skips one sweep", async () => {
  const { lease, clock, store, sweptAt } = await joinedLease();
  store.isAway = true;
  await clock.advance(2 * HEARTBEAT_MS);
  store.isAway = false;
  await clock.advance(HEARTBEAT_MS / 2);
  deepEqual([lease.renewing, lease.nodeId], [true, "node1"]);
  equal(sweptAt.length, 1);
  await clock.advance(HEARTBEAT_MS);
  equal(sweptAt.length, 2);
  await lease.leave(0);
});

Deno.test("[C2] single failed heartbeats do not prevent sweeps", async () => {
  const { lease, clock, store, sweptAt } = await joinedLease();
  for (let n = 0; n < 20; n++) {
    store.isAway = true;
    await clock.advance(HEARTBEAT_MS);
    store.isAway = false;
    await clock.advance(200);
  }
  equal(sweptAt.length > 10, true, `${sweptAt.length} sweeps`);
  await lease.leave(0);
});

Deno.test("[C4] a node that cannot rejoin tries again at the next heartbeat", async () => {
  const { lease, clock, store } = await joinedLease();
  store.knownNodeId = "";
  store.isAway = true;
  await rejects(lease.rejoin("node1"));
  equal(lease.nodeId, "node1");
  store.isAway = false;
  store.knownNodeId = "";
  await clock.advance(HEARTBEAT_MS);
  equal(lease.nodeId, "node3");
  await lease.leave(0);
});
