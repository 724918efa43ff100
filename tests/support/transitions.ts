/**
 * Transitions without sockets: another node, played over SQL.
 *
 * @module
 */
import pg from "pg";
import type { UserId } from "../../src/protocol.ts";

export interface PlayedNode extends AsyncDisposable {
  /** One transaction; resolves when it is committed. */
  apply(arriving: readonly UserId[], leaving: readonly UserId[]): Promise<void>;
}

/** Joins as a node whose lease lasts for any test. */
export async function playNode(databaseUrl: string): Promise<PlayedNode> {
  const client = new pg.Client({ connectionString: databaseUrl });
  await client.connect();
  const nodeId = crypto.randomUUID();
  await client.query(
    "select * from rollcall_internal.join_node($1, 600000, null, 1000)",
    [nodeId],
  );
  return {
    apply: async (arriving, leaving) => {
      await client.query(
        "select * from rollcall_internal.apply($1, $2, $3)",
        [nodeId, arriving, leaving],
      );
    },
    [Symbol.asyncDispose]: async () => {
      await client.query(
        "select * from rollcall_internal.leave_node($1, 0)",
        [nodeId],
      );
      await client.end();
    },
  };
}
