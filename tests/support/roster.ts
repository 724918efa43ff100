/**
 * What a server and its clients believe, to be compared with the truth.
 *
 * @module
 */
import { deepEqual } from "node:assert/strict";
import type { TestClient } from "./client.ts";
import type { TestServer } from "./server.ts";
import { until } from "./until.ts";

/** Waits until exactly these users are listed. The roster must be public, or the token good. */
export async function listed(
  server: Pick<TestServer, "url">,
  wanted: readonly number[],
  deadlineMs = 10_000,
): Promise<void> {
  await until(`${wanted.join() || "nobody"} is listed`, async () => {
    const { online_users } = await (await fetch(`${server.url}users/online`))
      .json();
    return online_users.map(({ id }: { id: number }) => id).join() ===
      wanted.join();
  }, deadlineMs);
}

/** What a client was told of one user. */
export function heardOf(client: TestClient, userId: number): string[] {
  return client.messages.filter((message) => message.userId === userId).map((
    { type },
  ) => type);
}

/** P6: online and offline alternate, beginning with online (or the given first). */
export function alternates(
  types: readonly string[],
  first: "user_online" | "user_offline" = "user_online",
): void {
  const second = first === "user_online" ? "user_offline" : "user_online";
  deepEqual(types, types.map((_, index) => index % 2 === 0 ? first : second));
}
