import { deepEqual, equal } from "node:assert/strict";
import { GroupWriter } from "../../../src/access/group_writer.ts";
import {
  GROUP_WRITE_MS,
  GROUP_WRITE_USERS_MAX,
  GROUP_WRITES_WAITING_MAX,
  WRITTEN_GROUPS_MS,
  WRITTEN_GROUPS_USERS_MAX,
} from "../../../src/access/limits.ts";
import type { UserId } from "../../../src/client/protocol/user_id.ts";
import type { TokenGroups } from "../../../src/postgres/postgres_store.ts";
import { fakeTimers } from "../../support/fake_timers.ts";
import { rememberingLog } from "../../support/fakes.ts";

/** Lets all pending promises continue. */
const turn = async () => {
  for (let n = 0; n < 20; n++) await Promise.resolve();
};

/** A writer over a store whose writes the test answers, and that keeps what the database would. */
function createWriter() {
  const state = { now: 0 };
  const rows = new Map<UserId, TokenGroups>();
  const writes: {
    readonly entries: readonly TokenGroups[];
    answer(): Promise<void>;
    fail(): Promise<void>;
  }[] = [];
  const setTokenGroups = (entries: readonly TokenGroups[]) => {
    const { promise, resolve, reject } = Promise.withResolvers<void>();
    const answer = () => {
      for (const entry of entries) {
        const known = rows.get(entry.userId)?.issuedAt ?? 0;
        if (entry.issuedAt >= known) rows.set(entry.userId, entry);
      }
      resolve();
      return turn();
    };
    const fail = () => {
      reject(new Error("away"));
      return turn();
    };
    writes.push({ entries, answer, fail });
    return promise;
  };
  const log = rememberingLog();
  const writer = new GroupWriter(
    { store: { setTokenGroups }, log },
    () => state.now,
  );
  const write = (userId: UserId, issuedAt: number, ...groups: string[]) =>
    writer.write({ userId, groups, issuedAt });
  return { writer, write, writes, rows, state, log };
}

Deno.test("[L1] 10,000 clients that connect at once are few writes, one at a time", async () => {
  const { write, writes } = createWriter();
  const first = write(0, 1, "a");
  await turn();
  const others = Array.from(
    { length: 9_999 },
    (_, n) => write(n + 1, 1, "a"),
  );
  await turn();
  equal(writes.length, 1);
  for (let n = 0; n < writes.length; n++) await writes[n]?.answer();
  deepEqual(writes.map(({ entries }) => entries.length), [
    ...[1, ...Array(9).fill(GROUP_WRITE_USERS_MAX)],
    GROUP_WRITE_USERS_MAX - 1,
  ]);
  deepEqual(new Set(await Promise.all([first, ...others])).size, 1);
});

Deno.test("a token without groups is not written", async () => {
  const { writer, writes } = createWriter();
  const verdict = { userId: 1, groups: undefined, issuedAt: 0 };
  equal(await writer.write(verdict), "written");
  equal(writes.length, 0);
});

Deno.test("a client that connects again with the same token costs no write, for a while", async () => {
  const { write, writes, state } = createWriter();
  const first = write(1, 5, "a", "b");
  const same = write(1, 5, "a", "b");
  await turn();
  await writes[0]?.answer();
  deepEqual([await first, await same], ["written", "written"]);
  const other = write(2, 5, "a");
  await turn();
  state.now = WRITTEN_GROUPS_MS - 1;
  equal(await write(1, 5, "a", "b"), "written");
  await writes[1]?.answer();
  await other;
  equal(writes.length, 2);
  state.now += 1;
  const again = write(1, 5, "a", "b");
  await turn();
  await writes[2]?.answer();
  equal(await again, "written");
  equal(writes.length, 3);
});

