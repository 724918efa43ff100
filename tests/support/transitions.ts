/**
 * Transitions without sockets, written by another node of which only the store exists.
 *
 * @module
 */
import { PostgresStore } from "../../src/postgres/postgres_store.ts";
import {
  INTEGER_IDS,
  type UserId,
  type UserIds,
} from "../../src/client/protocol/user_id.ts";
import { query, silentLog } from "./database.ts";
import { until } from "./until.ts";

/** Lasts for any test: nothing renews it. */
const LEASE_MS = 600_000;

export interface StoreNode extends AsyncDisposable {
  /** Writes one transaction. Resolves when it is committed. */
  apply(arriving: readonly UserId[], leaving: readonly UserId[]): Promise<void>;
}

/** Joins as a node. Disposing of it takes its users offline. */
export async function joinAsNode(
  databaseUrl: string,
  ids: UserIds = INTEGER_IDS,
): Promise<StoreNode> {
  const store = new PostgresStore(databaseUrl, silentLog, ids);
  const nodeId = crypto.randomUUID();
  await store.join(nodeId, LEASE_MS);
  const online = new Set<UserId>();
  const apply = async (
    arriving: readonly UserId[],
    leaving: readonly UserId[],
  ) => {
    await store.apply(nodeId, arriving, leaving);
    for (const id of arriving) online.add(id);
    for (const id of leaving) online.delete(id);
  };
  return {
    apply,
    [Symbol.asyncDispose]: async () => {
      await apply([], [...online]);
      await store.leave(nodeId, 0);
      await store.close();
    },
  };
}

/** A user comes online and goes offline again and again, until the promise has settled. */
export async function withUserChanging<T>(
  databaseUrl: string,
  userId: UserId,
  running: Promise<T>,
): Promise<T> {
  await using node = await joinAsNode(databaseUrl);
  let isOver = false;
  const settled = () => void (isOver = true);
  running.then(settled, settled);
  for (let round = 0; !isOver; round++) {
    const isArriving = round % 2 === 0;
    await node.apply(isArriving ? [userId] : [], isArriving ? [] : [userId]);
    const changedAt = performance.now();
    await until(
      "the next change is due",
      () => isOver || performance.now() - changedAt > 60,
    );
  }
  return await running;
}

/**
 * Users come online, each in a transaction of its own, as fast as the database commits: all
 * transactions are in one request, so that a slow test process does not slow them down.
 * Disposing of it takes them offline.
 */
export async function storm(
  databaseUrl: string,
  ids: readonly UserId[],
): Promise<AsyncDisposable> {
  const store = new PostgresStore(databaseUrl, silentLog);
  const nodeId = crypto.randomUUID();
  await store.join(nodeId, LEASE_MS);
  const write = (arriving: string, leaving: string, number: number) =>
    `select rollcall_internal.apply('${nodeId}', '{${arriving}}', '{${leaving}}', ${number}, true)`;
  const transactions = ids.map((id, index) =>
    `begin; ${write(String(id), "", 1 + index)}; commit;`
  );
  await query(databaseUrl, transactions.join("\n"));
  return {
    [Symbol.asyncDispose]: async () => {
      await query(databaseUrl, write("", ids.join(), 1 + ids.length));
      await store.leave(nodeId, 0);
      await store.close();
    },
  };
}
