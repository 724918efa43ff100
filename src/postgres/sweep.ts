/**
 * One sweep: repairs what no event reports, and deletes what is too old.
 *
 * Each call is a transaction of its own, so that none keeps locks while the next one runs. What is
 * repaired is decided in `migrations/functions/sweep.sql` and `nodes.sql`.
 *
 * @module
 */
import type { NodeId, Transition } from "../core/store/store.ts";
import {
  FEED_KEEP_MS,
  FEED_KEEP_ROWS_MAX,
  FEED_PRUNE_ROUNDS_MAX,
  FEED_PRUNE_ROWS_MAX,
  REVOCATIONS_KEEP_MS,
  SWEEP_ROUNDS_MAX,
  SWEEP_SLICE_ROWS,
  SWEEP_USERS_MAX,
} from "./limits.ts";
import { isTimeout, type Pool } from "./pool.ts";
import type { Rows, TransitionRow } from "./rows.ts";

/**
 * Returns the transitions of all that was repaired.
 *
 * @param pauseMs If a node of the cluster swept in this time, only nodes that ended are swept.
 */
export async function sweep(
  pool: Pool,
  rows: Rows,
  nodeId: NodeId,
  pauseMs: number,
): Promise<readonly Transition[]> {
  const transitions = await sweepNodes(pool, rows, nodeId);
  const [begun] = await pool.query<{ begun: boolean }>(
    "select rollcall_internal.begin_sweep($1) as begun",
    [Math.floor(pauseMs)],
  );
  if (begun?.begun !== true) return transitions;
  const swept = await pool.query<TransitionRow>(
    "select * from rollcall_internal.sweep_users($1, $2)",
    [nodeId, SWEEP_SLICE_ROWS],
  );
  transitions.push(...rows.toTransitions(swept));
  await copyDue(pool, nodeId);
  await pruneFeed(pool);
  await pool.query("select rollcall_internal.prune_revocations($1)", [
    REVOCATIONS_KEEP_MS,
  ]);
  return transitions;
}

/**
 * Releases the claims of nodes that ended, in transactions of bounded size until none is left. One
 * that takes longer than a statement may is repeated with half of the users.
 */
async function sweepNodes(
  pool: Pool,
  rows: Rows,
  nodeId: NodeId,
): Promise<Transition[]> {
  const transitions: Transition[] = [];
  let usersMax = SWEEP_USERS_MAX;
  for (let round = 0; round < SWEEP_ROUNDS_MAX; round++) {
    try {
      const swept = await pool.query<TransitionRow>(
        "select * from rollcall_internal.sweep_nodes($1, $2)",
        [nodeId, usersMax],
      );
      transitions.push(...rows.toTransitions(swept));
      if (!swept.some(({ status }) => status === "more")) break;
    } catch (err) {
      if (!isTimeout(err) || usersMax === 1) throw err;
      usersMax = Math.ceil(usersMax / 2);
    }
  }
  return transitions;
}

/** Writes copies of the status that are due. Their debt is forgotten in a second transaction. */
async function copyDue(pool: Pool, nodeId: NodeId): Promise<void> {
  const copied = await pool.query<
    { user_id: unknown; changed_at: string | null }
  >(
    "select user_id, cast(changed_at as pg_catalog.text) as changed_at from rollcall_internal.copy_due($1, $2)",
    [nodeId, SWEEP_SLICE_ROWS],
  );
  if (copied.length === 0) return;
  await pool.query("select rollcall_internal.copies_done($1, $2)", [
    copied.map((row) => row.user_id),
    copied.map((row) => row.changed_at),
  ]);
}

async function pruneFeed(pool: Pool): Promise<void> {
  for (let round = 0; round < FEED_PRUNE_ROUNDS_MAX; round++) {
    const [row] = await pool.query<{ pruned: number }>(
      "select rollcall_internal.prune_feed($1, $2, $3) as pruned",
      [FEED_KEEP_ROWS_MAX, FEED_KEEP_MS, FEED_PRUNE_ROWS_MAX],
    );
    if ((row?.pruned ?? 0) < FEED_PRUNE_ROWS_MAX) return;
  }
}
