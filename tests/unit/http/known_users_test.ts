import { deepEqual, equal } from "node:assert/strict";
import { type Knowledge, KnownUsers } from "../../../src/http/known_users.ts";
import {
  EVERYBODY,
  type Groups,
  groupsFor,
} from "../../../src/core/roster/groups.ts";
import {
  KNOWN_GROUPS_MS,
  KNOWN_USER_MS,
  KNOWN_USERS_MAX,
  KNOWN_USERS_READ_MAX,
  UNKNOWN_USER_MS,
} from "../../../src/http/limits.ts";
import type { UserId } from "../../../src/client/protocol/user_id.ts";
import type { FoundUser } from "../../../src/postgres/rows.ts";
import { rememberingLog } from "../../support/fakes.ts";

/** Without groups a known user sees everybody. */
function named(knowledge: Knowledge) {
  if (typeof knowledge === "string") return knowledge;
  return knowledge === EVERYBODY ? "known" : knowledge.names.join();
}

/**
 * The user 1 is online, the even ids belong to users. Reads wait until the test answers them.
 *
 * @param online The groups of user 1.
 */
function createKnownUsers(hasGroups = false, online: Groups = EVERYBODY) {
  const state = {
    ...{ now: 0, isDeleted: false },
    groups: undefined as FoundUser["groups"],
  };
  const reads: {
    readonly ids: readonly UserId[];
    answer(): Promise<void>;
    fail(): Promise<void>;
  }[] = [];
  const turn = () => new Promise<void>((resolve) => setTimeout(resolve));
  const log = rememberingLog();
  const findUsers = (ids: readonly UserId[]) => {
    const { promise, resolve, reject } = Promise.withResolvers<FoundUser[]>();
    const answer = () => {
      const isUser = (id: UserId) => !state.isDeleted && Number(id) % 2 === 0;
      const { groups } = state;
      resolve(ids.filter(isUser).map((id) => ({ id, groups })));
      return turn();
    };
    const fail = () => {
      reject(new Error("away"));
      return turn();
    };
    reads.push({ ids, answer, fail });
    return promise;
  };
  const users = new KnownUsers(
    {
      roster: { groupsOf: (id) => id === 1 ? online : undefined },
      ...{ store: { findUsers }, log },
      groups: hasGroups ? { perUserMax: 3 } : undefined,
    },
    () => state.now,
  );
  const look = (...ids: number[]) =>
    Promise.all(
      ids.map(async (userId) => named(await users.lookUp(userId))),
    );
  return { look, reads, state, turn, log };
}

Deno.test("a user who is online is known without a read", async () => {
  const { look, reads } = createKnownUsers();
  deepEqual(await look(1, 1), ["known", "known"]);
  equal(reads.length, 0);
});

Deno.test("[L1] users are looked up one read at a time, for all who are asked for meanwhile", async () => {
  const { look, reads, turn } = createKnownUsers();
  const first = look(2);
  await turn();
  const more = look(3, 4, 4, 2);
  await turn();
  deepEqual(reads.map(({ ids }) => ids), [[2]]);
  await reads[0]?.answer();
  deepEqual(reads.map(({ ids }) => ids), [[2], [3, 4, 2]]);
  await reads[1]?.answer();
  deepEqual(await first, ["known"]);
  deepEqual(await more, ["unknown", "known", "known", "known"]);
  const many = look(
    ...Array.from({ length: KNOWN_USERS_READ_MAX + 1 }, (_, n) => 2 * n + 10),
  );
  await turn();
  await reads[2]?.answer();
  deepEqual(reads.slice(2).map(({ ids }) => ids.length), [
    KNOWN_USERS_READ_MAX,
    1,
  ]);
  await reads[3]?.answer();
  equal(new Set(await many).size, 1);
});