Deno.test("[V1] an older token never replaces the groups of a newer one, also while one waits or is written", async () => {
  const { write, writes, rows } = createWriter();
  const newest = { userId: 1, groups: ["b"], issuedAt: 9 };
  void write(1, 3, "a");
  await turn();
  void write(1, 7, "c");
  void write(1, 9, "b");
  void write(1, 5, "a", "b", "c");
  await turn();
  deepEqual(writes.length, 1);
  await writes[0]?.answer();
  deepEqual(writes[1]?.entries, [newest]);
  void write(1, 8, "a", "b", "c");
  await turn();
  await writes[1]?.answer();
  // What was not written yet when it came has turned out to be older.
  equal(writes.length, 2);
  equal(await write(1, 0, "a", "b", "c"), "written");
  equal(writes.length, 2);
  deepEqual(rows.get(1), newest);
});

Deno.test("[V3] a newer token is written, and of two that were issued at the same time the one that is used last", async () => {
  const { write, writes, rows } = createWriter();
  const tokens: [number, string[]][] = [
    [5, ["a"]],
    [6, ["a"]],
    [6, ["b"]],
    [6, ["b", "c"]],
    [6, []],
  ];
  for (const [issuedAt, groups] of tokens) {
    const written = write(1, issuedAt, ...groups);
    await turn();
    await writes.at(-1)?.answer();
    equal(await written, "written");
    deepEqual(rows.get(1), { userId: 1, groups, issuedAt });
  }
  equal(writes.length, tokens.length);
});

Deno.test("[V1] two users have nothing in common", async () => {
  const { write, writes, rows } = createWriter();
  void write(1, 9, "a");
  void write("1", 3, "b");
  void write(2, 3, "c");
  await turn();
  await writes[0]?.answer();
  deepEqual([...rows.values()].map(({ groups }) => groups), [
    ["a"],
    ["b"],
    ["c"],
  ]);
});

Deno.test("[V5] a write that fails fails for those who wait for it, is logged without their groups, and is tried again", async () => {
  const { write, writes, log } = createWriter();
  const failed = [write(1, 1, "a"), write(2, 1, "a"), write(1, 1, "a")];
  await turn();
  await writes[0]?.fail();
  deepEqual(await Promise.all(failed), ["failed", "failed", "failed"]);
  deepEqual(log.events, ["warn: cannot write the groups of tokens"]);
  const again = write(1, 1, "a");
  await turn();
  await writes[1]?.answer();
  equal(await again, "written");
});

Deno.test("[L1] a client waits a bounded time for its groups to be written", async () => {
  using timers = fakeTimers();
  const { write, writes, state } = createWriter();
  const pass = (ms: number) => {
    state.now += ms;
    timers.advance(ms);
    return turn();
  };
  const results: string[] = [];
  const record = (result: string) => void results.push(result);
  void write(1, 1, "a").then(record);
  await turn();
  await pass(1_000);
  void write(2, 1, "a").then(record);
  await pass(GROUP_WRITE_MS - 1_001);
  deepEqual(results, []);
  await pass(1);
  deepEqual(results, ["failed"]);
  await pass(1_000);
  deepEqual(results, ["failed", "failed"]);
  // Nobody waits for user 2 any more, so nothing is written for it.
  await writes[0]?.answer();
  equal(writes.length, 1);
  equal(timers.count, 0);
});

Deno.test("[L1] a bounded number of users waits, and a bounded number is remembered", async () => {
  const { write, writes, log } = createWriter();
  const waiting = Array.from(
    { length: GROUP_WRITES_WAITING_MAX },
    (_, n) => write(n, 1, "a"),
  );
  equal(await write(-1, 1, "a"), "failed");
  deepEqual(log.events, ["warn: cannot write the groups of tokens"]);
  await turn();
  for (let n = 0; n < writes.length; n++) await writes[n]?.answer();
  await Promise.all(waiting);
  const more = Array.from(
    { length: WRITTEN_GROUPS_USERS_MAX - GROUP_WRITES_WAITING_MAX + 1 },
    (_, n) => write(GROUP_WRITES_WAITING_MAX + n, 1, "a"),
  );
  const written = writes.length;
  await turn();
  for (let n = written; n < writes.length; n++) await writes[n]?.answer();
  await Promise.all(more);
  const before = writes.length;
  equal(await write(1, 1, "a"), "written");
  equal(writes.length, before);
  const forgotten = write(0, 1, "a");
  await turn();
  await writes[before]?.answer();
  equal(await forgotten, "written");
  equal(writes.length, before + 1);
});
