/**
 * Transitions without sockets: another node, of which only the store is there.
 *
 * @module
 */
import { PostgresStore } from "../../src/postgres/postgres_store.ts";
import type { UserId } from "../../src/protocol/user_id.ts";
import { silentLog } from "./database.ts";

export interface PlayedNode extends AsyncDisposable {
  /** One transaction; resolves when it is committed. */
  apply(arriving: readonly UserId[], leaving: readonly UserId[]): Promise<void>;
}

/** Joins as a node whose lease lasts for any test. */
export async function playNode(databaseUrl: string): Promise<PlayedNode> {
  const store = new PostgresStore(databaseUrl, silentLog);
  const nodeId = crypto.randomUUID();
  await store.join(nodeId, 600_000);
  return {
    apply: async (arriving, leaving) => {
      await store.apply(nodeId, arriving, leaving);
    },
    [Symbol.asyncDispose]: async () => {
      await store.leave(nodeId, 0);
      await store.close();
    },
  };
}
