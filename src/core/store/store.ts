/**
 * The store is what the core asks of a database, and what it may rely on.
 *
 * Whether a user is online in the whole cluster is decided by the store and nowhere else. It
 * decides by claims: each is a pair of user and node, and counts under the node's lease. A user
 * with a claim of any node is online.
 *
 * How a database does this is not known here: `src/postgres/` does it with Postgres. The tests in
 * `tests/contract/` hold every implementation to the sentences below.
 *
 * @module
 */
import type { OnlineUserInfo, Status } from "../../client/protocol/messages.ts";
import type { UserId } from "../../client/protocol/user_id.ts";

/** A running process, under one lease. Every start, and every return from an ended lease, has a new id. */
export type NodeId = string;

/**
 * A user became online or offline in the whole cluster. With groups also: a user who is online is
 * visible in other groups now. That is `online` with `groupsBefore`.
 */
export interface Transition {
  /** Position in the feed. It grows by one with each transition, in commit order. Only `skipTo` makes holes. */
  readonly seq: number;
  readonly userId: UserId;
  readonly username: string;
  readonly status: Status;
  /**
   * With groups: those in which the user is visible from now on, sorted, each once. Left out for a
   * user who went offline. Without groups, left out: everybody sees everybody.
   */
  readonly groups?: readonly string[] | undefined;
  /** With groups: those in which the user was visible until now. Left out for a user who was offline. */
  readonly groupsBefore?: readonly string[] | undefined;
}

/** The result of a batch. A user in none of the lists is claimed or released now, without a transition. */
export interface Applied {
  readonly transitions: readonly Transition[];
  /** Arriving ids that belong to no user. Nothing was written for them. */
  readonly unknown: readonly UserId[];
  /**
   * Ids among the arriving that were never seen, while the users table cannot be read. Nothing was
   * written for them; the caller retries.
   */
  readonly deferred: readonly UserId[];
  /**
   * Arriving ids that are not online, and whose groups cannot be read now. Nothing was written for
   * them. Users who are online are claimed, with the groups that they have.
   */
  readonly ungrouped: readonly UserId[];
  /**
   * Arriving ids in too many groups, or in a group with an id that is too long. They are not
   * claimed, and a claim that the node had is released.
   */
  readonly overgrouped: readonly UserId[];
}

/** Who is online as of one `seq`. */
export interface Snapshot {
  readonly seq: number;
  readonly users: readonly OnlineUser[];
}

export interface OnlineUser extends OnlineUserInfo {
  /** The groups in which the user is visible, sorted. Left out without groups. */
  readonly groups?: readonly string[] | undefined;
}

/** The result of comparing the groups of users that the application named. */
export interface Regrouped {
  readonly transitions: readonly Transition[];
  /** Whether more users wait to be compared. */
  readonly isMore: boolean;
}

/** What the database announces. Calls may be lost. */
export interface Notifications {
  /** The feed has grown to this `seq`. */
  onHead(seq: number): void;
  /** A user who is online was renamed. */
  onRenamed(): void;
  /** There is a new revocation. */
  onRevoked(): void;
  /** The application named users whose groups it changed. */
  onGroupsChanged(): void;
}

/** Rows of the feed after a `seq`, and the newest `seq` of that same instant. */
export interface FeedRead {
  readonly head: number;
  readonly transitions: readonly Transition[];
}

/** A connection on which the database announces that the feed has grown. */
export interface Subscription {
  /** Reads the newest `seq` over this connection. On a dead connection it rejects, or never resolves. */
  head(): Promise<number>;
  /** Resolves when the connection has ended, for any reason. */
  readonly ended: Promise<void>;
  close(): Promise<void>;
}

/** A user, or the connections that use a token, must be disconnected on every node. */
export interface Revocation {
  /** Grows with each revocation. Revocations become visible in the order of their ids. */
  readonly id: number;
  readonly userId: UserId | undefined;
  /** The `jti` of a token. The token is refused from then on. */
  readonly tokenId: string | undefined;
}

/**
 * The result of creating or renaming a user.
 *
 * - `there`: the user has this name.
 * - `kept`: the user exists with another name, which could not be changed now.
 * - `refused`: there is no such user, and none can be created until an operator changes something.
 *   `why` is a short text for the client, without the names or the values in the database's message.
 */
