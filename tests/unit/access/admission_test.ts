import { deepEqual, equal, ok } from "node:assert/strict";
import { Admission, type Refusal } from "../../../src/access/admission.ts";
import {
  ATTEMPTS_PER_FAILURE,
  CLOSING_SLOTS_MAX,
  FAILURES_PER_SECOND_MIN,
  LOST_SOCKETS_SHARE,
} from "../../../src/access/limits.ts";
import { Slot } from "../../../src/access/slot.ts";

const limits = {
  connectionsMax: 4,
  connectionsPerUserMax: 2,
  connectionsPerAddressMax: 3,
  newConnectionsPerSecondMax: 100,
  failedTokensPerMinuteMax: 2,
};

const SECOND = 1_000;

function admission(changes: Partial<typeof limits> = {}) {
  const clock = { now: 0 };
  const subject = new Admission(
    { ...limits, ...changes },
    () => clock.now,
    () => 0.5,
  );
  const acquire = (address: string, isVerified = false) => {
    const result = subject.acquire(address, () => isVerified);
    return result instanceof Slot ? result : `${result.status} ${result.code}`;
  };
  /** A slot. Fails if it is refused. */
  const slot = (address: string, isVerified = false) => {
    const result = acquire(address, isVerified);
    ok(result instanceof Slot, String(result));
    return result;
  };
  return { subject, clock, acquire, slot };
}

const wide = {
  connectionsMax: 10_000,
  connectionsPerAddressMax: 10_000,
  newConnectionsPerSecondMax: 10_000,
};

Deno.test("[L1] an address has at most MAX_CONNECTIONS_PER_ADDRESS sockets, and a released slot is free again", () => {
  const { acquire, slot } = admission();
  const [first] = [slot("a"), slot("a"), slot("a")];
  equal(acquire("a"), "429 too_many_connections");
  first?.release();
  first?.release();
  slot("a");
  equal(acquire("a"), "429 too_many_connections");
});

Deno.test("[L1] a node has at most MAX_CONNECTIONS sockets", () => {
  const { subject, acquire, slot } = admission();
  for (const address of ["a", "b", "c", "d"]) {
    ok(!subject.isFull);
    slot(address);
  }
  equal(acquire("e"), "503 full");
  ok(subject.isFull);
});

Deno.test("[L1] a user has at most MAX_CONNECTIONS_PER_USER sockets, from any address", () => {
  const { slot } = admission();
  const [first, second, third] = [slot("a"), slot("b"), slot("c")];
  deepEqual([first, second, third].map((slot) => slot.assignUser(1)), [
    "assigned",
    "assigned",
    "full",
  ]);
  third.release();
  first.release();
  equal(slot("d").assignUser(1), "assigned");
});

Deno.test("[L1] new sockets are limited to MAX_NEW_CONNECTIONS_PER_SECOND", () => {
  const { acquire, slot, clock } = admission({
    ...wide,
    newConnectionsPerSecondMax: 10,
  });
  for (let n = 0; n < 10; n++) slot(`address ${n}`);
  equal(acquire("a"), "503 busy");
  clock.now += 100;
  slot("a");
  equal(acquire("b"), "503 busy");
});

Deno.test("[L1] one address leaves others half of MAX_NEW_CONNECTIONS_PER_SECOND, and gets all of it while they do not want it", () => {
  const { acquire, clock, slot } = admission({
    ...wide,
    newConnectionsPerSecondMax: 10,
  });
  /** Sockets that an address gets which asks for as many as it can. */
  const flood = (address: string) => {
    for (let n = 0; n < 100; n++) {
      const result = acquire(address);
      if (result === "429 too_many_handshakes") return n;
      ok(result instanceof Slot, String(result));
    }
    throw new Error("no limit");
  };
  equal(flood("a"), 5);
  for (let n = 0; n < 3; n++) slot("b");
  // Half of what the node earns in a second is the address's own, and the rest is above the half
  // that is left to others.
  let taken = 0;
  for (let second = 0; second < 10; second++) {
    for (let n = 0; n < 10; n++) {
      clock.now += SECOND / 10;
      taken += flood("a");
    }
    slot("b");
  }
  ok(taken >= 80, `${taken} in ten seconds`);
});

Deno.test("[L1] an address whose failures are too many is refused until it has earned some, others are not", () => {
  const { subject, acquire, slot, clock } = admission({
    ...wide,
    failedTokensPerMinuteMax: 120,
  });
  for (let n = 0; n < 120; n++) {
    slot("a").release();
    subject.recordFailure("a");
  }
  equal(acquire("a"), "429 too_many_failed_tokens");
  equal(subject.payVerification("a")?.status, 429);
  equal(subject.throttled("a")?.code, "too_many_failed_tokens");
  slot("b");
  equal(subject.throttled("b"), undefined);
  // More failures make no debt.
  for (let n = 0; n < 1_000; n++) subject.recordFailure("a");
  clock.now += SECOND / 2;
  slot("a").release();
  clock.now += 60 * SECOND;
  for (let n = 0; n < 119; n++) subject.recordFailure("a");
  slot("a");
});

Deno.test("[L1] a token that was verified before is admitted although its address is throttled, and of the others one a second", () => {
  const { subject, acquire, slot, clock } = admission(wide);
  /** Tokens of the address that are verified, each of which is bad. */
  const verified = () => {
    for (let n = 0;; n++) {
      const result = acquire("a");
      if (result === "429 too_many_failed_tokens") return n;
      ok(result instanceof Slot, String(result));
      subject.recordFailure("a");
      result.release();
    }
  };
  equal(verified(), limits.failedTokensPerMinuteMax);
  let later = 0;
  for (let second = 0; second < 100; second++) {
    slot("a", true).assignUser(second);
    clock.now += SECOND;
    later += verified();
  }
  equal(later, 100 * FAILURES_PER_SECOND_MIN);
});

