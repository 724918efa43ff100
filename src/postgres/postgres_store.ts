/**
 * The store over Postgres. Every decision is a function in `migrations/`; this file sends
 * arrays in and reads rows out.
 *
 * No call waits without a bound: connecting, the statement in the database and the answer
 * each have a deadline in `limits.ts`.
 *
 * @module
 */
import pg from "pg";
import {
  DATABASE_ANSWER_MS,
  DATABASE_STATEMENT_MS,
  FEED_KEEP_MS,
  FEED_KEEP_ROWS_MAX,
  FEED_PRUNE_ROUNDS_MAX,
  FEED_PRUNE_ROWS_MAX,
  POOL_CONNECTIONS_MAX,
  REVOCATIONS_KEEP_MS,
  SWEEP_USERS_MAX,
} from "./limits.ts";
import type { Log } from "../base/log.ts";
import type { Status } from "../protocol/messages.ts";
import type { UserId } from "../protocol/user_id.ts";
import { clientOptions } from "./connect.ts";
import { listen } from "./listen.ts";
import {
  type Applied,
  type FeedRead,
  FencedError,
  type NodeId,
  type Provisioned,
  type Revocation,
  type Snapshot,
  type Store,
  type Subscription,
  type Transition,
} from "../core/store/store.ts";
import { traced } from "./traced.ts";

/** Raised by the functions in `migrations/` when a node's lease has ended. */
const FENCED_SQLSTATE = "RC001";

/** A row of a deciding function. Postgres sends `bigint` as text. */
interface TransitionRow {
  readonly seq: string;
  readonly user_id: UserId;
  readonly username: string;
  readonly status: Status;
}

/** A row of `apply`, which also tells of users that it did not touch. */
interface ApplyRow extends Omit<TransitionRow, "status"> {
  readonly status: Status | "unknown" | "busy";
}

export class PostgresStore implements Store {
  readonly #url: string | undefined;
  readonly #log: Log;
  readonly #pool: pg.Pool;
  /** How many batches were sent, so that one which arrives late is known. */
  #writes = 0;

