// deno-lint-ignore-file require-await -- a throw must be a rejection, as with a real database
/**
 * The store's contract kept in memory, for runs that Postgres would be too slow for.
 *
 * Each call is one atomic step on a `MemoryDatabase`; several stores may share one, as
 * several nodes share Postgres. The contract suite holds it to the same sentences.
 *
 * @module
 */
import type { Status } from "../../src/protocol/messages.ts";
import type { UserId } from "../../src/protocol/user_id.ts";
import {
  type Applied,
  type FeedRead,
  FencedError,
  type NodeId,
  type Revocation,
  type Snapshot,
  type Store,
  type Subscription,
  type Transition,
} from "../../src/core/store/store.ts";

export class MemoryDatabase {
  readonly users = new Map<UserId, { username: string; status: Status }>();
  readonly claims = new Map<UserId, Set<NodeId>>();
  readonly nodes = new Map<NodeId, { expiresAt: number; leaving: boolean }>();
  /** Rows that an application keeps locked. */
  readonly locked = new Set<UserId>();
  /** Users that were deleted while online, until a heartbeat tells of it. */
  readonly deleted = new Set<UserId>();
  readonly listeners = new Set<(seq: number) => void>();
  readonly renameListeners = new Set<() => void>();
  readonly orderListeners = new Set<() => void>();
  readonly orders: Revocation[] = [];
  feed: Transition[] = [];
  seq = 0;
  /** How often another database took over: nothing that was asked before is answered after. */
  epoch = 0;
  readonly now: () => number;

  constructor(users: readonly UserId[], now: () => number) {
    this.now = now;
    for (const id of users) {
      this.users.set(id, { username: `user${id}`, status: "offline" });
    }
  }

  /** A replica as of now. The returned function lets it take over. */
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

  /** Makes status agree with the claims, and tells. */
  settle(userIds: Iterable<UserId>): Transition[] {
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

  /** Who was online as of a `seq`, ids ascending. */
  onlineAt(seq: number): UserId[] {
    const online = new Set<UserId>();
    for (const transition of this.feed) {
      if (transition.seq > seq) break;
      if (transition.status === "online") online.add(transition.userId);
      else online.delete(transition.userId);
    }
    return [...online].sort();
  }

  renameUser(userId: UserId, username: string): void {
    const user = this.users.get(userId);
    if (user === undefined) return;
    user.username = username;
    for (const listener of this.renameListeners) listener();
  }

  deleteUser(userId: UserId): void {
    if (this.users.get(userId)?.status === "online") this.deleted.add(userId);
    this.users.delete(userId);
  }

  /** Tells that deleted users went offline, and drops their claims. */
  forgetDeleted(): Transition[] {
    const ids = [...this.deleted].sort((a, b) => a - b);
    this.deleted.clear();
    for (const userId of ids) this.claims.delete(userId);
    return this.#append(
      ids.map((userId) => ({ userId, username: "", status: "offline" })),
    );
  }

  skipTo(seq: number): void {
    if (seq <= this.seq) return;
    this.seq = seq + 1_000 * this.epoch;
    for (const listener of [...this.listeners]) listener(this.seq);
  }

  #append(changes: readonly Omit<Transition, "seq">[]): Transition[] {
    const transitions = changes.map((change) => ({
      ...change,
      seq: ++this.seq,
    }));
    this.feed.push(...transitions);
    if (transitions.length > 0) {
      for (const listener of [...this.listeners]) listener(this.seq);
    }
    return transitions;
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

  /** @param sparedMs Nodes that did not leave are spared for so long after their lease ended. */
  reap(sparedMs = 0): Transition[] {
    const touched: UserId[] = [];
    for (const [nodeId, { expiresAt, leaving }] of [...this.nodes]) {
      if (expiresAt + (leaving ? 0 : sparedMs) > this.now()) continue;
      for (const userId of this.claimedBy(nodeId)) {
        if (this.locked.has(userId)) continue;
        this.release(userId, nodeId);
        touched.push(userId);
      }
      if (this.claimedBy(nodeId).length === 0) this.nodes.delete(nodeId);
    }
    return this.settle(touched);
  }

  requireLease(nodeId: NodeId): void {
    const node = this.nodes.get(nodeId);
    if (node === undefined || node.expiresAt <= this.now()) {
      throw new FencedError(`node ${nodeId} holds no lease`);
    }
  }
}

function replace<Key, Value>(
  map: Map<Key, Value>,
  by: ReadonlyMap<Key, Value>,
): void {
  map.clear();
  for (const [key, value] of structuredClone(by)) map.set(key, value);
}

export class MemoryStore implements Store {
  readonly #database: MemoryDatabase;

  constructor(database: MemoryDatabase) {
    this.#database = database;
  }