Deno.test("a verdict counts for its time: a deleted user is unknown after it, a new one soon known", async () => {
  const { look, reads, state, turn } = createKnownUsers();
  const first = look(2, 3);
  await turn();
  await reads[0]?.answer();
  deepEqual(await first, ["known", "unknown"]);
  state.now += UNKNOWN_USER_MS - 1;
  deepEqual(await look(2, 3), ["known", "unknown"]);
  state.now += 1;
  const again = look(2, 3);
  await turn();
  deepEqual(reads[1]?.ids, [3]);
  await reads[1]?.answer();
  await again;
  state.isDeleted = true;
  state.now += KNOWN_USER_MS;
  const deleted = look(2);
  await turn();
  await reads[2]?.answer();
  deepEqual(await deleted, ["unknown"]);
});

Deno.test("while users cannot be looked up the last verdict counts, and without one it is unavailable", async () => {
  const { look, reads, state, turn, log } = createKnownUsers();
  const first = look(2, 3);
  await turn();
  await reads[0]?.answer();
  await first;
  state.now += KNOWN_USER_MS;
  const later = look(2, 3, 4);
  await turn();
  await reads[1]?.fail();
  deepEqual(await later, ["known", "unknown", "unavailable"]);
  deepEqual(log.events, ["warn: cannot look up users"]);
});

Deno.test("[L1] a bounded number of verdicts is kept", async () => {
  const { look, reads, turn } = createKnownUsers();
  const all = Array.from({ length: KNOWN_USERS_MAX + 1 }, (_, n) => 2 * n + 2);
  const first = look(...all);
  await turn();
  for (let n = 0; n < reads.length; n++) await reads[n]?.answer();
  await first;
  const before = reads.length;
  deepEqual(await look(...all.slice(-10)), Array(10).fill("known"));
  equal(reads.length, before);
  void look(2);
  await turn();
  deepEqual(reads.at(-1)?.ids, [2]);
});

Deno.test("[V1] with groups those of a user who is online are those of the roster, and others are read", async () => {
  const { look, reads, state, turn } = createKnownUsers(
    true,
    groupsFor(1, ["a", "b"]),
  );
  deepEqual(await look(1), ["a,b"]);
  equal(reads.length, 0);
  state.groups = ["c"];
  const offline = look(2, 3);
  await turn();
  await reads[0]?.answer();
  deepEqual(await offline, ["c", "unknown"]);
  state.groups = "too many";
  const overgrouped = look(4);
  await turn();
  await reads[1]?.answer();
  deepEqual(await overgrouped, ["overgrouped"]);
});

Deno.test("[V1] with groups nobody is taken for a user who sees everybody", async () => {
  const { look, reads, state, turn } = createKnownUsers(true, EVERYBODY);
  const alone = (userId: number) => groupsFor(userId, []).names.join();
  for (const groups of [[], undefined]) {
    state.groups = groups;
    state.now += KNOWN_GROUPS_MS;
    const asked = look(2);
    await turn();
    await reads.at(-1)?.answer();
    deepEqual(await asked, [alone(2)]);
  }
  // The roster still has this user from a time without groups.
  void look(1);
  await turn();
  deepEqual(reads.at(-1)?.ids, [1]);
  await reads.at(-1)?.fail();
});

Deno.test("[V3][V5] groups that were read count for a moment, and not longer because they cannot be read", async () => {
  const { look, reads, state, turn } = createKnownUsers(true);
  state.groups = ["a", "b"];
  const first = look(2);
  await turn();
  await reads[0]?.answer();
  deepEqual(await first, ["a,b"]);
  state.groups = ["b"];
  state.now += KNOWN_GROUPS_MS - 1;
  deepEqual(await look(2), ["a,b"]);
  state.now += 1;
  const failed = look(2);
  await turn();
  await reads[1]?.fail();
  deepEqual(await failed, ["unavailable"]);
  const again = look(2);
  await turn();
  await reads[2]?.answer();
  deepEqual(await again, ["b"]);
});
