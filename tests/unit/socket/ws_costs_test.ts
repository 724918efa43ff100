/**
 * What a storm costs on the engine `ws`: frames that are encoded, writes, and bytes that are copied.
 * They are counted and not timed, so that a busy machine changes nothing.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { Connection } from "../../../src/core/connections/connection.ts";
import { BROADCAST_INTERVAL_MS } from "../../../src/core/fanout/limits.ts";
import { createFanout } from "../../support/fanout.ts";
import { FakeWsEngine } from "../../support/fake_ws.ts";

const READERS = 200;
const TRANSITIONS = 100;

/** A fan-out to many readers, which nothing was sent to. */
function readers(version: 1 | 2, count = READERS) {
  const fixture = createFanout(100_000, 2_000);
  const { fanout, roster } = fixture;
  const engine = new FakeWsEngine();
  const connect = (userId: number) => {
    const connection = new Connection(userId, engine.open().socket, {
      ...{ version, endsAt: Infinity, receivedAt: 0 },
    });
    connection.confirm();
    if (version === 1) fanout.subscribeV1(connection, roster.ring.head);
    else fanout.subscribeV2(connection);
  };
  for (let n = 0; n < count; n++) connect(1_000 + n);
  return {
    ...{ ...fixture, engine, connect },
    [Symbol.asyncDispose]: async () => {
      const stopping = fanout.stop();
      await fixture.clock.advance(1_000);
      await stopping;
    },
  };
}

function counts({ frames, writes }: FakeWsEngine) {
  return { frames: frames.encoded, writes: writes.length };
}

Deno.test("[S5] a storm costs version 1 one frame for each transition, and one write for each reader", async () => {
  await using storm = readers(1);
  const { engine, change, clock } = storm;
  for (let user = 1; user <= TRANSITIONS; user++) change(user);
  await clock.advance(0);
  engine.endTurn();
  equal(engine.frames.encoded, TRANSITIONS);
  equal(engine.writes.length, READERS);
  // The bytes of all messages are copied once, into the write of each reader.
  equal(engine.copiedBytes, READERS * engine.frameBytes);
  ok(engine.frameBytes < TRANSITIONS * 40, `${engine.frameBytes}`);
});

Deno.test("[S5] a lone transition is one frame and one write for each version 1 reader, without a copy", async () => {
  await using storm = readers(1);
  const { engine, change, clock } = storm;
  change(1);
  await clock.advance(0);
  engine.endTurn();
  equal(engine.frames.encoded, 1);
  equal(engine.writes.length, READERS);
  equal(engine.copiedBytes, 0);
});

Deno.test("[S5] transitions within BROADCAST_INTERVAL_MS after a pass are sent together", async () => {
  await using storm = readers(1);
  const { engine, change, clock } = storm;
  change(1);
  await clock.advance(0);
  engine.endTurn();
  change(2);
  await clock.advance(BROADCAST_INTERVAL_MS / 2);
  change(3);
  engine.endTurn();
  equal(engine.writes.length, READERS);
  await clock.advance(BROADCAST_INTERVAL_MS);
  engine.endTurn();
  equal(engine.writes.length, 2 * READERS);
});

Deno.test("[S5] version 2 readers that connected together share the frames of their state and of each diff", async () => {
  await using storm = readers(2);
  const { engine, change, clock } = storm;
  await clock.advance(0);
  engine.endTurn();
  equal(engine.frames.encoded, 1);
  for (let user = 1; user <= 9; user++) change(user);
  await clock.advance(100);
  engine.endTurn();
  equal(engine.frames.encoded, 2);
  equal(engine.writes.length, 2 * READERS);
  equal(engine.copiedBytes, 0);
});

Deno.test("[S5] a pass of a version 2 storm costs a frame for all who are new and one for all others, and each reader a write", async () => {
  await using storm = readers(2, 0);
  const { engine, change, connect, clock } = storm;
  const [passes, perPass] = [10, 20];
  const costs: { frames: number; writes: number }[] = [];
  for (let pass = 0; pass < passes; pass++) {
    const before = { ...counts(engine) };
    for (let n = 0; n < perPass; n++) {
      connect(pass * perPass + n + 1);
      change(pass * perPass + n + 1);
    }
    await clock.advance(100);
    engine.endTurn();
    const { frames, writes } = counts(engine);
    costs.push({
      frames: frames - before.frames,
      writes: writes - before.writes,
    });
  }
  deepEqual(
    costs,
    Array.from({ length: passes }, (_, pass) => ({
      frames: pass === 0 ? 1 : 2,
      writes: (pass + 1) * perPass,
    })),
  );
  equal(engine.copiedBytes, 0);
});
