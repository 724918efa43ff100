import { deepEqual, equal, rejects } from "node:assert/strict";
import { provisioningOnce } from "../src/provision.ts";

/** Writes that wait until they are answered. */
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

Deno.test("[L1] so many are written at a time, each user and name once, and the others wait", async () => {
  const { writes, write } = heldWrites();
  const provision = provisioningOnce(write, 10, 2);
  const calls = [1, 1, 2, 3, 4, 3].map((userId) => provision(userId, "a"));
  const seen = () => writes.map(({ user }) => user);
  deepEqual(seen(), ["1 a", "2 a"]);
  writes[0]?.answer.resolve("there");
  equal(await calls[1], "there");
  await Promise.resolve();
  deepEqual(seen(), ["1 a", "2 a", "3 a"]);
  writes[1]?.answer.reject(new Error("away"));
  await rejects(calls[2] ?? Promise.resolve());
  await Promise.resolve();
  deepEqual(seen(), ["1 a", "2 a", "3 a", "4 a"]);
  writes[2]?.answer.resolve("there");
  writes[3]?.answer.resolve("refused");
  deepEqual(await Promise.all(calls.slice(3)), ["there", "refused", "there"]);
  // What is known costs nothing, what is not is written again.
  equal(await provision(1, "a"), "there");
  void provision(2, "a");
  void provision(4, "a");
  equal(writes.length, 6);
});

Deno.test("[L1] so many users are remembered, and a new name is written", async () => {
  const names: string[] = [];
  const provision = provisioningOnce((userId, name) => {
    names.push(`${userId} ${name}`);
    return Promise.resolve("there");
  }, 2);
  for (const userId of [1, 2, 3, 1]) await provision(userId, "a\0b");
  await provision(1, "c");
  deepEqual(names, ["1 ab", "2 ab", "3 ab", "1 ab", "1 c"]);
});
