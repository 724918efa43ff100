import { deepEqual, rejects } from "node:assert/strict";
import { type Metrics, noMetrics } from "../../../src/base/metrics.ts";
import { FencedError, type Store } from "../../../src/core/store/store.ts";
import { IGNORING } from "../../support/fakes.ts";
import { measured } from "../../../src/telemetry/measured_store.ts";

/** A store whose calls each take 5 ms, and what is reported of it. */
function measuredStore(store: Partial<Store>) {
  const reported: unknown[] = [];
  const metrics: Metrics = {
    ...noMetrics,
    applied: (...values) => void reported.push(["applied", ...values]),
    writeFailed: () => void reported.push("write failed"),
    leaseRenewed: (ms) => void reported.push(["lease renewed", ms]),
    leaseLost: () => void reported.push("lease lost"),
    notificationsReconnected: () => void reported.push("reconnected"),
  };
  let now = 0;
  return { reported, store: measured(store as Store, metrics, () => now += 5) };
}

Deno.test("writes are measured with their users and transitions, and failed ones are counted", async () => {
  const answers: (() => unknown)[] = [
    () => ({ transitions: [{}, {}], unknown: [], deferred: [] }),
    () => Promise.reject(new Error("no answer")),
    () => Promise.reject(new FencedError("no lease")),
  ];
  const { reported, store } = measuredStore({
    apply: (() => answers.shift()?.()) as Store["apply"],
  });
  await store.apply("a", [1, 2], [3]);
  await rejects(store.apply("a", [1], []), /no answer/);
  await rejects(store.apply("a", [1], []), FencedError);
  deepEqual(reported, [["applied", 3, 2, 5], "write failed"]);
});

Deno.test("renewals are measured, and a node that joins again lost its lease", async () => {
  const { reported, store } = measuredStore({
    join: () => Promise.resolve([]),
    heartbeat: () => Promise.resolve(),
  });
  await store.join("a", 10_000);
  await store.heartbeat("a", 10_000);
  await store.join("b", 10_000, "a");
  deepEqual(reported, [["lease renewed", 5], "lease lost"]);
});

Deno.test("each notification connection after the first is a reconnection", async () => {
  const subscribe = () => Promise.resolve({} as never);
  const { reported, store } = measuredStore({ subscribe });
  for (let n = 0; n < 3; n++) await store.subscribe(IGNORING);
  deepEqual(reported, ["reconnected", "reconnected"]);
});
