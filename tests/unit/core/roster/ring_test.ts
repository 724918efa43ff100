import { deepEqual, equal, throws } from "node:assert/strict";
import { Change } from "../../../../src/core/roster/change.ts";
import { EVERYBODY, NOBODY } from "../../../../src/core/roster/groups.ts";
import { Ring } from "../../../../src/core/roster/ring.ts";

function change(seq: number): Change {
  const user = { userId: seq, username: "x" };
  return new Change(user, NOBODY, EVERYBODY, seq, 0);
}

Deno.test("[L1] the ring keeps as many changes as its capacity, and throws for older ones", () => {
  const ring = new Ring(3);
  for (let seq = 1; seq <= 5; seq++) ring.push(change(seq));
  deepEqual([ring.tail, ring.head], [2, 5]);
  deepEqual([2, 3, 4].map((position) => ring.at(position).userId), [3, 4, 5]);
  throws(() => ring.at(1), /expected 2 to 4/);
  throws(() => ring.at(5), /expected 2 to 4/);
});

Deno.test("[S2] a client can resume from a seq if every change after it is in the ring", () => {
  const ring = new Ring(3);
  ring.resetTo(10);
  equal(ring.positionAfter(9), undefined);
  equal(ring.positionAfter(10), 0);
  for (let seq = 11; seq <= 13; seq++) ring.push(change(seq));
  deepEqual([9, 10, 11, 12, 13].map((seq) => ring.positionAfter(seq)), [
    undefined,
    0,
    1,
    2,
    3,
  ]);
  ring.push(change(14));
  deepEqual([10, 11, 14].map((seq) => ring.positionAfter(seq)), [
    undefined,
    1,
    4,
  ]);
});

Deno.test("[S2] after a reset no client can resume from a seq before it", () => {
  const ring = new Ring(4);
  ring.resetTo(0);
  for (let seq = 1; seq <= 4; seq++) ring.push(change(seq));
  ring.resetTo(2);
  deepEqual([1, 2, 4].map((seq) => ring.positionAfter(seq)), [undefined, 4, 4]);
  ring.push(change(3));
  deepEqual([1, 2, 3].map((seq) => ring.positionAfter(seq)), [undefined, 4, 5]);
});
