/**
 * The overview answers what an operator asks of the whole cluster: which nodes there are, where a
 * user is, which copies are due, and what makes the database expensive.
 *
 * It only reads. What a node reports of itself is written with its lease (`renew` in
 * `migrations/functions/nodes.sql`), so that other nodes can show it.
 *
 * @module
 */
import type { NodeId } from "../core/store/store.ts";
import type { UserId } from "../client/protocol/user_id.ts";
import { COPIES_DUE_COUNT_MAX } from "./limits.ts";
import type { Pool } from "./pool.ts";

/** What a node reports of itself with each heartbeat. */
export interface NodeReport {
  readonly connections: number;
  readonly isCordoned: boolean;
}

export interface NodeRow extends NodeReport {
  readonly id: NodeId;
  /** The name of its machine. */
  readonly host: string;
  readonly pid: number;
  readonly isLeaving: boolean;
  readonly joinedAt: Date;
  /** Until its lease ends. Negative after that. */
  readonly leaseSeconds: number;
}

/** A user who was online at least once. */
export interface UserRow {
  readonly username: string;
  /** Nodes that hold a connection of the user. */
  readonly nodes: readonly NodeId[];
  /** When the user last came online or went offline. */
  readonly changedAt: Date | null;
}

/** A transaction or replication slot that makes Postgres keep old versions of rows. */
export interface SnapshotRow {
  readonly holder: string;
  /** The oldest transaction that it may still see. It stays the same while the snapshot is held. */
  readonly sees: string;
  /** Since when it is held, if this role may know that. */
  readonly seconds: number | null;
}

export interface DatabaseState {
  /** At most `COPIES_DUE_COUNT_MAX`. */
  readonly copiesDue: number;
  readonly snapshots: readonly SnapshotRow[];
}

export class Overview {
  readonly #pool: Pool;
  /** What this node reports of itself. */
  report: () => NodeReport = () => ({ connections: 0, isCordoned: false });

  constructor(pool: Pool) {
    this.#pool = pool;
  }

  async nodes(): Promise<readonly NodeRow[]> {
    const rows = await this.#pool.query(
      "select * from rollcall_internal.list_nodes()",
    );
    return rows.map((row) => ({
      ...{ id: row.id, host: row.host, pid: row.pid },
      ...{ connections: row.connections, isCordoned: row.cordoned },
      ...{ isLeaving: row.leaving, joinedAt: row.joined_at },
      leaseSeconds: row.lease_seconds,
    }));
  }

  /** `undefined`: the user was never online. */
  async user(userId: UserId): Promise<UserRow | undefined> {
    const [row] = await this.#pool.query(
      "select * from rollcall_internal.find_user($1)",
      [userId],
    );
    if (row === undefined) return undefined;
    const { username, nodes, changed_at: changedAt } = row;
    return { username, nodes, changedAt };
  }

  async database(): Promise<DatabaseState> {
    const [due] = await this.#pool.query(
      "select rollcall_internal.count_due($1) as due",
      [COPIES_DUE_COUNT_MAX],
    );
    const snapshots = await this.#pool.query<SnapshotRow>(
      "select * from rollcall_internal.list_snapshots()",
    );
    return { copiesDue: Number(due?.due), snapshots };
  }
}

/** The name of this machine. Empty without the permission to know it. */
export function hostName(): string {
  try {
    return Deno.hostname();
  } catch {
    return "";
  }
}