export type Provisioned =
  | { readonly outcome: "there" | "kept" }
  | { readonly outcome: "refused"; readonly why: string };

export interface Store {
  /**
   * Adds the node, with a lease.
   *
   * With a `predecessor`, the claims that the predecessor still has move to the node. Without one,
   * the claims of nodes whose leases ended more than one lease ago are released. Nodes whose leases
   * ended later may be about to rejoin.
   *
   * @param heartbeatMs Time between two heartbeats of the node. Default: a third of the lease.
   */
  join(
    nodeId: NodeId,
    leaseMs: number,
    predecessor?: NodeId,
    heartbeatMs?: number,
  ): Promise<readonly Transition[]>;

  /**
   * Renews the lease.
   *
   * @throws {FencedError} when the node's lease had ended.
   */
  heartbeat(nodeId: NodeId, leaseMs: number): Promise<void>;

  /**
   * Releases the claims of nodes whose leases ended. Users without another claim go offline. Finds
   * what the application did to its users since: a bounded number of users at a time are compared
   * with the users table. A user who was deleted goes offline, a new name is taken over, a wrong copy of
   * the status is corrected, and other groups are taken over. A table that cannot be read makes
   * nobody go offline, and changes the groups of nobody. One node sweeps at a time. Also prunes the feed.
   *
   * @param pauseMs If a node swept less than this ago, only the claims are released. Default: 0.
   * @throws {FencedError} when the node's lease had ended.
   */
  sweep(nodeId: NodeId, pauseMs?: number): Promise<readonly Transition[]>;

  /**
   * Claims the arriving users and releases the leaving ones, in one transaction. The transitions
   * that this causes are committed when it resolves. Repeating a call changes nothing.
   *
   * A call that rejects, other than with `FencedError`, may be committed all the same. It is never
   * committed after a later call of the same node.
   *
   * With groups, they are read for each arriving user. One who is online already, and is in other
   * groups now, gets a transition.
   *
   * @throws {FencedError} when the node's lease had ended. Then nothing was written.
   */
  apply(
    nodeId: NodeId,
    arriving: readonly UserId[],
    leaving: readonly UserId[],
  ): Promise<Applied>;

  /**
   * Compares the groups of users that the application named since, a bounded number, with those in
   * which they are visible. Users who are online get a transition for each difference. Those who
   * are in too many groups go offline.
   *
   * @throws {FencedError} when the node's lease had ended.
   */
  regroup(nodeId: NodeId): Promise<Regrouped>;

  /**
   * Ends the node. If other nodes live, its claims count for another `handoverMs`, so that clients
   * which reconnect to those nodes cause no transition. Otherwise all users go offline now. A node
   * lives if it renewed its lease within two of its heartbeats.
   */
  leave(nodeId: NodeId, handoverMs: number): Promise<void>;

  /** At most `limit` transitions after the seq `after`, in order. Older ones may have been pruned. */
  readFeed(after: number, limit: number): Promise<FeedRead>;

  snapshot(): Promise<Snapshot>;

  /** The users with a claim of this node. */
  claimedBy(nodeId: NodeId): Promise<readonly UserId[]>;

  /**
   * Leaves a hole in the feed: from now on transitions get a `seq` beyond this one. How far beyond
   * differs between two databases. If the feed has reached `seq` already, nothing happens.
   */
  skipTo(seq: number): Promise<void>;

  /**
   * Adds a revocation for all nodes. It is committed when this resolves. Nodes that have left
   * release their claims of its user at once.
   */
  revoke(revocation: Omit<Revocation, "id">): Promise<void>;

  /**
   * At most `limit` revocations after the id `after`, in order. Revocations that are too old to matter
   * are deleted.
   */
  readRevocations(after: number, limit: number): Promise<readonly Revocation[]>;

  /** Reports what the database announces, until the subscription ends. */
  subscribe(notifications: Notifications): Promise<Subscription>;

  close(): Promise<void>;
}

/** The node's lease had ended. Other nodes may have released its claims. */
export class FencedError extends Error {
  override readonly name = "FencedError";
}
