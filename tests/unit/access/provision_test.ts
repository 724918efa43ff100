import { deepEqual, equal, rejects } from "node:assert/strict";
import { coalesced } from "../../../src/access/provision.ts";

/** Writes that wait until the test answers them. */
function heldWrites() {
  const writes: {
    readonly user: string;
    readonly answer: PromiseWithResolvers<"there" | "refused">;
  }[] = [];
  const write = (userId: number, name: string | undefined) => {
    const answer = Promise.withResolvers<"there" | "refused">();
    writes.push({ user: `${userId} ${name}`, answer });
    return answer.promise;
  };
  return { writes, write };
}

/** Lets all pending promises continue. */
const turn = () => new Promise((resolve) => setTimeout(resolve));

Deno.test("[L1] the number of writes at the same time is limited, and each user and name is written once", async () => {
  const { writes, write } = heldWrites();
  const provision = coalesced(write, 10, 2);
  const calls = [1, 1, 2, 3, 4, 3].map((userId) => provision(userId, "a"));
  const seen = () => writes.map(({ user }) => user);
  deepEqual(seen(), ["1 a", "2 a"]);
  writes[0]?.answer.resolve("there");
  equal(await calls[1], "there");
  await turn();
  deepEqual(seen(), ["1 a", "2 a", "3 a"]);
  writes[1]?.answer.reject(new Error("away"));
  await rejects(calls[2] ?? Promise.resolve());
  await turn();
  deepEqual(seen(), ["1 a", "2 a", "3 a", "4 a"]);
  writes[2]?.answer.resolve("there");
  writes[3]?.answer.resolve("refused");
  await turn();
  equal(writes.length, 4);
  deepEqual(await Promise.all(calls.slice(3)), ["there", "refused", "there"]);
  // A written user costs no write; a failed or refused one is written again.
  equal(await provision(1, "a"), "there");
  void provision(2, "a");
  void provision(4, "a");
  equal(writes.length, 6);
});

Deno.test("[L1] the number of remembered users is limited, and a new name is written", async () => {
  const names: string[] = [];
  const provision = coalesced((userId, name) => {
    names.push(`${userId} ${name}`);
    return Promise.resolve("there");
  }, 2);
  for (const userId of [1, 2, 3, 1]) await provision(userId, "a\0b");
  await provision(1, "c");
  deepEqual(names, ["1 ab", "2 ab", "3 ab", "1 ab", "1 c"]);
});

Deno.test("[L1] two names of one user are written one after the other", async () => {
  const { writes, write } = heldWrites();
  const provision = coalesced(write, 10, 2);
  const calls = ["a", "b", "c", "b"].map((name) => provision(1, name));
  await turn();
  deepEqual(writes.map(({ user }) => user), ["1 a"]);
  writes[0]?.answer.reject(new Error("away"));
  await rejects(calls[0] ?? Promise.resolve());
  await turn();
  deepEqual(writes.map(({ user }) => user), ["1 a", "1 b"]);
  writes[1]?.answer.resolve("there");
  await turn();
  deepEqual(writes.map(({ user }) => user), ["1 a", "1 b", "1 c"]);
  writes[2]?.answer.resolve("there");
  deepEqual(await Promise.all(calls.slice(1)), ["there", "there", "there"]);
  equal(await provision(1, "c"), "there");
  equal(writes.length, 3);
});

Deno.test("[L1] the number of calls that wait for a database is limited, and further calls fail at once", async () => {
  const { writes, write } = heldWrites();
  const provision = coalesced(write, 10, 2, 3);
  const calls = [1, 2, 3].map((userId) => provision(userId, "a"));
  await rejects(provision(4, "a"), /too many users are waiting/);
  writes[0]?.answer.resolve("there");
  await calls[0];
  const late = provision(4, "a");
  await rejects(provision(1, "b"), /too many/);
  equal(await provision(1, "a"), "there");
  await turn();
  for (const { answer } of writes) answer.resolve("there");
  await turn();
  for (const { answer } of writes) answer.resolve("there");
  deepEqual(await Promise.all([...calls, late]), Array(4).fill("there"));
});
