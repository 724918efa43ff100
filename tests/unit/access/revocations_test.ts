import { deepEqual, equal, ok } from "node:assert/strict";
import { noMetrics } from "../../../src/base/metrics.ts";
import { Connections } from "../../../src/core/connections/connections.ts";
import { Hub } from "../../../src/core/connections/hub.ts";
import {
  REVOCATIONS_READ_MAX,
  REVOKED_TOKENS_MAX,
} from "../../../src/access/limits.ts";
import { Revocations } from "../../../src/access/revocations.ts";
import type { Revocation } from "../../../src/core/store/store.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { liveConnection, rememberingLog } from "../../support/fakes.ts";

const HEARTBEAT_MS = 3_000;

/** Revocations over a store that can be away, with a count of reads. */
async function startRevocations() {
  const clock = new FakeClock();
  const rows: Revocation[] = [];
  const store = { isAway: false, reads: 0 };
  const hub = new CountingHub(clock);
  const connections = new Connections(hub, noMetrics);
  const graceEnded: boolean[][] = [];
  const revocations = new Revocations({
    endGrace: (isRevoked) => {
      const left = [[7, "a"], [8, "stolen"], [9, undefined]] as const;
      graceEnded.push(left.map(([user, token]) => isRevoked(user, token)));
    },
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
  return {
    ...{ revocations, clock, connections, hub, store, revoke },
    graceEnded,
  };
}

/** Counts how many connections were visited. Each visit takes a tenth of a millisecond. */
class CountingHub extends Hub {
  readonly #clock: FakeClock;
  visits = 0;

  constructor(clock: FakeClock) {
    super();
    this.#clock = clock;
  }

  override *connections() {
    for (const connection of super.connections()) {
      this.visits += 1;
      this.#clock.spend(0.1);
      yield connection;
    }
  }
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

Deno.test("[P8] a revocation ends the grace of its user, or of a user who left with its token", async () => {
  const { revocations, clock, revoke, graceEnded } = await startRevocations();
  revoke(7);
  revocations.check();
  await clock.advance(0);
  revoke(undefined, "stolen");
  revocations.check();
  await clock.advance(0);
  deepEqual(graceEnded, [[true, false, false], [false, true, false]]);
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

Deno.test("[L1] any number of revocations costs one walk over the connections, in slices", async () => {
  const { revocations, clock, connections, hub, revoke } =
    await startRevocations();
  const peers = Array.from(
    { length: 100 },
    (_, n) => liveConnection(n, { tokenId: `token${n}` }),
  );
  for (const { connection } of peers) connections.open(connection);
  for (let n = 50; n < 400; n++) revoke(undefined, `token${n}`);
  revoke(7);
  revocations.check();
  let longestTurnMs = 0;
  for (let turn = 0; turn < 100; turn++) {
    const now = clock.now();
    await clock.advance(0);
    longestTurnMs = Math.max(longestTurnMs, clock.now() - now);
  }
  ok(longestTurnMs < 1, `${longestTurnMs} ms without a turn for other work`);
  equal(hub.visits, peers.length);
  const closed = peers.flatMap(({ socket }, n) => socket.closes[0] ? [n] : []);
  deepEqual(closed, [7, ...Array.from({ length: 50 }, (_, n) => 50 + n)]);
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
