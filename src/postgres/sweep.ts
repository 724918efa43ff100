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
  REGROUP_ROUNDS_MAX,
  REGROUP_USERS_MAX,
  REVOCATIONS_KEEP_MS,
  SWEEP_ROUNDS_MAX,
  SWEEP_SLICE_ROWS,
  SWEEP_USERS_MAX,
  TOKEN_GROUPS_KEEP_MS,
} from "./limits.ts";
import { isTimeout, type Pool } from "./pool.ts";
import { areGroupsReadable, type Rows, type TransitionRow } from "./rows.ts";

/** What one sweep did. */
export interface Swept {
  readonly transitions: readonly Transition[];
  /** Whether the groups could be read. `undefined`: they were not. */
  readonly groupsReadable: boolean | undefined;
}

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
): Promise<Swept> {
  const transitions = await sweepNodes(pool, rows, nodeId);
  const [begun] = await pool.query<{ slices: string | null }>(
    `select case when begun then rollcall_internal.count_group_slices($2) end as slices
       from (select rollcall_internal.begin_sweep($1) as begun) one_row`,
    [Math.floor(pauseMs), REGROUP_USERS_MAX],
  );
  const slices = begun?.slices ?? undefined;
  if (slices === undefined) return { transitions, groupsReadable: undefined };
  const swept = await pool.query<TransitionRow>(
    "select * from rollcall_internal.sweep_users($1, $2)",
    [nodeId, SWEEP_SLICE_ROWS],
  );
  transitions.push(...rows.toTransitions(swept));
  const grouped = await sweepGroups(pool, nodeId, Number(slices));
  transitions.push(...rows.toTransitions(grouped));
  await copyDue(pool, nodeId);
  await pruneFeed(pool);
  await pool.query("select rollcall_internal.prune_revocations($1)", [
    REVOCATIONS_KEEP_MS,
  ]);
  return {
    transitions,
    groupsReadable: slices === "0" ? undefined : areGroupsReadable(grouped),
  };
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

/**
 * Compares groups: first of the users that the application named, whose notification may be lost, then
 * slices of all who are online. Without groups there is no slice.
 */
async function sweepGroups(
  pool: Pool,
  nodeId: NodeId,
  slices: number,
): Promise<TransitionRow[]> {
  const done: TransitionRow[] = [];
  for (let round = 0; slices > 0 && round < REGROUP_ROUNDS_MAX; round++) {
    const named = await regroup(pool, nodeId);
    done.push(...named);
    if (!named.some(({ status }) => status === "more")) break;
  }
  for (let slice = 0; slice < slices && areGroupsReadable(done); slice++) {
    const compared = await pool.query<TransitionRow>(
      "select * from rollcall_internal.sweep_groups($1, $2)",
      [nodeId, REGROUP_USERS_MAX],
    );
    done.push(...compared);
  }
  if (slices > 0) {
    await pool.query("select rollcall_internal.prune_token_groups($1, $2)", [
      TOKEN_GROUPS_KEEP_MS,
      REGROUP_USERS_MAX,
    ]);
  }
  return done;
}

/** Compares the groups of some users that the application named. */
export function regroup(pool: Pool, nodeId: NodeId): Promise<TransitionRow[]> {
  return pool.query<TransitionRow>(
    "select * from rollcall_internal.regroup($1, $2)",
    [nodeId, REGROUP_USERS_MAX],
  );
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
