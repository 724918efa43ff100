/**
 * The store over a database in memory, for runs that would be too slow with Postgres.
 *
 * It sends the same statements as the store over Postgres, in the same order and each in a
 * transaction of its own. Several stores may share one `MemoryDatabase`, as several nodes share
 * Postgres. The contract suite holds both stores to the same sentences.
 *
 * @module
 */
import {
  type Applied,
  type FeedRead,
  FencedError,
  type NodeId,
  type Notifications,
  type Provisioned,
  type Regrouped,
  type Revocation,
  type Snapshot,
  type Store,
  type Subscription,
  type Transition,
} from "../../src/core/store/store.ts";
import type { UserId } from "../../src/client/protocol/user_id.ts";
import { WRITE_COPY_MS } from "../../src/postgres/limits.ts";
import { apply, skipTo, writeClaims } from "./memory_claims.ts";
import { type Connections, directly } from "./memory_connections.ts";
import type { MemoryDatabase } from "./memory_database.ts";
import { setTokenGroups } from "./memory_groups.ts";
import {
  FENCED,
  joinNode,
  leaveNode,
  renew,
  sweepNodes,
} from "./memory_nodes.ts";
import { countGroupSlices, regroup, sweepGroups } from "./memory_regroup.ts";
import {
  beginSweep,
  copiesDone,
  copyDue,
  pruneFeed,
  sweepUsers,
} from "./memory_sweep.ts";
import {
  SqlError,
  type Steps,
  type Transaction,
} from "./memory_transaction.ts";
import { openUsers } from "./memory_users.ts";

/** Bounds of one sweep. Small ones show what happens between two slices. */
export interface SweepBounds {
  /** Users of ended nodes that one transaction sets offline. */
  readonly usersMax: number;
  /** Users that one sweep compares, in each of its passes. */
  readonly sliceRows: number;
  /** Rows of the feed that are kept. */
  readonly feedRows: number;
  /** Users whose groups one transaction compares. */
  readonly groupRows?: number;
}

const BOUNDS: SweepBounds = {
  ...{ usersMax: 10_000, sliceRows: 5_000, feedRows: 1_000_000 },
};

const GROUP_ROWS = 2_000;

/** Transactions in which one sweep compares users that the application named. */
const REGROUP_ROUNDS_MAX = 100;

export class MemoryStore implements Store {
  readonly #database: MemoryDatabase;
  readonly #connections: Connections;
  readonly #bounds: SweepBounds;
  /** The number of the newest write, by which the database rejects one that arrives too late. */
  #writeNumber = 0;
  /** The node whose last write is known to be committed. */
  #settledNode: NodeId | undefined;

  /** @param connections Default: connections without faults. */
  constructor(
    database: MemoryDatabase,
    connections: Connections = directly(database),
    bounds: SweepBounds = BOUNDS,
  ) {
    this.#database = database;
    this.#connections = connections;
    this.#bounds = bounds;
  }

