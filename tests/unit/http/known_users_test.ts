import type { FoundUser } from "../../../src/postgres/rows.ts";
import { deepEqual, equal } from "node:assert/strict";
import { KnownUsers } from "../../../src/http/known_users.ts";
import {
  KNOWN_USER_MS,
  KNOWN_USERS_MAX,
  KNOWN_USERS_READ_MAX,
  UNKNOWN_USER_MS,
} from "../../../src/http/limits.ts";
import type { UserId } from "../../../src/client/protocol/user_id.ts";
import { rememberingLog } from "../../support/fakes.ts";

/** The user 1 is online, the even ids belong to users. Reads wait until the test answers them. */
function createKnownUsers() {
  const state = { now: 0, isDeleted: false };
  const reads: {
    readonly ids: readonly UserId[];
    answer(): Promise<void>;
    fail(): Promise<void>;
  }[] = [];
  const turn = () => new Promise<void>((resolve) => setTimeout(resolve));
  const log = rememberingLog();
  const findUsers = (ids: readonly UserId[]) => {
    const { promise, resolve, reject } = Promise.withResolvers<
      FoundUser[]
    >();
    const answer = () => {
      const isUser = (id: UserId) => !state.isDeleted && Number(id) % 2 === 0;
      resolve(
        ids.filter(isUser).map((id) => ({ id, groups: undefined })),
      );
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
    { roster: new Set<UserId>([1]), store: { findUsers }, log },
    () => state.now,
  );
  const look = (...ids: number[]) =>
    Promise.all(ids.map((userId) => users.lookUp(userId)));
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
