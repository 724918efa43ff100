import { deepEqual, equal, rejects } from "node:assert/strict";
import { Lease } from "../../../../src/core/presence/lease.ts";
import { LEAVE_ANSWER_MS } from "../../../../src/core/presence/limits.ts";
import { FencedError } from "../../../../src/core/store/store.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import { rememberingLog } from "../../../support/fakes.ts";

const HEARTBEAT_MS = 1_000;

/** A lease over a store that can be away, and the times of its sweeps. */
async function joinedLease(leaseMs = 3_000) {
  const clock = new FakeClock();
  const sweptAt: number[] = [];
  const store = {
    isAway: false,
    knownNodeId: "",
    /** Calls that get no answer from now on. */
    unanswered: 0,
    /** Milliseconds until the next call is answered. */
    answerMs: 0,
    leaves: [] as string[],
  };
  const answer = async <Value>(value: Value): Promise<Value> => {
    if (store.unanswered > 0) {
      store.unanswered -= 1;
      return await new Promise(() => {});
    }
    const ms = store.answerMs;
    store.answerMs = 0;
    if (ms > 0) await clock.sleep(ms);
    if (store.isAway) throw new Error("away");
    return value;
  };
  let ids = 0;
  const lease = new Lease(
    {
      ...{ clock, log: rememberingLog(), leaseMs },
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
        sweep: (_nodeId, pauseMs) => {
          // All nodes together sweep at most twice a heartbeat.
          equal(pauseMs, HEARTBEAT_MS / 2);
          sweptAt.push(clock.now());
          return answer([]);
        },
        regroup: () => answer({ transitions: [], isMore: false }),
        leave: (nodeId) => {
          store.leaves.push(`${nodeId} at ${clock.now()}`);
          return answer(undefined);
        },
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

Deno.test("[C5] renewals without an answer are given up, and the next one keeps the lease", async () => {
  const { lease, clock, store } = await joinedLease();
  store.unanswered = 2;
  for (let n = 0; n < 30; n++) {
    await clock.advance(HEARTBEAT_MS / 10);
    equal(lease.held, true, `after ${n} tenths of a heartbeat`);
  }
  deepEqual([lease.nodeId, lease.renewing], ["node1", true]);
  await lease.leave(0);
});

Deno.test("[C5] a node does not sweep after a renewal that was only slow", async () => {
  const { lease, clock, store, sweptAt } = await joinedLease(2_200);
  await clock.advance(HEARTBEAT_MS - 10);
  store.answerMs = 350;
  await clock.advance(400);
  deepEqual([lease.nodeId, lease.renewing], ["node1", true]);
  // Another node, whose heartbeat was up to one period before, may have lost its lease meanwhile.
  deepEqual(sweptAt, [HEARTBEAT_MS]);
  await clock.advance(2 * HEARTBEAT_MS);
  equal(sweptAt.length, 2);
  await lease.leave(0);
});

Deno.test("[C7] a node leaves at once, although a renewal gets no answer, and repeats it without an answer", async () => {
  const { lease, clock, store } = await joinedLease();
  store.unanswered = 2;
  await clock.advance(HEARTBEAT_MS + 10);
  const leaving = lease.leave(0);
  deepEqual(store.leaves, [`node1 at ${2 * HEARTBEAT_MS + 10}`]);
  await clock.advance(LEAVE_ANSWER_MS);
  await leaving;
  equal(store.leaves.length, 2);
  // Nothing of the renewal brings the node back.
  await rejects(lease.rejoin("node1"));
  await clock.advance(10 * HEARTBEAT_MS);
  deepEqual([lease.nodeId, lease.held], ["node1", false]);
});
