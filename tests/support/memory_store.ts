// deno-lint-ignore-file require-await -- a throw must be a rejection, as with a real database
/**
 * The store over a database in memory, for runs that would be too slow with Postgres.
 *
 * Several stores may share one `MemoryDatabase`, as several nodes share Postgres. The contract
 * suite holds this store to the same sentences as the one over Postgres.
 *
 * @module
 */
import type { UserId } from "../../src/protocol/user_id.ts";
import type {
  Applied,
  FeedRead,
  NodeId,
  Revocation,
  Snapshot,
  Store,
  Subscription,
  Transition,
} from "../../src/core/store/store.ts";
import type { MemoryDatabase } from "./memory_database.ts";

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
    const swept = [
      ...(predecessor === undefined ? this.#database.sweep(leaseMs) : []),
      ...this.#database.releaseDeletedUsers(),
    ];
    const unclaimed = [...users].filter(([id, user]) =>
      user.status === "online" && !claims.has(id)
    );
    return [
      ...swept,
      ...this.#database.flipStatus(unclaimed.map(([id]) => id)),
    ];
  }

  async heartbeat(nodeId: NodeId, leaseMs: number): Promise<void> {
    this.#database.requireLease(nodeId);
    this.#database.nodes.set(nodeId, {
      expiresAt: this.#database.now() + leaseMs,
      leaving: false,
    });
  }

  async sweep(): Promise<Transition[]> {
    return [...this.#database.sweep(), ...this.#database.releaseDeletedUsers()];
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
      transitions: this.#database.flipStatus(all.filter(free)),
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
    this.#database.flipStatus(userIds);
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

  async revoke(revocation: Omit<Revocation, "id">): Promise<void> {
    const { revocations, revocationListeners } = this.#database;
    revocations.push({ ...revocation, id: revocations.length + 1 });
    for (const listener of revocationListeners) listener();
  }

  async readRevocations(
    after: number,
    limit: number,
  ): Promise<readonly Revocation[]> {
    return this.#database.revocations.slice(after, after + limit);
  }

  async subscribe(
    onHead: (seq: number) => void,
    onRenamed: () => void,
    onRevoked: () => void,
  ): Promise<Subscription> {
    const { headListeners, renameListeners, revocationListeners } = this
      .#database;
    revocationListeners.add(onRevoked);
    const ended = Promise.withResolvers<void>();
    headListeners.add(onHead);
    renameListeners.add(onRenamed);
    return {
      ended: ended.promise,
      head: () => Promise.resolve(this.#database.seq),
      close: async () => {
        headListeners.delete(onHead);
        renameListeners.delete(onRenamed);
        revocationListeners.delete(onRevoked);
        ended.resolve();
      },
    };
  }

  async close(): Promise<void> {}
}
