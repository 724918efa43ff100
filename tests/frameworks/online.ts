/**
 * Users who are online by the store alone, without a server.
 *
 * @module
 */
import { equal } from "node:assert/strict";
import type { Log } from "../../src/base/log.ts";
import { PostgresStore } from "../../src/postgres/postgres_store.ts";
import {
  type UserId,
  userIds,
  type UserIdType,
} from "../../src/client/protocol/user_id.ts";
import { silentLog } from "../support/database.ts";

export const NODE = "00000000-0000-4000-8000-000000000001";

/** Takes users online, calls back, and takes them offline. */
export async function withOnline(
  url: string,
  type: UserIdType,
  ids: readonly UserId[],
  then: (store: PostgresStore) => Promise<void> = () => Promise.resolve(),
  log: Log = silentLog,
): Promise<void> {
  const store = new PostgresStore(url, log, userIds(type));
  try {
    await store.join(NODE, 60_000);
    equal((await store.apply(NODE, ids, [])).transitions.length, ids.length);
    await then(store);
    await store.leave(NODE, 0);
  } finally {
    await store.close();
  }
}

/** Who went where in a sweep, or in a write. */
export function movesOf(
  transitions: readonly { userId: UserId; status: string }[],
): (readonly [UserId, string])[] {
  return transitions.map(({ userId, status }) => [userId, status]);
}
