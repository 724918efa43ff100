/**
 * The store over Postgres: what the core asks of a database, as calls of functions in `migrations/`.
 *
 * How the parts of this folder act together:
 * - `migrate.ts` brings the schema up to date before the store is used: `migration_files.ts` reads
 *   the files, `applied_files.ts` compares them with what was applied, `bookkeeping.ts` makes the
 *   tables that record it, `pinned.ts` runs it all with a pinned search path.
 *   `pre_release.ts` and `rights.ts` explain why it cannot.
 * - `mapping.ts` settles which users table of the application presence belongs to. `find_users.ts`
 *   finds and checks it, by what `users_catalog.ts` reads; `users_rights.ts` knows the grants,
 *   `readable.ts` tries whether a table can be read, and
 *   `users_table.ts` the variables and the placeholders. `find_groups.ts` and `groups_table.ts` are the
 *   same for groups. `explain.ts` prints all that, and does nothing.
 * - This file sends arrays of ids into SQL functions and turns rows into the core's types. It
 *   decides nothing: whether a user is online is decided in `migrations/functions/presence.sql`. It
 *   never names the users table: only the functions do.
 * - `rows.ts` reads rows, `sweep.ts` makes the calls of one sweep, and `overview.ts` reads what an
 *   operator asks.
 * - `pool.ts` owns the connections and their deadlines. `hosts.ts` knows which host they go to.
 *   `connect.ts` opens single ones and says why it cannot; `transient.ts` knows which of these faults
 *   pass by themselves. `listen.ts` owns the one connection that receives notifications.
 *   `provision_refusal.ts` says why a user cannot be created. `traced.ts`
 *   adds spans for OpenTelemetry.
 *
 * What it costs: for each node at most `POOL_CONNECTIONS_MAX` connections, `LEASE_CONNECTIONS_MAX` for
 * its lease, and one that listens.
 * One batch of arriving and leaving users is one statement and one transaction, however many
 * users it has. Transactions that append to the feed wait for each other from then to their
 * commit, in the whole cluster. `readFeed` and `snapshot` are one statement each, so that their
 * rows and their `seq` are of the same instant.
 *
 * Statements name the schema of every operator and function. Otherwise another role, with an object
 * of its own in a schema on this role's search path, could make this role execute it.
 *
 * A batch whose deadline has passed may be committed all the same, even later. So each batch has a
 * number, and the next one is a barrier: the database rejects a batch that arrives after it.
 *
 * @module
 */
import type { Log } from "../base/log.ts";
import type {
  Applied,
  FeedRead,
  NodeId,
  Notifications,
  Provisioned,
  Regrouped,
  Revocation,
  Snapshot,
  Store,
  Subscription,
  Transition,
} from "../core/store/store.ts";
import {
  INTEGER_IDS,
  type UserId,
  type UserIds,
} from "../client/protocol/user_id.ts";
import { LEASE_CONNECTIONS_MAX, SWEEP_USERS_MAX } from "./limits.ts";
import { listen } from "./listen.ts";
import { hostName, Overview } from "./overview.ts";
import { Pool } from "./pool.ts";
import { describeRefusal } from "./provision_refusal.ts";
import {
  type ApplyRow,
  areGroupsReadable,
  type FoundRow,
  type FoundUser,
  Rows,
  type SnapshotRow,
  type TransitionRow,
} from "./rows.ts";
import { regroup, sweep } from "./sweep.ts";
import { traced } from "./traced.ts";

/** The groups in a token. */
export interface TokenGroups {
  readonly userId: UserId;
  readonly groups: readonly string[];
  /** Its `iat`, in seconds. 0: it has none. */
  readonly issuedAt: number;
}

/** The row of `provision`, with the SQLSTATE and the message of the error, if there was one. */
interface ProvisionRow {
  readonly outcome: Provisioned["outcome"];
  readonly code: string | null;
  readonly reason: string | null;
}

export class PostgresStore implements Store {
  readonly #url: string | undefined;
  readonly #log: Log;
  readonly #pool: Pool;
  /** For the lease alone, which must not wait for anything else. */
  readonly #leasePool: Pool;
  /** The number of the newest batch, by which the database rejects one that arrives too late. */
  #batchNumber = 0;
  /** The node whose last batch is known to be committed: no other can be on its way. */
  #settledNode: NodeId | undefined;

  /** Whether the last read of groups succeeded. */
  #groupsReadable = true;
  readonly #hasGroups: boolean;

