/**
 * What the core asks of a database, and what it may rely on.
 *
 * Whether a user is online in the whole cluster is decided here and nowhere else: by
 * claims, each a pair of user and node, held under a node's lease. `tests/contract/`
 * holds every implementation to the sentences below.
 *
 * @module
 */
import type { OnlineUserInfo, Status } from "../../protocol/messages.ts";
import type { UserId } from "../../protocol/user_id.ts";

/** One process from boot to exit. Every boot, and every return from a lost lease, is a new one. */
export type NodeId = string;

/** A user became online or offline in the whole cluster. */
export interface Transition {
  /** Position in the feed: grows by one per transition, in commit order, without holes but by `skipTo`. */
  readonly seq: number;
  readonly userId: UserId;
  readonly username: string;
  readonly status: Status;
}

/** What became of a batch. A user in none of the lists is now as asked, and was before for others. */
export interface Applied {
  readonly transitions: readonly Transition[];
  /** Ids among the arriving that are no users; nothing was written for them. */
  readonly unknown: readonly UserId[];
  /** Users whose rows are locked by somebody else or refuse; nothing was written for them, ask again. */
  readonly busy: readonly UserId[];
}

/** Who is online as of one `seq`. */
export interface Snapshot {
  readonly seq: number;
  readonly users: readonly OnlineUserInfo[];
}

/** Rows of the feed after a `seq`, and the newest `seq` of that same instant. */
export interface FeedRead {
  readonly head: number;
  readonly transitions: readonly Transition[];
}

/** A connection on which the database tells that the feed grew. */
export interface Subscription {
  /** The newest `seq`, asked over this very connection: a dead link rejects or never answers. */
  head(): Promise<number>;
  /** Settles when the connection has ended, for whatever reason. */
  readonly ended: Promise<void>;
  close(): Promise<void>;
}

/** Somebody is to be disconnected, on every node: a user, or whoever came with a token. */
export interface Revocation {
  /** Grows with each order, and becomes visible in that order. */
  readonly id: number;
  readonly userId: UserId | undefined;
  /** The `jti` of a token, which is refused from then on. */
  readonly tokenId: string | undefined;
}

/**
 * What became of a user who was to be made or renamed. `"kept"`: the name could not be written
 * now, and the user is there by another one. `"refused"`: there can be no such user.
 */
export type Provisioned = "there" | "kept" | "refused";

export interface Store {
  /**
   * Makes the node known under a lease, moves to it what `predecessor` still claims, and puts
   * right what nodes left behind that are not about to come back: without a predecessor those
   * whose lease ended more than a lease ago.
   */
  join(
    nodeId: NodeId,
    leaseMs: number,
    predecessor?: NodeId,
  ): Promise<readonly Transition[]>;

  /**
   * Renews the lease.
   *
   * @throws {FencedError} when this node's own lease had ended.
   */
  heartbeat(nodeId: NodeId, leaseMs: number): Promise<void>;

  /**
   * Does for nodes whose lease ended what they can no longer do: their claims go, users who are
   * nowhere else become offline. Tells of users that were deleted while online, and prunes the log.
   */
  sweep(): Promise<readonly Transition[]>;

  /**
   * Claims the arriving users and releases the leaving ones, all in one transaction. Users
   * whose status in the cluster changes by it come back as transitions, already committed.
   * Repeating a call changes nothing. A rejection other than `FencedError` may have been
   * committed all the same, but not after a later call was.
   *
   * @throws {FencedError} when the node's lease had ended; then nothing was written.
   */
  apply(
    nodeId: NodeId,
    arriving: readonly UserId[],
    leaving: readonly UserId[],
  ): Promise<Applied>;

  /**
   * Ends the node. If others live, its claims count for `handoverMs` more, so that clients
   * which reappear there cause no transition; otherwise its users become offline now.
   */
  leave(nodeId: NodeId, handoverMs: number): Promise<void>;

  /** At most `limit` transitions after `after`, in order. Older ones may have been pruned. */
  readFeed(after: number, limit: number): Promise<FeedRead>;

  snapshot(): Promise<Snapshot>;

  /** The users whom a node claims. */
  claimedBy(nodeId: NodeId): Promise<readonly UserId[]>;

  /**
   * Leaves a hole in the feed: transitions get a `seq` beyond this one from now on, and how far
   * beyond is not the same in two databases. If it is so already nothing happens.
   */
  skipTo(seq: number): Promise<void>;

  /** Gives an order to all nodes. It is committed when this resolves. */
  revoke(order: Omit<Revocation, "id">): Promise<void>;

  /** At most `limit` orders after an id. Those that are too old to matter are forgotten. */
  readRevocations(after: number, limit: number): Promise<readonly Revocation[]>;

  /**
   * Calls back with the newest `seq` whenever the feed grew, when a user who is online was
   * renamed, and when an order was given. Calls may be lost with the link.
   */
  subscribe(
    onHead: (seq: number) => void,
    onRenamed: () => void,
    onRevoked: () => void,
  ): Promise<Subscription>;

  close(): Promise<void>;
}

/** This node's lease had ended: others may have told that its users are gone. */
export class FencedError extends Error {
  override readonly name = "FencedError";
}
