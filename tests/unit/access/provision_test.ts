import { deepEqual, equal, rejects } from "node:assert/strict";
import { coalesced } from "../../../src/access/provision.ts";
import type { Provisioned } from "../../../src/core/store/store.ts";
import type { UserId } from "../../../src/client/protocol/user_id.ts";

const THERE: Provisioned = { outcome: "there" };
const REFUSED: Provisioned = { outcome: "refused", why: "full" };

/** Writes that wait until the test answers them. */
function heldWrites() {
  const writes: {
    readonly user: string;
    readonly answer: PromiseWithResolvers<Provisioned>;
  }[] = [];
  const write = (userId: UserId, name: string | undefined) => {
    const answer = Promise.withResolvers<Provisioned>();
    writes.push({ user: `${userId} ${name}`, answer });
    return answer.promise;
  };
  return { writes, write };
}

/** Lets all pending promises continue. */
const turn = () => new Promise((resolve) => setTimeout(resolve));

Deno.test("[L1] the number of writes at the same time is limited, and each user and name is written once", async () => {
  const { writes, write } = heldWrites();
  const { provision } = coalesced(write, 10, 2);
  const calls = [1, 1, 2, 3, 4, 3].map((userId) => provision(userId, "a"));
  const seen = () => writes.map(({ user }) => user);
  deepEqual(seen(), ["1 a", "2 a"]);
  writes[0]?.answer.resolve(THERE);
  deepEqual(await calls[1], THERE);
  await turn();
  deepEqual(seen(), ["1 a", "2 a", "3 a"]);
  writes[1]?.answer.reject(new Error("away"));
  await rejects(calls[2] ?? Promise.resolve());
  await turn();
  deepEqual(seen(), ["1 a", "2 a", "3 a", "4 a"]);
  writes[2]?.answer.resolve(THERE);
  writes[3]?.answer.resolve(REFUSED);
  await turn();
  equal(writes.length, 4);
  deepEqual(await Promise.all(calls.slice(3)), [THERE, REFUSED, THERE]);
  // A written user costs no write; a failed or refused one is written again.
  deepEqual(await provision(1, "a"), THERE);
  void provision(2, "a");
  void provision(4, "a");
  equal(writes.length, 6);
});

Deno.test("[L1] the number of remembered users is limited, and a new name is written", async () => {
  const names: string[] = [];
  const { provision } = coalesced((userId, name) => {
    names.push(`${userId} ${name}`);
    return Promise.resolve(THERE);
  }, 2);
  for (const userId of [1, 2, 3, 1]) await provision(userId, "a\0b");
  await provision(1, "c");
  deepEqual(names, ["1 ab", "2 ab", "3 ab", "1 ab", "1 c"]);
});

Deno.test("[L1] two names of one user are written one after the other", async () => {
  const { writes, write } = heldWrites();
  const { provision } = coalesced(write, 10, 2);
  const calls = ["a", "b", "c", "b"].map((name) => provision(1, name));
  await turn();
  deepEqual(writes.map(({ user }) => user), ["1 a"]);
  writes[0]?.answer.reject(new Error("away"));
  await rejects(calls[0] ?? Promise.resolve());
  await turn();
  deepEqual(writes.map(({ user }) => user), ["1 a", "1 b"]);
  writes[1]?.answer.resolve(THERE);
  await turn();
  deepEqual(writes.map(({ user }) => user), ["1 a", "1 b", "1 c"]);
  writes[2]?.answer.resolve(THERE);
  deepEqual(await Promise.all(calls.slice(1)), [THERE, THERE, THERE]);
  deepEqual(await provision(1, "c"), THERE);
  equal(writes.length, 3);
});

Deno.test("[L1] the number of calls that wait for a database is limited, and further calls fail at once", async () => {
  const { writes, write } = heldWrites();
  const { provision } = coalesced(write, 10, 2, 3);
  const calls = [1, 2, 3].map((userId) => provision(userId, "a"));
  await rejects(provision(4, "a"), /too many users are waiting/);
  writes[0]?.answer.resolve(THERE);
  await calls[0];
  const late = provision(4, "a");
  await rejects(provision(1, "b"), /too many/);
  deepEqual(await provision(1, "a"), THERE);
  await turn();
  for (const { answer } of writes) answer.resolve(THERE);
  await turn();
  for (const { answer } of writes) answer.resolve(THERE);
  deepEqual(await Promise.all([...calls, late]), Array(4).fill(THERE));
});

Deno.test("a row that was deleted since is written once more, under the same name", async () => {
  const { writes, write } = heldWrites();
  const { provision, rewrite } = coalesced(write, 10, 2);
  equal(await rewrite(1), undefined);
  const first = provision(1, "a");
  writes[0]?.answer.resolve(THERE);
  await first;
  const again = rewrite(1);
  // Calls meanwhile share the write.
  const others = [rewrite(1), provision(1, "a")];
  await turn();
  deepEqual(writes.map(({ user }) => user), ["1 a", "1 a"]);
  writes[1]?.answer.resolve(REFUSED);
  deepEqual(await Promise.all([again, ...others]), [REFUSED, REFUSED, REFUSED]);
  // What was refused is forgotten.
  equal(await rewrite(1), undefined);
  void provision(1, "a");
  equal(writes.length, 3);
});

const names: Record<string, { name: string | undefined; stored?: string }> = {
  "is short": { name: "Ada", stored: "Ada" },
  "is missing": { name: undefined },
  "is blank": { name: " \0 " },
  "has characters of two units at the bound": {
    name: "x" + "\u{1f600}".repeat(200),
    stored: "x" + "\u{1f600}".repeat(127),
  },
  "has half of a character": { name: "a\ud83d", stored: "a\ufffd" },
  "has a NUL": { name: "a\0b", stored: "ab" },
};

for (const [which, { name, stored }] of Object.entries(names)) {
  Deno.test(`[L1] a name that ${which} is written as whole characters, up to the bound`, async () => {
    const written: (string | undefined)[] = [];
    const { provision } = coalesced((_userId, username) => {
      written.push(username);
      return Promise.resolve(THERE);
    });
    await provision(1, name);
    deepEqual(written, [stored]);
  });
}