  async join(
    nodeId: NodeId,
    leaseMs: number,
    predecessor?: NodeId,
  ): Promise<Transition[]> {
    const { nodes, users, claims, now } = this.#database;
    if (nodes.has(nodeId)) throw new Error(`node ${nodeId} exists`);
    nodes.set(nodeId, { expiresAt: now() + leaseMs, leaving: false });
    if (predecessor !== undefined) {
      for (const userId of this.#database.claimedBy(predecessor)) {
        this.#database.claim(userId, nodeId);
        this.#database.release(userId, predecessor);
      }
      nodes.delete(predecessor);
    }
    const reaped = [
      ...(predecessor === undefined ? this.#database.reap(leaseMs) : []),
      ...this.#database.forgetDeleted(),
    ];
    const stray = [...users].filter(([id, user]) =>
      user.status === "online" && !claims.has(id)
    );
    return [...reaped, ...this.#database.settle(stray.map(([id]) => id))];
  }

  async heartbeat(nodeId: NodeId, leaseMs: number): Promise<void> {
    this.#database.requireLease(nodeId);
    this.#database.nodes.set(nodeId, {
      expiresAt: this.#database.now() + leaseMs,
      leaving: false,
    });
  }

  async sweep(): Promise<Transition[]> {
    return [...this.#database.reap(), ...this.#database.forgetDeleted()];
  }

  async apply(
    nodeId: NodeId,
    arriving: readonly UserId[],
    leaving: readonly UserId[],
  ): Promise<Applied> {
    const { users, locked, deleted } = this.#database;
    this.#database.requireLease(nodeId);
    const all = [...arriving, ...leaving];
    const isBusy = (userId: UserId) =>
      deleted.has(userId) || users.has(userId) && locked.has(userId);
    const busy = all.filter(isBusy);
    const unknown = all.filter((userId) =>
      !users.has(userId) && !isBusy(userId)
    );
    const free = (userId: UserId) => users.has(userId) && !isBusy(userId);
    for (const userId of arriving.filter(free)) {
      this.#database.claim(userId, nodeId);
    }
    for (const userId of leaving.filter((id) => !isBusy(id))) {
      this.#database.release(userId, nodeId);
    }
    return {
      transitions: this.#database.settle(all.filter(free)),
      unknown,
      busy,
    };
  }

  async leave(nodeId: NodeId, handoverMs: number): Promise<void> {
    const { nodes, now } = this.#database;
    const others = [...nodes].filter(([id, node]) =>
      id !== nodeId && !node.leaving && node.expiresAt > now()
    );
    if (others.length > 0) {
      if (nodes.has(nodeId)) {
        nodes.set(nodeId, { expiresAt: now() + handoverMs, leaving: true });
      }
      return;
    }
    const gone = [...nodes].filter(([id, node]) =>
      id === nodeId || node.leaving || node.expiresAt <= now()
    );
    const userIds = gone.flatMap(([id]) => this.#database.claimedBy(id));
    for (const [id] of gone) {
      for (const userId of userIds) this.#database.release(userId, id);
      nodes.delete(id);
    }
    this.#database.settle(userIds);
  }

  async readFeed(after: number, limit: number): Promise<FeedRead> {
    const transitions = this.#database.feed.filter(({ seq }) => seq > after)
      .slice(0, limit);
    return { head: this.#database.seq, transitions };
  }

  async snapshot(): Promise<Snapshot> {
    const users = [...this.#database.users]
      .filter(([, { status }]) => status === "online")
      .map(([id, { username }]) => ({ id, username }));
    return { seq: this.#database.seq, users };
  }

  async claimedBy(nodeId: NodeId): Promise<readonly UserId[]> {
    return this.#database.claimedBy(nodeId);
  }

  async skipTo(seq: number): Promise<void> {
    this.#database.skipTo(seq);
  }

  async revoke(order: Omit<Revocation, "id">): Promise<void> {
    const { orders, orderListeners } = this.#database;
    orders.push({ ...order, id: orders.length + 1 });
    for (const listener of orderListeners) listener();
  }

  async readRevocations(
    after: number,
    limit: number,
  ): Promise<readonly Revocation[]> {
    return this.#database.orders.slice(after, after + limit);
  }

  async subscribe(
    onHead: (seq: number) => void,
    onRenamed: () => void,
    onRevoked: () => void,
  ): Promise<Subscription> {
    const { listeners, renameListeners, orderListeners } = this.#database;
    orderListeners.add(onRevoked);
    const ended = Promise.withResolvers<void>();
    listeners.add(onHead);
    renameListeners.add(onRenamed);
    return {
      ended: ended.promise,
      head: () => Promise.resolve(this.#database.seq),
      close: async () => {
        listeners.delete(onHead);
        renameListeners.delete(onRenamed);
        orderListeners.delete(onRevoked);
        ended.resolve();
      },
    };
  }

  async close(): Promise<void> {}
}