  readonly #rows: Rows;
  /** For operators. */
  readonly overview: Overview;

  /**
   * Connects when it is first used. The schema must be up to date.
   *
   * @param hasGroups Whether groups are configured.
   */
  constructor(
    url: string | undefined,
    log: Log,
    ids: UserIds = INTEGER_IDS,
    hasGroups = false,
  ) {
    this.#hasGroups = hasGroups;
    this.#rows = new Rows(ids);
    this.#url = url;
    this.#log = log;
    this.#pool = new Pool(url, log);
    this.#leasePool = new Pool(url, log, LEASE_CONNECTIONS_MAX);
    this.overview = new Overview(this.#pool);
  }

  async join(
    nodeId: NodeId,
    leaseMs: number,
    predecessor?: NodeId,
    heartbeatMs = Math.floor(leaseMs / 3),
  ): Promise<readonly Transition[]> {
    const rows = await this.#pool.query<TransitionRow>(
      "select * from rollcall_internal.join_node($1, $2, $3, $4, $5, $6, $7)",
      [
        ...[nodeId, leaseMs, heartbeatMs, predecessor ?? null, SWEEP_USERS_MAX],
        ...[hostName(), Deno.pid],
      ],
    );
    return this.#rows.toTransitions(rows);
  }

  async heartbeat(nodeId: NodeId, leaseMs: number): Promise<void> {
    const { connections, isCordoned } = this.overview.report();
    await this.#leasePool.query(
      "select rollcall_internal.renew($1, $2, $3, $4)",
      [nodeId, leaseMs, connections, isCordoned],
    );
  }

  async sweep(nodeId: NodeId, pauseMs = 0): Promise<readonly Transition[]> {
    const { transitions, groupsReadable } = await sweep(
      ...[this.#pool, this.#rows, nodeId, pauseMs] as const,
    );
    this.#groupsReadable = groupsReadable ??
      (this.#groupsReadable || await this.#canReadGroups());
    return transitions;
  }

  async apply(
    nodeId: NodeId,
    arriving: readonly UserId[],
    leaving: readonly UserId[],
  ): Promise<Applied> {
    const users = arriving.length + leaving.length;
    const isBarrier = this.#settledNode !== nodeId;
    this.#settledNode = undefined;
    const rows = await traced(
      "rollcall.apply",
      { "rollcall.users": users },
      () =>
        this.#pool.query<ApplyRow>(
          "select * from rollcall_internal.apply($1, $2, $3, $4, $5)",
          [nodeId, arriving, leaving, this.#batchNumber += 1, isBarrier],
        ),
    );
    this.#settledNode = nodeId;
    const applied = this.#rows.toApplied(rows);
    const { unknown, deferred } = applied;
    // The groups of others than these were read.
    if (arriving.length > unknown.length + deferred.length) {
      this.#groupsReadable = areGroupsReadable(rows);
    }
    return applied;
  }

  async regroup(nodeId: NodeId): Promise<Regrouped> {
    const rows = await regroup(this.#pool, nodeId);
    if (!areGroupsReadable(rows)) this.#groupsReadable = false;
    return {
      transitions: this.#rows.toTransitions(rows),
      isMore: rows.some(({ status }) => status === "more"),
    };
  }

  /**
   * Whether the last read of groups succeeded. While it is false, each sweep of this node reads them
   * again. `undefined` without groups.
   */
  get groupsReadable(): boolean | undefined {
    return this.#hasGroups ? this.#groupsReadable : undefined;
  }

  #canReadGroups(): Promise<boolean> {
    const sql = "select from rollcall_internal.read_groups('{}')";
    return this.#pool.query(sql).then(() => true, () => false);
  }

  /** Keeps the groups of verified tokens. Those of an older token do not replace those of a newer one. */
  async setTokenGroups(entries: readonly TokenGroups[]): Promise<void> {
    await this.#pool.query("select rollcall_internal.set_token_groups($1)", [
      JSON.stringify(entries),
    ]);
  }

  async leave(nodeId: NodeId, handoverMs: number): Promise<void> {
    await this.#leasePool.query(
      "select * from rollcall_internal.leave_node($1, $2)",
      [nodeId, handoverMs],
    );
  }

  async readFeed(after: number, limit: number): Promise<FeedRead> {
    const rows = await traced(
      "rollcall.feed",
      { "rollcall.after": after },
      () =>
        this.#pool.query<TransitionRow & { head: string; seq: string | null }>(
          `select head.seq as head, feed.seq, feed.user_id, feed.username, feed.status, feed.groups,
                  feed.groups_before
             from rollcall_internal.head
             left join lateral (
               select * from rollcall_internal.feed where seq operator(pg_catalog.>) $1 order by seq limit $2
             ) feed on true`,
          [after, limit],
        ),
    );
    return {
      head: Number(rows[0]?.head ?? 0),
      transitions: this.#rows.toTransitions(rows),
    };
  }

  async snapshot(): Promise<Snapshot> {
    const rows = await this.#pool.query<SnapshotRow>(
      `select head.seq, online.id, online.username, online.groups
         from rollcall_internal.head
         left join lateral (
           select user_id as id, username, groups from rollcall_internal.presence
            where nodes operator(pg_catalog.<>) '{}'
         ) online on true`,
    );
    return this.#rows.toSnapshot(rows);
  }

  claimedBy(nodeId: NodeId): Promise<readonly UserId[]> {
    return this.#readIds(
      `select user_id from rollcall_internal.presence
        where nodes operator(pg_catalog.<>) '{}' and $1 operator(pg_catalog.=) any (nodes)`,
      [nodeId],
    );
  }

  /** Those of the ids that belong to users. Rejects if the users or the groups cannot be read now. */
  async findUsers(ids: readonly UserId[]): Promise<readonly FoundUser[]> {
    const rows = await this.#pool.query<FoundRow>(
      "select * from rollcall_internal.find_users($1)",
      [ids],
    );
    return rows.map((row) => this.#rows.toFoundUser(row));
  }

  async skipTo(seq: number): Promise<void> {
    await this.#pool.query("select rollcall_internal.skip_to($1)", [seq]);
  }

  async revoke(
    { userId, tokenId }: Omit<Revocation, "id">,
  ): Promise<void> {
    await this.#pool.query("select rollcall_internal.revoke($1, $2)", [
      userId ?? null,
      tokenId ?? null,
    ]);
  }

  async readRevocations(
    after: number,
    limit: number,
  ): Promise<readonly Revocation[]> {
    const rows = await this.#pool.query<
      { id: string; user_id: unknown; token_id: string | null }
    >(
      `select id, user_id, token_id from rollcall_internal.revocations
        where id operator(pg_catalog.>) $1 order by id limit $2`,
      [after, limit],
    );
    return rows.map((row) => ({
      id: Number(row.id),
      userId: row.user_id === null ? undefined : this.#rows.toId(row.user_id),
      tokenId: row.token_id ?? undefined,
    }));
  }

  /**
   * Creates the user's row, or gives it the username. A row that is right already is not
   * written. Without a username, an existing row stays as it is. Rejects when it cannot be known
   * now whether the row can be written.
   */
  async provision(
    userId: UserId,
    username: string | undefined,
  ): Promise<Provisioned> {
    const [row] = await this.#pool.query<ProvisionRow>(
      "select outcome, code, reason from rollcall_internal.provision($1, $2)",
      [userId, username ?? null],
    );
    if (row === undefined) throw new Error("provision returned no row");
    const { outcome, code, reason } = row;
    if (outcome !== "refused") return { outcome };
    this.#log.warn(
      { userId, code, reason },
      "the users table refuses a new user",
    );
    return { outcome, why: describeRefusal(code) };
  }

  subscribe(notifications: Notifications): Promise<Subscription> {
    // Sent over another connection. Behind a pooler, a notification on the listening connection
    // itself could arrive although those of others do not.
    const sql = "select pg_catalog.pg_notify('rollcall', $1)";
    const notify = async (payload: string) =>
      void await this.#pool.query(sql, [payload]);
    return listen(this.#url, this.#log, notify, (payload) => {
      if (payload === "renamed") notifications.onRenamed();
      else if (payload === "revoked") notifications.onRevoked();
      else if (payload === "groups") notifications.onGroupsChanged();
      else if (/^\d+$/.test(payload)) notifications.onHead(Number(payload));
    });
  }

  async close(): Promise<void> {
    await Promise.all([this.#pool.close(), this.#leasePool.close()]);
  }

  async #readIds(sql: string, values: unknown[]): Promise<readonly UserId[]> {
    const rows = await this.#pool.query<{ user_id: unknown }>(sql, values);
    return rows.map((row) => this.#rows.toId(row.user_id));
  }
}
