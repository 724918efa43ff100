/**
 * The database of a simulation, kept in memory: users with a status, claims, nodes, the feed and
 * revocations.
 *
 * Its methods do what the SQL functions do. Each is one atomic step. Tests may also read and
 * change its fields, as an application or an administrator would.
 *
 * @module
 */
import type { Status } from "../../src/protocol/messages.ts";
import type { UserId } from "../../src/protocol/user_id.ts";
import {
  FencedError,
  type NodeId,
  type Revocation,
  type Transition,
} from "../../src/core/store/store.ts";

export class MemoryDatabase {
  readonly users = new Map<UserId, { username: string; status: Status }>();
  readonly claims = new Map<UserId, Set<NodeId>>();
  readonly nodes = new Map<NodeId, { expiresAt: number; leaving: boolean }>();
  /** Users whose rows an application keeps locked. */
  readonly locked = new Set<UserId>();
  /** Users who were deleted while online, until a sweep reports them offline. */
  readonly deleted = new Set<UserId>();
  readonly headListeners = new Set<(seq: number) => void>();
  readonly renameListeners = new Set<() => void>();
  readonly revocationListeners = new Set<() => void>();
  readonly revocations: Revocation[] = [];
  feed: Transition[] = [];
  seq = 0;
  /** How many times another database took over. A call that began before does not get an answer after. */
  epoch = 0;
  readonly now: () => number;

  constructor(users: readonly UserId[], now: () => number) {
    this.now = now;
    for (const id of users) {
      this.users.set(id, { username: `user${id}`, status: "offline" });
    }
  }

  /** Makes a replica as of now. The returned function makes the replica take over. */
  replicate(): () => void {
    const { users, claims, nodes, deleted, feed, seq } = structuredClone({
      ...{ users: this.users, claims: this.claims, nodes: this.nodes },
      ...{ deleted: this.deleted, feed: this.feed, seq: this.seq },
    });
    return () => {
      replace(this.users, users);
      replace(this.claims, claims);
      replace(this.nodes, nodes);
      this.deleted.clear();
      for (const userId of deleted) this.deleted.add(userId);
      this.feed = [...feed];
      this.seq = seq;
      this.epoch += 1;
    };
  }

  /** Sets the status of users by their claims, and appends the transitions to the feed. */
  flipStatus(userIds: Iterable<UserId>): Transition[] {
    const changes: Omit<Transition, "seq">[] = [];
    for (const userId of [...userIds].sort((a, b) => a - b)) {
      const user = this.users.get(userId);
      const status = this.claims.has(userId) ? "online" : "offline";
      if (user === undefined || user.status === status) continue;
      user.status = status;
      changes.push({ userId, username: user.username, status });
    }
    return this.#append(changes);
  }

  /** The users who were online as of a `seq`, ids ascending. */
  onlineAt(seq: number): UserId[] {
    const online = new Set<UserId>();
    for (const transition of this.feed) {
      if (transition.seq > seq) break;
      if (transition.status === "online") online.add(transition.userId);
      else online.delete(transition.userId);
    }
    return [...online].sort();
  }

  /** An application renames a user. */
  renameUser(userId: UserId, username: string): void {
    const user = this.users.get(userId);
    if (user === undefined) return;
    user.username = username;
    for (const listener of this.renameListeners) listener();
  }

  /** An application deletes a user. */
  deleteUser(userId: UserId): void {
    if (this.users.get(userId)?.status === "online") this.deleted.add(userId);
    this.users.delete(userId);
  }

  /** Reports deleted users offline, and releases their claims. */
  releaseDeletedUsers(): Transition[] {
    const ids = [...this.deleted].sort((a, b) => a - b);
    this.deleted.clear();
    for (const userId of ids) this.claims.delete(userId);
    return this.#append(
      ids.map((userId) => ({ userId, username: "", status: "offline" })),
    );
  }

  /** How far beyond `seq` it skips differs between the database before and after a failover. */
  skipTo(seq: number): void {
    if (seq <= this.seq) return;
    this.seq = seq + 1_000 * this.epoch;
    for (const listener of [...this.headListeners]) listener(this.seq);
  }

  claim(userId: UserId, nodeId: NodeId): void {
    this.claims.set(userId, (this.claims.get(userId) ?? new Set()).add(nodeId));
  }

  release(userId: UserId, nodeId: NodeId): void {
    const nodes = this.claims.get(userId);
    nodes?.delete(nodeId);
    if (nodes?.size === 0) this.claims.delete(userId);
  }

  claimedBy(nodeId: NodeId): UserId[] {
    return [...this.claims].filter(([, nodes]) => nodes.has(nodeId)).map((
      [userId],
    ) => userId);
  }

  /**
   * Releases the claims of ended nodes.
   *
   * @param endedForMs Only of nodes whose lease ended at least this long ago. Nodes that left always count.
   */
  sweep(endedForMs = 0): Transition[] {
    const released: UserId[] = [];
    for (const [nodeId, { expiresAt, leaving }] of [...this.nodes]) {
      if (expiresAt + (leaving ? 0 : endedForMs) > this.now()) continue;
      for (const userId of this.claimedBy(nodeId)) {
        if (this.locked.has(userId)) continue;
        this.release(userId, nodeId);
        released.push(userId);
      }
      if (this.claimedBy(nodeId).length === 0) this.nodes.delete(nodeId);
    }
    return this.flipStatus(released);
  }

  /** @throws {FencedError} when the node's lease had ended. */
  requireLease(nodeId: NodeId): void {
    const node = this.nodes.get(nodeId);
    if (node === undefined || node.expiresAt <= this.now()) {
      throw new FencedError(`node ${nodeId} holds no lease`);
    }
  }

  #append(changes: readonly Omit<Transition, "seq">[]): Transition[] {
    const transitions = changes.map((change) => ({
      ...change,
      seq: ++this.seq,
    }));
    this.feed.push(...transitions);
    if (transitions.length > 0) {
      for (const listener of [...this.headListeners]) listener(this.seq);
    }
    return transitions;
  }
}

function replace<Key, Value>(
  map: Map<Key, Value>,
  by: ReadonlyMap<Key, Value>,
): void {
  map.clear();
  for (const [key, value] of structuredClone(by)) map.set(key, value);
}
