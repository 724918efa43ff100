/**
 * The database of a simulation, kept in memory: Rollcall's tables, and the application's.
 *
 * It owns the tables, what was committed, and who is notified of it. `memory_engine.ts` runs the
 * transactions. `memory_claims.ts`, `memory_nodes.ts`, `memory_sweep.ts`, `memory_regroup.ts`,
 * `memory_groups.ts` and `memory_users.ts` have one function for each SQL function in `migrations/functions/`, with the same steps in the same order.
 *
 * @module
 */
import type { Clock } from "../../src/base/clock.ts";
import type {
  NodeId,
  Revocation,
  Transition,
} from "../../src/core/store/store.ts";
import { INTEGER_IDS, type UserId } from "../../src/client/protocol/user_id.ts";
import { Engine } from "./memory_engine.ts";
import type { MembershipsTable } from "./memory_groups.ts";
import { Table, type Transaction } from "./memory_transaction.ts";
import { UsersTable } from "./memory_users.ts";

export interface NodeRow {
  readonly expiresAt: number;
  /** When the node last renewed its lease, and how often it does. */
  readonly renewedAt: number;
  readonly heartbeatMs: number;
  readonly leaving: boolean;
}

export interface PresenceRow {
  readonly username: string;
  /** The claims. A user is online while there is one. */
  readonly nodes: readonly NodeId[];
  /** `undefined`: never seen, only a copy has to be corrected. */
  readonly changedAt: number | undefined;
  readonly copyDue: boolean;
  /** The groups in which the user is visible, sorted. `undefined`: of a time without groups. */
  readonly groups?: readonly string[] | undefined;
}

/** After which id each pass of the sweep goes on. */
export interface SweepPosition {
  readonly onlineAfter: UserId | undefined;
  readonly seenAfter: UserId | undefined;
  readonly usersAfter: UserId | undefined;
  readonly dueAfter: UserId | undefined;
  readonly groupsAfter: UserId | undefined;
  /** When a node last began a sweep. */
  readonly sweptAt: number;
}

export interface MemoryDatabaseOptions {
  /** For faults that have a share. */
  readonly random?: () => number;
  /** The seq before the first transition. */
  readonly firstSeq?: number;
  /** The order of ids. */
  readonly compareIds?: (a: UserId, b: UserId) => number;
  /** Whether the users table has a column for the copy of the status. */
  readonly hasStatus?: boolean;
  /** The application's memberships. Left out: groups are not configured. */
  readonly memberships?: MembershipsTable | undefined;
}

const START: SweepPosition = {
  ...{ onlineAfter: undefined, seenAfter: undefined },
  ...{ usersAfter: undefined, dueAfter: undefined, groupsAfter: undefined },
  sweptAt: -Infinity,
};

export class MemoryDatabase {
  readonly engine: Engine;
  readonly users = new UsersTable();
  /** `undefined`: groups are not configured. An operator may change that. */
  memberships: MembershipsTable | undefined;
  readonly nodes = new Table<NodeId, NodeRow>("nodes");
  /** The number of each node's newest write. */
  readonly writes = new Table<NodeId, number>("writes");
  readonly presence = new Table<UserId, PresenceRow>("presence");
  readonly feed = new Table<number, Transition>("feed");
  readonly counter = new Table<"seq", number>("counter");
  /** Users that the application named, in the order of its calls. */
  readonly groupsDue = new Table<number, readonly UserId[]>("groups_due");
  #lastDueId = 0;
  readonly revocations = new Table<number, Revocation>("revocations");
  readonly locks = new Table<"leave" | "prune" | "revoke", true>("locks");
  readonly sweepPosition = new Table<"row", SweepPosition>("sweep_position");
  readonly copyPause = new Table<"until", number>("copy_pause");
  /** Every transition that was committed, also if it was pruned from the feed since. */
  history: Transition[] = [];
  readonly firstSeq: number;
  readonly hasStatus: boolean;
  readonly compareIds: (a: UserId, b: UserId) => number;
  /** Connections that listen. Called with what `pg_notify` was given. */
  readonly listeners = new Set<(payload: string) => void>();
  /** Called before each commit. */
  readonly observers = new Set<(transaction: Transaction) => void>();
  /** How many times another database took over. */
  epoch = 0;