  /** Connects when first used. The schema must be up to date. */
  constructor(url: string | undefined, log: Log) {
    this.#url = url;
    this.#log = log;
    this.#pool = new pg.Pool({
      ...clientOptions(url),
      max: POOL_CONNECTIONS_MAX,
      statement_timeout: DATABASE_STATEMENT_MS,
      query_timeout: DATABASE_ANSWER_MS,
    });
    this.#pool.on("connect", (client) => {
      // One that is being closed may break too, and the pool does not listen to it any more.
      client.on("error", () => {});
      client.on(
        "notice",
        ({ message }) => log.warn({ notice: message }, "the database warns"),
      );
      // The deciding functions see what was committed before each of their statements.
      client.query("set default_transaction_isolation to 'read committed'")
        .catch(() => {});
    });
    // An idle connection that breaks is replaced by the pool at the next call.
    this.#pool.on(
      "error",
      (err) => log.debug({ err }, "an idle database connection ended"),
    );
  }

  join(
    nodeId: NodeId,
    leaseMs: number,
    predecessor?: NodeId,
  ): Promise<readonly Transition[]> {
    return this.#decide(
      "select * from rollcall_internal.join_node($1, $2, $3, $4)",
      [
        nodeId,
        leaseMs,
        predecessor ?? null,
        SWEEP_USERS_MAX,
      ],
    );
  }

  async heartbeat(nodeId: NodeId, leaseMs: number): Promise<void> {
    await this.#query("select rollcall_internal.renew($1, $2)", [
      nodeId,
      leaseMs,
    ]);
  }

  async sweep(): Promise<readonly Transition[]> {
    // Each in a transaction of its own, so that none holds locks that another waits for.
    const most = [SWEEP_USERS_MAX];
    const reaped = await this.#decide(
      "select * from rollcall_internal.sweep($1)",
      most,
    );
    const deleted = await this.#decide(
      "select * from rollcall_internal.forget_deleted($1)",
      most,
    );
    await this.#prune();
    await this.#query("select rollcall_internal.forget_revocations($1)", [
      REVOCATIONS_KEEP_MS,
    ]);
    return [...reaped, ...deleted];
  }

  async apply(
    nodeId: NodeId,
    arriving: readonly UserId[],
    leaving: readonly UserId[],
  ): Promise<Applied> {
    const users = arriving.length + leaving.length;
    const rows = await traced(
      "rollcall.apply",
      { "rollcall.users": users },
      () =>
        this.#query<ApplyRow>(
          "select * from rollcall_internal.apply($1, $2, $3, $4)",
          [nodeId, arriving, leaving, this.#writes += 1],
        ),
    );
    const idsWith = (status: string) =>
      rows.filter((row) => row.status === status).map((row) => row.user_id);
    return {
      transitions: toTransitions(rows),
      unknown: idsWith("unknown"),
      busy: idsWith("busy"),
    };
  }

  async leave(nodeId: NodeId, handoverMs: number): Promise<void> {
    await this.#query("select * from rollcall_internal.leave_node($1, $2)", [
      nodeId,
      handoverMs,
    ]);
  }

  async readFeed(after: number, limit: number): Promise<FeedRead> {
    const rows = await traced(
      "rollcall.feed",
      { "rollcall.after": after },
      () =>
        this.#query<TransitionRow & { head: string; seq: string | null }>(
          `select counter.seq as head, feed.seq, feed.user_id, feed.username, feed.status
             from rollcall_internal.counter
             left join lateral (
               select * from rollcall_internal.feed where seq > $1 order by seq limit $2
             ) feed on true`,
          [after, limit],
        ),
    );
    return {
      head: Number(rows[0]?.head ?? 0),
      transitions: toTransitions(rows),
    };
  }

  async snapshot(): Promise<Snapshot> {
    const rows = await this.#query<
      { seq: string; id: UserId | null; username: string }
    >(
      `select counter.seq, online.id, online.username
         from rollcall_internal.counter
         left join lateral (
           select id, coalesce(username, '') as username from users where status = 'online'
         ) online on true`,
      [],
    );
    const users = rows.flatMap(({ id, username }) =>
      id === null ? [] : [{ id, username }]
    );
    return { seq: Number(rows[0]?.seq ?? 0), users };
  }

  async claimedBy(nodeId: NodeId): Promise<readonly UserId[]> {
    const rows = await this.#query<{ user_id: UserId }>(
      "select user_id from rollcall_internal.claims where node_id = $1",
      [nodeId],
    );
    return rows.map((row) => row.user_id);
  }

  async skipTo(seq: number): Promise<void> {
    await this.#query("select rollcall_internal.skip_to($1)", [seq]);
  }

  async revoke(
    { userId, tokenId }: Omit<Revocation, "id">,
  ): Promise<void> {
    await this.#query("select rollcall_internal.revoke($1, $2)", [
      userId ?? null,
      tokenId ?? null,
    ]);
  }

  async readRevocations(
    after: number,
    limit: number,
  ): Promise<readonly Revocation[]> {
    const rows = await this.#query<
      { id: string; user_id: UserId | null; token_id: string | null }
    >(
      `select id, user_id, token_id from rollcall_internal.revocations
        where id > $1 order by id limit $2`,
      [after, limit],
    );
    return rows.map((row) => ({
      id: Number(row.id),
      userId: row.user_id ?? undefined,
      tokenId: row.token_id ?? undefined,
    }));
  }

  /**
   * Makes the user's row, or gives it the name. A row that is as asked is not written, and
   * without a name an existing row is left alone.
   */
  async provision(
    userId: UserId,
    username: string | undefined,
  ): Promise<Provisioned> {
    const [row] = await this.#query<{ outcome: Provisioned }>(
      "select rollcall_internal.provision($1, $2) as outcome",
      [userId, username ?? null],
    );
    return row?.outcome ?? "refused";
  }

  subscribe(
    onHead: (seq: number) => void,
    onRenamed: () => void,
    onRevoked: () => void,
  ): Promise<Subscription> {
    // Over another connection: behind a pooler, one's own would come back all the same.
    const notify = async (payload: string) =>
      void await this.#query("select pg_notify('rollcall', $1)", [payload]);
    return listen(this.#url, this.#log, notify, (payload) => {
      if (payload === "renamed") onRenamed();
      else if (payload === "revoked") onRevoked();
      else if (/^\d+$/.test(payload)) onHead(Number(payload));
    });
  }

  async close(): Promise<void> {
    await this.#pool.end();
  }

  async #prune(): Promise<void> {
    for (let round = 0; round < FEED_PRUNE_ROUNDS_MAX; round++) {
      const [row] = await this.#query<{ pruned: number }>(
        "select rollcall_internal.prune($1, $2, $3) as pruned",
        [FEED_KEEP_ROWS_MAX, FEED_KEEP_MS, FEED_PRUNE_ROWS_MAX],
      );
      if ((row?.pruned ?? 0) < FEED_PRUNE_ROWS_MAX) return;
    }
  }

  async #decide(
    sql: string,
    values: unknown[],
  ): Promise<readonly Transition[]> {
    return toTransitions(await this.#query<TransitionRow>(sql, values));
  }

  async #query<Row extends pg.QueryResultRow>(
    sql: string,
    values: unknown[],
  ): Promise<Row[]> {
    try {
      return (await this.#pool.query<Row>(sql, values)).rows;
    } catch (err) {
      if (err instanceof pg.DatabaseError && err.code === FENCED_SQLSTATE) {
        throw new FencedError(err.message, { cause: err });
      }
      throw err;
    }
  }
}

/** The rows that are transitions, in the feed's order. */
function toTransitions(
  rows: readonly (Omit<TransitionRow, "seq" | "status"> & {
    seq: string | null;
    status: string;
  })[],
): Transition[] {
  return rows
    .filter((row) => row.seq !== null)
    .map((row) => ({
      seq: Number(row.seq),
      userId: row.user_id,
      username: row.username,
      status: row.status as Status,
    }))
    .sort((a, b) => a.seq - b.seq);
}
