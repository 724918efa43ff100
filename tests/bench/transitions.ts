/**
 * Transitions per second in Postgres: in batches, as presence writes them, and with one UPDATE each.
 *
 * @module
 */
import pg from "pg";
import { BATCH_USERS_MAX } from "../../src/core/presence/limits.ts";
import { PostgresStore } from "../../src/postgres/postgres_store.ts";
import {
  type UserId,
  userIds,
  type UserIdType,
} from "../../src/client/protocol/user_id.ts";
import { idOf } from "../support/ids.ts";
import { query, silentLog } from "../support/database.ts";
import type { Result } from "./workloads.ts";

const LEASE_MS = 60_000;

export interface Databases {
  /** The URL of a new database with 20,000 users, with ids as `idOf` makes them. */
  database(idType?: UserIdType): Promise<string>;
}

/** @param users How many users of the database go online, and then offline. */
export async function transitions(
  databases: Databases,
  idType: UserIdType,
  users: number,
): Promise<Result> {
  const databaseUrl = await databases.database(idType);
  const ids = Array.from({ length: users }, (_, n) => idOf(idType, n + 1));
  const batched = await timeBatches(databaseUrl, idType, ids);
  const [{ online } = { online: -1 }] = await query(
    databaseUrl,
    "select count(*)::int as online from users where status = 'online'",
  );
  const together = await timeUpdates(databaseUrl, ids, 4);
  const single = await timeUpdates(databaseUrl, ids, 1);
  return {
    metrics: {
      batchedPerSecond: 2 * users / batched,
      oneUpdateEachPerSecond: 2 * users / single,
      oneUpdateEachOverFourPerSecond: 2 * users / together,
      batchedToOneUpdateEach: single / batched,
      batchedToOverFour: together / batched,
    },
    faults: online === 0 ? [] : [`${online} users are still online`],
  };
}

/** Returns the seconds until all users were online and offline again. */
async function timeBatches(
  url: string,
  idType: UserIdType,
  ids: readonly UserId[],
) {
  const store = new PostgresStore(url, silentLog, userIds(idType));
  const nodeId = crypto.randomUUID();
  await store.join(nodeId, LEASE_MS);
  const startedAt = performance.now();
  for (const isOnline of [true, false]) {
    for (let at = 0; at < ids.length; at += BATCH_USERS_MAX) {
      const batch = ids.slice(at, at + BATCH_USERS_MAX);
      await store.apply(nodeId, isOnline ? batch : [], isOnline ? [] : batch);
    }
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  await store.leave(nodeId, 0);
  await store.close();
  return seconds;
}

/** The same with one statement and one commit for each transition, over `max` connections. */
async function timeUpdates(
  connectionString: string,
  ids: readonly UserId[],
  max: number,
) {
  const pool = new pg.Pool({ connectionString, max });
  // The database may stop before the pool has closed its connections.
  pool.on("connect", (client) => client.on("error", () => {}));
  const startedAt = performance.now();
  for (const status of ["online", "offline"]) {
    await Promise.all(ids.map((id) =>
      pool.query({
        name: "update",
        text: "update users set status = $2 where id = $1",
        values: [id, status],
      })
    ));
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  await pool.end();
  return seconds;
}
