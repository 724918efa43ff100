import { deepEqual, equal, ok } from "node:assert/strict";
import {
  Admission,
  type Refusal,
  type Slot,
} from "../../../src/access/admission.ts";
import { REFUSED_SOCKETS_MAX } from "../../../src/access/limits.ts";

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
  const enter = (address: string) => {
    const result = subject.acquire(address);
    return "status" in result ? `${result.status} ${result.code}` : result;
  };
  return { subject, clock, enter };
}

Deno.test("[L1] an address has at most so many sockets, and a place that is given back is free", () => {
  const { enter } = admission();
  const tickets = [enter("a"), enter("a"), enter("a")] as Slot[];
  equal(enter("a"), "429 too_many_connections");
  tickets[0]?.release();
  tickets[0]?.release();
  ok(typeof enter("a") === "object");
  equal(enter("a"), "429 too_many_connections");
});

Deno.test("[L1] a node has at most so many sockets", () => {
  const { enter } = admission();
  for (const address of ["a", "b", "c", "d"]) {
    ok(typeof enter(address) === "object");
  }
  equal(enter("e"), "503 full");
});

Deno.test("[L1] a user has at most so many sockets, wherever they come from", () => {
  const { enter } = admission();
  const [first, second, third] = ["a", "b", "c"].map(enter) as [
    Slot,
    Slot,
    Slot,
  ];
  deepEqual([first.assignUser(1), second.assignUser(1), third.assignUser(1)], [
    "claimed",
    "claimed",
    "full",
  ]);
  third.release();
  first.release();
  equal((enter("d") as Slot).assignUser(1), "claimed");
});

Deno.test("[L1] new sockets come at most at so many a second", () => {
  const { enter, clock } = admission({
    connectionsMax: 1_000,
    connectionsPerAddressMax: 1_000,
    newConnectionsPerSecondMax: 10,
  });
  for (let count = 0; count < 10; count++) ok(typeof enter("a") === "object");
  equal(enter("a"), "503 busy");
  clock.now += 100;
  ok(typeof enter("a") === "object");
  equal(enter("a"), "503 busy");
});

Deno.test("[L1] an address that sent too many bad tokens waits for the next minute, others do not", () => {
  const { subject, enter, clock } = admission();
  subject.failed("a");
  ok(typeof enter("a") === "object");
  subject.failed("a");
  equal(enter("a"), "429 too_many_failed_tokens");
  ok(typeof enter("b") === "object");
  clock.now += 60_000;
  ok(typeof enter("a") === "object");
});

Deno.test("a refusal says when to come back", () => {
  const { subject } = admission({ connectionsMax: 0 });
  equal((subject.acquire("a") as Refusal).retryAfterSeconds, 8);
});

Deno.test("[L1] refused sockets have places of their own, and so many of them", () => {
  const { subject, enter } = admission({
    connectionsPerAddressMax: 10_000,
    newConnectionsPerSecondMax: 10_000,
  });
  for (let n = 0; n < REFUSED_SOCKETS_MAX; n++) {
    const slot = enter("a") as Slot;
    ok(subject.canRefuse);
    slot.moveToClosing();
  }
  deepEqual([subject.slotsInUse, subject.sockets], [0, REFUSED_SOCKETS_MAX]);
  ok(!subject.canRefuse);
  const last = enter("a") as Slot;
  last.moveToClosing();
  equal(subject.slotsInUse, 1, "one too many counts like any other");
  last.release();
  equal(subject.slotsInUse, 0);
});

Deno.test("[L1] whether a user has a place is known before it is taken", () => {
  const { subject, enter } = admission();
  const [first] = ["a", "b"].map((address) => {
    const slot = enter(address) as Slot;
    ok(subject.hasPlaceFor(1));
    slot.assignUser(1);
    return slot;
  });
  ok(!subject.hasPlaceFor(1));
  ok(subject.hasPlaceFor(2));
  first?.release();
  ok(subject.hasPlaceFor(1));
});

Deno.test("a socket that left before its token was read counts nowhere", () => {
  const { subject, enter } = admission({ connectionsPerUserMax: 1 });
  for (let n = 0; n < 3; n++) {
    const slot = enter("a") as Slot;
    slot.release();
    equal(slot.assignUser(1), "claimed");
    slot.moveToClosing();
    slot.release();
  }
  equal(subject.sockets, 0);
  equal((enter("a") as Slot).assignUser(1), "claimed");
});
