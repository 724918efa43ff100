import { deepEqual, equal } from "node:assert/strict";
import { noMetrics } from "../../../../src/base/metrics.ts";
import { Connections } from "../../../../src/core/connections/connections.ts";
import { Hub } from "../../../../src/core/connections/hub.ts";
import {
  REVOCATIONS_READ_MAX,
  REVOKED_TOKENS_MAX,
} from "../../../../src/core/eviction/limits.ts";
import { Revocations } from "../../../../src/core/eviction/revocations.ts";
import type { Revocation } from "../../../../src/core/store/store.ts";
import { FakeClock } from "../../../support/fake_clock.ts";
import { liveConnection, rememberingLog } from "../../../support/fakes.ts";

const HEARTBEAT_MS = 3_000;

/** Revocations over a store that can be away, with a count of reads. */
async function startRevocations() {
  const clock = new FakeClock();
  const rows: Revocation[] = [];
  const store = { isAway: false, reads: 0 };
  const connections = new Connections(new Hub(), noMetrics);
  const revocations = new Revocations({
    ...{ clock, connections, heartbeatMs: HEARTBEAT_MS },
    log: rememberingLog(),
    store: {
      readRevocations: (after, limit) => {
        store.reads += 1;
        return store.isAway
          ? Promise.reject(new Error("away"))
          : Promise.resolve(
            rows.filter(({ id }) => id > after).slice(0, limit),
          );
      },
    },
  });
  const revoke = (userId?: number, tokenId?: string) =>
    void rows.push({ id: rows.length + 1, userId, tokenId });
  await revocations.start();
  return { revocations, clock, connections, store, revoke };
}

Deno.test("[P1] a revocation closes the connections of its user, and of nobody else", async () => {
  const { revocations, clock, connections, revoke } = await startRevocations();
  const [first, second, other] = [7, 7, 8].map((id) => liveConnection(id));
  for (const one of [first, second, other]) {
    if (one !== undefined) connections.open(one.connection);
  }
  revoke(7);
  revocations.check();
  await clock.advance(0);
  const closed = ["1008 disconnected by an administrator"];
  deepEqual(first?.socket.closes, closed);
  deepEqual(second?.socket.closes, closed);
  deepEqual(other?.socket.closes, []);
  await revocations.stop();
});

Deno.test("[P1] a revocation whose notification is lost is enforced within a heartbeat, also after a failed read", async () => {
  const { revocations, clock, store, revoke } = await startRevocations();
  store.isAway = true;
  revoke(undefined, "stolen");
  await clock.advance(HEARTBEAT_MS);
  equal(revocations.isRevoked("stolen"), false);
  store.isAway = false;
  await clock.advance(HEARTBEAT_MS);
  equal(revocations.isRevoked("stolen"), true);
  equal(revocations.isRevoked("other"), false);
  await revocations.stop();
});

Deno.test("[L1] many notifications cause one read, and a read has a bounded number of rows", async () => {
  const { revocations, clock, store, revoke } = await startRevocations();
  for (let n = 0; n < 2 * REVOCATIONS_READ_MAX; n++) revoke(1);
  store.reads = 0;
  for (let n = 0; n < 100; n++) revocations.check();
  await clock.advance(0);
  equal(store.reads, 3);
  await revocations.stop();
});

Deno.test("[L1] a bounded number of revoked tokens is remembered, the newest", async () => {
  const { revocations, clock, revoke } = await startRevocations();
  for (let n = 0; n <= REVOKED_TOKENS_MAX; n++) revoke(undefined, `token${n}`);
  revocations.check();
  for (let n = 0; n < REVOKED_TOKENS_MAX / REVOCATIONS_READ_MAX; n++) {
    await clock.advance(0);
  }
  equal(revocations.isRevoked("token0"), false);
  equal(revocations.isRevoked("token1"), true);
  equal(revocations.isRevoked(`token${REVOKED_TOKENS_MAX}`), true);
  await revocations.stop();
});
