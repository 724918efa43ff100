import { deepEqual, equal, ok } from "node:assert/strict";
import {
  Admission,
  type Refusal,
  type Slot,
} from "../../../src/access/admission.ts";
import { CLOSING_SLOTS_MAX } from "../../../src/access/limits.ts";

const limits = {
  connectionsMax: 4,
  connectionsPerUserMax: 2,
  connectionsPerAddressMax: 3,
  newConnectionsPerSecondMax: 100,
  failedTokensPerMinuteMax: 2,
};

function admission(changes: Partial<typeof limits> = {}) {
  const clock = { now: 0 };
  const subject = new Admission(
    { ...limits, ...changes },
    () => clock.now,
    () => 0.5,
  );
  const acquire = (address: string) => {
    const result = subject.acquire(address);
    return "status" in result ? `${result.status} ${result.code}` : result;
  };
  return { subject, clock, acquire };
}

Deno.test("[L1] an address has at most MAX_CONNECTIONS_PER_ADDRESS sockets, and a released slot is free again", () => {
  const { acquire } = admission();
  const slots = [acquire("a"), acquire("a"), acquire("a")] as Slot[];
  equal(acquire("a"), "429 too_many_connections");
  slots[0]?.release();
  slots[0]?.release();
  ok(typeof acquire("a") === "object");
  equal(acquire("a"), "429 too_many_connections");
});

Deno.test("[L1] a node has at most MAX_CONNECTIONS sockets", () => {
  const { acquire } = admission();
  for (const address of ["a", "b", "c", "d"]) {
    ok(typeof acquire(address) === "object");
  }
  equal(acquire("e"), "503 full");
});

Deno.test("[L1] a user has at most MAX_CONNECTIONS_PER_USER sockets, from any address", () => {
  const { acquire } = admission();
  const [first, second, third] = ["a", "b", "c"].map(acquire) as [
    Slot,
    Slot,
    Slot,
  ];
  deepEqual([first.assignUser(1), second.assignUser(1), third.assignUser(1)], [
    "assigned",
    "assigned",
    "full",
  ]);
  third.release();
  first.release();
  equal((acquire("d") as Slot).assignUser(1), "assigned");
});

Deno.test("[L1] new sockets are limited to MAX_NEW_CONNECTIONS_PER_SECOND", () => {
  const { acquire, clock } = admission({
    connectionsMax: 1_000,
    connectionsPerAddressMax: 1_000,
    newConnectionsPerSecondMax: 10,
  });
  for (let count = 0; count < 10; count++) ok(typeof acquire("a") === "object");
  equal(acquire("a"), "503 busy");
  clock.now += 100;
  ok(typeof acquire("a") === "object");
  equal(acquire("a"), "503 busy");
});

Deno.test("[L1] an address with too many bad tokens is refused for the rest of the minute, others are not", () => {
  const { subject, acquire, clock } = admission();
  subject.recordFailedToken("a");
  ok(typeof acquire("a") === "object");
  subject.recordFailedToken("a");
  equal(acquire("a"), "429 too_many_failed_tokens");
  ok(typeof acquire("b") === "object");
  clock.now += 60_000;
  ok(typeof acquire("a") === "object");
});

Deno.test("a refusal says when to retry", () => {
  const { subject } = admission({ connectionsMax: 0 });
  equal((subject.acquire("a") as Refusal).retryAfterSeconds, 8);
});

Deno.test("[L1] closing sockets have slots of their own, at most CLOSING_SLOTS_MAX", () => {
  const { subject, acquire } = admission({
    connectionsPerAddressMax: 10_000,
    newConnectionsPerSecondMax: 10_000,
  });
  for (let n = 0; n < CLOSING_SLOTS_MAX; n++) {
    const slot = acquire("a") as Slot;
    ok(subject.hasClosingSlot);
    slot.moveToClosing();
  }
  deepEqual([subject.slotsInUse, subject.sockets], [0, CLOSING_SLOTS_MAX]);
  ok(!subject.hasClosingSlot);
  const last = acquire("a") as Slot;
  last.moveToClosing();
  equal(
    subject.slotsInUse,
    1,
    "past the limit a closing socket keeps its slot",
  );
  last.release();
  equal(subject.slotsInUse, 0);
});

Deno.test("[L1] admission knows whether a user may have one more socket without a slot for it", () => {
  const { subject, acquire } = admission();
  const [first] = ["a", "b"].map((address) => {
    const slot = acquire(address) as Slot;
    ok(subject.hasSlotFor(1));
    slot.assignUser(1);
    return slot;
  });
  ok(!subject.hasSlotFor(1));
  ok(subject.hasSlotFor(2));
  first?.release();
  ok(subject.hasSlotFor(1));
});

Deno.test("a socket that ended before its token was verified is not counted", () => {
  const { subject, acquire } = admission({ connectionsPerUserMax: 1 });
  for (let n = 0; n < 3; n++) {
    const slot = acquire("a") as Slot;
    slot.release();
    equal(slot.assignUser(1), "assigned");
    slot.moveToClosing();
    slot.release();
  }
  equal(subject.sockets, 0);
  equal((acquire("a") as Slot).assignUser(1), "assigned");
});
