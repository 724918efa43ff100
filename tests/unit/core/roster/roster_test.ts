import { deepEqual, equal, throws } from "node:assert/strict";
import { Roster } from "../../../../src/core/roster/roster.ts";
import type { Status } from "../../../../src/client/protocol/messages.ts";

const transition = (seq: number, userId: number, status: Status) => ({
  ...{ seq, userId, status },
  username: `user${userId}`,
});

/** The changes in the ring from a position on. */
function changesFrom(roster: Roster, from = 0): string[] {
  const messages: string[] = [];
  for (let position = from; position < roster.ring.head; position++) {
    const sighting = roster.everybody.sightingOf(roster.ring.at(position));
    messages.push(`${sighting?.userId} ${sighting?.status}`);
  }
  return messages;
}

Deno.test("the roster applies transitions, and throws for one that is not the next", () => {
  const roster = new Roster();
  roster.advance(transition(1, 9, "online"));
  roster.advance(transition(2, 4, "online"));
  deepEqual(roster.everybody.users().map(({ id }) => id), [4, 9]);
  roster.advance(transition(3, 9, "offline"));
  deepEqual(roster.everybody.users(), [{ id: 4, username: "user4" }]);
  throws(
    () => roster.advance(transition(5, 1, "online")),
    /expected seq 4, got 5/,
  );
  throws(
    () => roster.advance(transition(3, 1, "online")),
    /expected seq 4, got 3/,
  );
  equal(roster.seq, 3);
});

Deno.test("the version of a view changes with every change and every new name in it", () => {
  const roster = new Roster();
  const versions = [roster.everybody.version];
  roster.advance(transition(1, 2, "online"));
  versions.push(roster.everybody.version);
  roster.rename([{ id: 2, username: "renamed" }]);
  versions.push(roster.everybody.version);
  roster.rename([{ id: 2, username: "renamed" }]);
  equal(roster.everybody.version, versions.at(-1));
  roster.advance(transition(2, 2, "offline"));
  versions.push(roster.everybody.version);
  equal(new Set(versions).size, versions.length);
});

Deno.test("replacing the roster by a snapshot puts the differences into the ring, and nothing else", () => {
  const roster = new Roster();
  for (const [index, id] of [1, 2, 3].entries()) {
    roster.advance(transition(index + 1, id, "online"));
  }
  const before = roster.ring.head;
  roster.replace({
    seq: 9,
    users: [{ id: 3, username: "renamed" }, { id: 4, username: "user4" }],
  });
  deepEqual(changesFrom(roster, before), [
    "1 offline",
    "2 offline",
    "4 online",
  ]);
  equal(roster.seq, 9);
  deepEqual(roster.everybody.users(), [{ id: 3, username: "renamed" }, {
    id: 4,
    username: "user4",
  }]);
});

Deno.test("[P6] the changes of a user in the ring alternate, even if the feed repeats a status", () => {
  const roster = new Roster();
  roster.advance(transition(1, 1, "online"));
  roster.advance(transition(2, 1, "online"));
  roster.advance(transition(3, 1, "offline"));
  roster.advance(transition(4, 1, "offline"));
  deepEqual(changesFrom(roster), ["1 online", "1 offline"]);
  equal(roster.seq, 4);
});