  join(
    nodeId: NodeId,
    leaseMs: number,
    predecessor?: NodeId,
    heartbeatMs = leaseMs / 3,
  ): Promise<Transition[]> {
    const { usersMax } = this.#bounds;
    return this.#query((db, tx) =>
      joinNode(db, tx, nodeId, leaseMs, heartbeatMs, predecessor, usersMax)
    );
  }

  heartbeat(nodeId: NodeId, leaseMs: number): Promise<void> {
    const db = this.#database;
    return this.#answer(
      this.#connections.queryForLease((tx) => renew(db, tx, nodeId, leaseMs)),
    );
  }

  async sweep(nodeId: NodeId, pauseMs = 0): Promise<Transition[]> {
    const { usersMax, sliceRows, feedRows } = this.#bounds;
    const transitions: Transition[] = [];
    let rest: "none" | "more" = "more";
    while (rest === "more") {
      const swept = await this.#query((db, tx) =>
        sweepNodes(db, tx, nodeId, usersMax)
      );
      transitions.push(...swept.transitions);
      rest = swept.rest;
    }
    if (!await this.#query((db, tx) => beginSweep(db, tx, pauseMs))) {
      return transitions;
    }
    transitions.push(
      ...await this.#query((db, tx) => sweepUsers(db, tx, nodeId, sliceRows)),
    );
    // Where there are none, Postgres finds that out in the same statements.
    if (this.#database.hasGroups) {
      transitions.push(...await this.#sweepGroups(nodeId));
    }
    const copied = await this.#query((db, tx) =>
      copyDue(db, tx, nodeId, sliceRows)
    );
    if (copied.length > 0) {
      await this.#query((db, tx) => copiesDone(db, tx, copied));
    }
    await this.#query((db, tx) => pruneFeed(db, tx, feedRows, 10_000));
    return transitions;
  }

  async apply(
    nodeId: NodeId,
    arriving: readonly UserId[],
    leaving: readonly UserId[],
  ): Promise<Applied> {
    const number = this.#writeNumber += 1;
    const isBarrier = this.#settledNode !== nodeId;
    this.#settledNode = undefined;
    const applied = await this.#query((db, tx) =>
      apply(db, tx, nodeId, arriving, leaving, number, isBarrier)
    );
    this.#settledNode = nodeId;
    return applied;
  }

  regroup(nodeId: NodeId): Promise<Regrouped> {
    const { groupRows = GROUP_ROWS } = this.#bounds;
    return this.#query((db, tx) => regroup(db, tx, nodeId, groupRows));
  }

  /** Compares the groups of users that the application named, and then those of slices of all who are online. */
  async #sweepGroups(nodeId: NodeId): Promise<Transition[]> {
    const { groupRows = GROUP_ROWS } = this.#bounds;
    const transitions: Transition[] = [];
    const slices = countGroupSlices(this.#database, groupRows);
    for (let round = 0; round < REGROUP_ROUNDS_MAX; round++) {
      const named = await this.regroup(nodeId);
      transitions.push(...named.transitions);
      if (!named.isMore) break;
    }
    for (let slice = 0; slice < slices; slice++) {
      transitions.push(
        ...await this.#query((db, tx) =>
          sweepGroups(db, tx, nodeId, groupRows)
        ),
      );
    }
    return transitions;
  }

  /** Newer tokens replace the groups of their users. */
  setTokenGroups(
    entries: readonly {
      readonly userId: UserId;
      readonly groups: readonly string[];
      readonly issuedAt: number;
    }[],
  ): Promise<void> {
    return this.#query((db, tx) => setTokenGroups(db, tx, entries));
  }

  leave(nodeId: NodeId, handoverMs: number): Promise<void> {
    const db = this.#database;
    return this.#answer(
      this.#connections.queryForLease((tx) =>
        leaveNode(db, tx, nodeId, handoverMs)
      ),
    );
  }

  readFeed(after: number, limit: number): Promise<FeedRead> {
    return this.#read(({ feed, seq }) => {
      const transitions = [...feed.rows.values()]
        .filter((row) => row.seq > after)
        .sort((a, b) => a.seq - b.seq)
        .slice(0, limit);
      return { head: seq, transitions };
    });
  }

  snapshot(): Promise<Snapshot> {
    return this.#read(({ presence, seq }) => {
      const users = [...presence.rows]
        .filter(([, { nodes }]) => nodes.length > 0)
        .map(([id, { username, groups }]) =>
          groups === undefined ? { id, username } : { id, username, groups }
        );
      return { seq, users };
    });
  }

  claimedBy(nodeId: NodeId): Promise<UserId[]> {
    return this.#read(({ presence }) =>
      [...presence.rows]
        .filter(([, { nodes }]) => nodes.includes(nodeId))
        .map(([id]) => id)
    );
  }

  skipTo(seq: number): Promise<void> {
    return this.#query((db, tx) => skipTo(db, tx, seq));
  }

  revoke(revocation: Omit<Revocation, "id">): Promise<void> {
    return this.#query(function* (db, tx) {
      const { revocations, locks, nodes } = db;
      const left = tx.entries(nodes).flatMap(([id, { leaving }]) =>
        leaving ? [id] : []
      );
      yield* tx.lock(locks, "revoke", "update");
      const id = Math.max(0, ...revocations.rows.keys()) + 1;
      tx.set(revocations, id, { ...revocation, id });
      tx.notify("revoked");
      const { userId } = revocation;
      if (userId === undefined || left.length === 0) return;
      yield* writeClaims(
        ...[db, tx, undefined, [], [userId], left, WRITE_COPY_MS] as const,
      );
    });
  }

  readRevocations(after: number, limit: number): Promise<Revocation[]> {
    return this.#read(({ revocations }) =>
      [...revocations.rows.values()]
        .filter(({ id }) => id > after)
        .sort((a, b) => a.id - b.id)
        .slice(0, limit)
    );
  }

  /** Creates the user's row, or gives it the username. */
  provision(
    userId: UserId,
    username: string | undefined,
  ): Promise<Provisioned> {
    return this.#query(function* (db, tx): Steps<Provisioned> {
      yield* openUsers(db, tx, 500);
      const row = tx.get(db.users, userId);
      if (row !== undefined && (username ?? row.username) === row.username) {
        return THERE;
      }
      yield* tx.lock(db.users, userId, "no key update", 500);
      const { status = "offline", username: before = `user ${userId}` } =
        tx.get(db.users, userId) ?? {};
      tx.set(db.users, userId, { username: username ?? before, status });
      return THERE;
    });
  }

  subscribe(notifications: Notifications): Promise<Subscription> {
    return this.#connections.listen((payload) => {
      if (payload === "renamed") notifications.onRenamed();
      else if (payload === "revoked") notifications.onRevoked();
      else if (payload === "groups") notifications.onGroupsChanged();
      else notifications.onHead(Number(payload));
    });
  }

  async close(): Promise<void> {}

  #query<T>(
    body: (database: MemoryDatabase, transaction: Transaction) => Steps<T>,
  ): Promise<T> {
    return this.#answer(
      this.#connections.query((tx) => body(this.#database, tx)),
    );
  }

  async #answer<T>(answer: Promise<T>): Promise<T> {
    try {
      return await answer;
    } catch (err) {
      if (err instanceof SqlError && err.code === FENCED) {
        throw new FencedError(err.message, { cause: err });
      }
      throw err;
    }
  }

  /** One statement that reads what is committed. */
  #read<T>(read: (database: MemoryDatabase) => T): Promise<T> {
    // deno-lint-ignore require-yield -- one statement, which waits for nothing
    return this.#query(function* (database) {
      return read(database);
    });
  }
}

const THERE: Provisioned = { outcome: "there" };