Deno.test("[L1] a token that is being verified counts as a part of a failure until it is good, so only so many are verified at once", () => {
  const { subject, acquire, slot } = admission(wide);
  const most = 1 + ATTEMPTS_PER_FAILURE;
  const slots = Array.from({ length: most }, () => slot("a"));
  equal(acquire("a"), "429 too_many_failed_tokens");
  equal(subject.payVerification("a")?.status, 429);
  for (const slot of slots) {
    slot.assignUser(1);
    slot.release();
  }
  for (let n = 0; n < most; n++) equal(subject.payVerification("a"), undefined);
  // Each slot gives back once what was paid for it.
  for (const slot of slots) slot.assignUser(1);
  equal(acquire("a"), "429 too_many_failed_tokens");
  for (let n = 0; n < most; n++) subject.refundVerification("a");
  for (let n = 0; n < 10 * most; n++) slot("a").assignUser(1);
});

Deno.test("[L1] bad tokens that are verified at once leave no failure to the address", () => {
  const { subject, acquire, slot } = admission(wide);
  const slots = Array.from({ length: 10 }, () => slot("a"));
  for (const _ of slots) subject.recordFailure("a");
  for (const slot of slots) slot.release();
  equal(acquire("a"), "429 too_many_failed_tokens");
});

Deno.test("[L1] good tokens that were verified before earn nothing for the bad ones of their address", () => {
  const { subject, acquire, slot } = admission(wide);
  for (let n = 0; n < 2; n++) subject.recordFailure("a");
  for (let n = 0; n < 100; n++) {
    const good = slot("a", true);
    good.assignUser(n);
    good.release();
  }
  equal(acquire("a"), "429 too_many_failed_tokens");
});

Deno.test("[L1] a lost socket is a failure of its address, and uses no slot", () => {
  const { subject, acquire, slot } = admission({ ...wide, connectionsMax: 1 });
  for (let n = 0; n < 2; n++) {
    const lost = slot("a");
    lost.lose();
    lost.lose();
    lost.moveToClosing();
    deepEqual([subject.sockets, subject.socketsLost], [0, n + 1]);
  }
  equal(acquire("a"), "429 too_many_failed_tokens");
  slot("b");
});

Deno.test("[L1] a client whose token was verified before cannot lose any number of sockets", () => {
  const { acquire, slot, clock } = admission({
    ...wide,
    failedTokensPerMinuteMax: 60,
  });
  /** Sockets that an address opens at once, all of which are lost. */
  const flood = () => {
    const slots: Slot[] = [];
    for (let n = 0; n < 10_000; n++) {
      const result = acquire("a", true);
      if (!(result instanceof Slot)) break;
      slots.push(result);
    }
    clock.now += 10 * SECOND;
    for (const slot of slots) slot.lose();
    return slots.length;
  };
  ok(flood() <= 120 * ATTEMPTS_PER_FAILURE);
  let lost = 0;
  for (let n = 0; n < 60; n++) lost += flood();
  ok(lost <= 700 * ATTEMPTS_PER_FAILURE, `${lost} in ten minutes`);
  clock.now += 120 * SECOND;
  slot("a");
});

Deno.test("too many sockets are lost past a share of MAX_CONNECTIONS, and one that ends after all is not lost", () => {
  const { subject, slot } = admission({ ...wide, connectionsMax: 10 });
  const most = 10 * LOST_SOCKETS_SHARE;
  const slots = Array.from({ length: most }, (_, n) => slot(`${n}`));
  for (const slot of slots) {
    ok(!subject.hasLostTooMany);
    slot.lose();
  }
  ok(subject.hasLostTooMany);
  slots[0]?.release();
  slots[0]?.release();
  ok(!subject.hasLostTooMany);
  deepEqual([subject.sockets, subject.socketsLost], [0, most - 1]);
});

Deno.test("a refusal says when to retry", () => {
  const { subject } = admission({ connectionsMax: 0 });
  equal((subject.acquire("a", () => false) as Refusal).retryAfterSeconds, 8);
});

Deno.test("[L1] closing sockets have slots of their own, at most CLOSING_SLOTS_MAX", () => {
  const { subject, slot } = admission({
    ...wide,
    failedTokensPerMinuteMax: 10_000,
  });
  for (let n = 0; n < CLOSING_SLOTS_MAX; n++) {
    const closing = slot("a");
    ok(subject.hasClosingSlot);
    closing.moveToClosing();
  }
  deepEqual([subject.slotsInUse, subject.sockets], [0, CLOSING_SLOTS_MAX]);
  ok(!subject.hasClosingSlot);
  const last = slot("a");
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
  const { subject, slot } = admission();
  const [first] = ["a", "b"].map((address) => {
    const one = slot(address);
    ok(subject.hasSlotFor(1));
    one.assignUser(1);
    return one;
  });
  ok(!subject.hasSlotFor(1));
  ok(subject.hasSlotFor(2));
  first?.release();
  ok(subject.hasSlotFor(1));
});

Deno.test("a socket that ended before its token was verified is not counted", () => {
  const { subject, slot } = admission({ connectionsPerUserMax: 1 });
  for (let n = 0; n < 3; n++) {
    const ended = slot("a");
    ended.release();
    equal(ended.assignUser(1), "assigned");
    ended.moveToClosing();
    ended.release();
  }
  equal(subject.sockets, 0);
  equal(slot("a").assignUser(1), "assigned");
});