  /** @param users The users that the application has. The first has the name "user1". */
  constructor(
    users: readonly UserId[],
    clock: Clock,
    {
      random = () => 0.5,
      firstSeq = 0,
      compareIds = INTEGER_IDS.compare,
      hasStatus = true,
      memberships,
    }: MemoryDatabaseOptions = {},
  ) {
    this.engine = new Engine(clock, random, {
      beforeCommit: (tx) => {
        for (const observe of this.observers) observe(tx);
      },
      afterCommit: (tx) => this.#afterCommit(tx),
    });
    this.firstSeq = firstSeq;
    this.compareIds = compareIds;
    this.hasStatus = hasStatus;
    this.memberships = memberships;
    this.counter.rows.set("seq", firstSeq);
    this.sweepPosition.rows.set("row", START);
    for (const [index, id] of users.entries()) {
      const username = `user${index + 1}`;
      this.users.rows.set(id, { username, status: "offline" });
    }
  }

  /** The newest seq. In Postgres, that of the counter or of the feed, whichever is greater. */
  get seq(): number {
    return this.counter.rows.get("seq") ?? this.firstSeq;
  }

  /** Sets the counter, as an operator who restores a backup. */
  set seq(seq: number) {
    this.counter.rows.set("seq", seq);
  }

  /** The next number of a sequence, which no rollback returns. */
  nextDueId(): number {
    return this.#lastDueId += 1;
  }

  /** Whether groups are configured, or were and the sweep has to take them from users. */
  get hasGroups(): boolean {
    return this.memberships !== undefined ||
      [...this.presence.rows.values()].some(({ groups }) =>
        groups !== undefined
      );
  }

  /** Deletes the rows of the feed up to a seq. */
  prune(seq = Infinity): void {
    for (const one of [...this.feed.rows.keys()]) {
      if (one <= seq) this.feed.rows.delete(one);
    }
  }

  /** Makes a replica as of now. The returned function makes the replica take over. */
  replicate(): () => void {
    const history = [...this.history];
    const copies = this.#tables().map((table) =>
      [table, new Map(table.rows)] as const
    );
    return () => {
      this.engine.restart();
      for (const [table, rows] of copies) {
        table.rows.clear();
        for (const [key, row] of rows) table.rows.set(key, row);
      }
      this.history = [...history];
      this.epoch += 1;
    };
  }

  /** Ids of users who are online, ascending. */
  onlineIds(): UserId[] {
    return [...this.presence.rows]
      .filter(([, { nodes }]) => nodes.length > 0)
      .map(([id]) => id)
      .sort(this.compareIds);
  }

  /** The users who were online as of a `seq`, ids ascending. */
  onlineAt(seq: number): UserId[] {
    const online = new Set<UserId>();
    for (const transition of this.history) {
      if (transition.seq > seq) break;
      if (transition.status === "online") online.add(transition.userId);
      else online.delete(transition.userId);
    }
    return [...online].sort(this.compareIds);
  }

  #afterCommit(tx: Transaction): void {
    const rows = [...tx.changed(this.feed)]
      .flatMap(([, row]) => row === undefined ? [] : [row])
      .sort((a, b) => a.seq - b.seq);
    this.history.push(...rows);
    for (const payload of tx.notifications) {
      for (const listener of [...this.listeners]) listener(payload);
    }
  }

  // deno-lint-ignore no-explicit-any -- tables of every kind
  #tables(): Table<any, any>[] {
    const { memberships } = this;
    return [
      ...[this.users, this.users.files, this.nodes, this.writes],
      ...[this.presence, this.feed, this.counter, this.revocations],
      ...[this.sweepPosition, this.copyPause, this.groupsDue],
      ...memberships === undefined
        ? []
        : [memberships, memberships.files, memberships.issuedAt],
    ];
  }
}
