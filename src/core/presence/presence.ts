/**
 * Presence keeps this node's claims in the store equal to the users that are connected to it.
 *
 * A claim says that this node has a connection of the user. Whether the user is online in the
 * whole cluster is decided by the store, from the claims of all nodes.
 *
 * Presence is level-triggered. An event (a connection opened or ended, the feed reported a
 * change, a grace expired) only marks its user as dirty. One flusher takes dirty users in
 * batches, asks the hub which of them are connected now, compares that with what `claims.ts`
 * knows, and writes the difference. It follows that:
 *
 * - writes of one user are in order, because there is one flusher;
 * - a user who comes and goes between two writes costs nothing;
 * - under load batches grow instead of a queue: while one batch is written the next one gathers;
 * - a failed write needs no undo: its users are dirty again, and their claims are in doubt. Writes
 *   get smaller while they fail, so that a slow database or a locked row does not stop all of them.
 *
 * The parts:
 *
 * - `claims.ts`: what is known of each claim, and what the next write must contain.
 * - `lease.ts`: this node's right to claim. `LEASE_MS` is the time after which other nodes may
 *   release the claims of a node that died. A node whose lease ended claims all its users again
 *   under a new node id.
 *
 * A user who left may return within the grace of `OFFLINE_GRACE_MS`, and stays claimed until then. So a
 * return causes no write and no transition. A client that leaves for good, a token that expired and
 * an administrator end the grace at once. With groups, each new connection and token causes a write,
 * which reads the user's groups again and changes nothing where they are the same.
 *
 * A connection gets messages only after its user's claim is held and the roster has the user
 * online. So a client with a token for an unknown user gets none, and the first state that a
 * client gets contains its own user.
 * A change costs its share of one transaction, at most `BATCH_USERS_MAX` users each.
 *
 * @module
 */
import { BackgroundTask } from "../../base/background_task.ts";
import { type Clock, retryMs } from "../../base/clock.ts";
import { GROUP_ID_LENGTH_MAX } from "../../base/limits.ts";
import { Expiring } from "../../base/expiring.ts";
import type { Log } from "../../base/log.ts";
import { messageOf } from "../../base/message_of.ts";
import type { UserId } from "../../client/protocol/user_id.ts";
import {
  DISCONNECT,
  type Disconnect,
  withDetail,
} from "../../client/protocol/disconnect.ts";
import type { Connection } from "../connections/connection.ts";
import type {
  ConnectionObserver,
  Connections,
} from "../connections/connections.ts";
import type { Hub } from "../connections/hub.ts";
import type { Feed } from "../feed/feed.ts";
import type { Change } from "../roster/change.ts";
import { NOBODY } from "../roster/groups.ts";
import type { Roster } from "../roster/roster.ts";
import {
  type Applied,
  FencedError,
  type NodeId,
  type Store,
} from "../store/store.ts";
import { type Batch, Claims, type Whereabouts } from "./claims.ts";
import type { Lease } from "./lease.ts";

export interface PresenceDeps {
  readonly connections: Pick<Connections, "hub" | "disconnect">;
  readonly store: Pick<Store, "apply" | "claimedBy">;
  readonly roster: Pick<Roster, "has">;
  readonly feed: Pick<Feed, "ingest" | "catchUp">;
  readonly lease: Pick<Lease, "nodeId" | "rejoin">;
  readonly clock: Clock;
  readonly log: Log;
  /** Milliseconds for which a user who left stays claimed. 0: not at all. */
  readonly offlineGraceMs: number;
  /**
   * The store does not know the user. It may become known, and be written again by `retry`. Left
   * out: the user's connections are closed.
   */
  readonly onUnknown?: ((userId: UserId) => void) | undefined;
  /** Users are in groups, which the store reads with each write. Left out: there are none. */
  readonly groups?: { readonly perUserMax: number } | undefined;
  /** The connection became live. */
  readonly onLive: (connection: Connection) => void;
}

export class Presence implements ConnectionObserver {
  readonly #deps: PresenceDeps;
  readonly #random: () => number;
  readonly #claims = new Claims();
  /** Users who left, each with the id of the last token. */
  readonly #grace: Expiring<UserId, string | undefined>;
  /** Users to compare and write. Bounded by the users with a connection or a claim, and so by admission. */
  readonly #dirty = new Set<UserId>();
  /** Since when there are dirty users. */
  #dirtySince = 0;
  /** Users in the current write. */
  #writing = 0;
  /** Writes that began. */
  #writes = 0;
  /** With groups: how many writes had begun when a connection opened. A later one must read its user's groups. */
  readonly #openedBefore = new WeakMap<Connection, number>();
  /** Users whose groups are read again after the current write. */
  readonly #rereads = new Set<UserId>();
  readonly #flusher = new BackgroundTask((signal) => this.#flush(signal));
  /** Writes that failed in a row. */
  #failures = 0;
  /** Users that the store could not look up. One pause for all of them, however often each returns. */
  readonly #deferred = new Set<UserId>();
  readonly #retrier = new BackgroundTask((signal) => this.#retry(signal));
  /** Writes in a row that deferred a user. */
  #deferrals = 0;

  constructor(deps: PresenceDeps, random = Math.random) {
    this.#deps = deps;
    this.#random = random;
    this.#grace = new Expiring(
      ...[deps.offlineGraceMs, deps.clock] as const,
      (userId) => this.#markDirty(userId),
    );
  }

  /** A connection is in the hub. If its user's claim is held, no write is needed without groups. */
  opened(connection: Connection): void {
    const { userId } = connection;
    this.#grace.end(userId);
    if (this.#deps.groups !== undefined) {
      this.#openedBefore.set(connection, this.#writes);
      this.reread(userId);
    } else if (this.#claims.stateOf(userId) === "held") {
      this.#makeLiveOnceOnline([userId]);
    } else {
      this.#markDirty(userId);
    }
  }

  /** A connection is out of the hub. */
  ended(
    { userId, tokenId }: Connection,
    left: "last" | "more",
    isForGood: boolean,
  ): void {
    if (left !== "last") return;
    const hasGrace = !isForGood && this.#claims.stateOf(userId) !== "absent";
    if (hasGrace && this.#grace.begin(userId, tokenId) === "begun") return;
    this.#markDirty(userId);
  }

  /** Users who left may not return: their grace is over. */
  endGrace(isRevoked: (userId: UserId, tokenId?: string) => boolean): void {
    this.#grace.expire(isRevoked);
  }

  /**
   * The user has another connection or token, and may be in other groups now. Without groups
   * nothing happens.
   */
  reread(userId: UserId): void {
    if (this.#deps.groups === undefined) return;
    // The write that is under way is good enough for the connections that were there before it.
    if (this.#writing > 0) this.#rereads.add(userId);
    else this.#reread(userId);
  }

  #reread(userId: UserId): void {
    this.#claims.requireWrite(userId);
    this.#markDirty(userId);
  }

  /**
   * The roster changed. A user who is connected here, or in grace, and was reported offline may
   * have lost the claim: the user was deleted, or another node released the claims of this one.
   * Only a write that begins after this report can decide it.
   */
  onChange({ userId, after }: Change): void {
    // Connections of a user who is online now may have waited for it.
    if (after !== NOBODY) return this.#makeLive([userId]);
    this.#claims.requireWrite(userId);
    if (this.#hub.has(userId)) this.#markDirty(userId);
  }

  /** Nothing certain is known of any claim. All claims, and all connected users, are written again. */
  invalidateClaims(): void {
    for (const userId of this.#claims.userIds()) this.#invalidate(userId);
    for (const userId of this.#hub.userIds()) this.#markDirty(userId);
  }

  /**
   * Reads this node's claims from the store. Claims that differ from what this node knows are
   * written again. Rejects as the store does.
   */
  async recheck(): Promise<void> {
    const { store, lease } = this.#deps;
    const stored = new Set(await store.claimedBy(lease.nodeId));
    for (const userId of this.#claims.userIds()) {
      if (!stored.has(userId)) this.#invalidate(userId);
    }
    for (const userId of stored) {
      if (this.#claims.stateOf(userId) === "absent") this.#invalidate(userId);
    }
  }

  /** Writes a user again who was unknown to the store. */
  retry(userId: UserId): void {
    this.#markDirty(userId);
  }

  /** Users whose claims have to be written, or are being written. */
  get unwritten(): number {
    return this.#dirty.size + this.#writing + this.#deferred.size +
      this.#rereads.size;
  }

  /** Starts no further write, and resolves when the current write has ended. */
  async stop(): Promise<void> {
    await this.#flusher.stop();
    await this.#retrier.stop();
    await this.#grace.stop();
  }

  get #hub(): Hub {
    return this.#deps.connections.hub;
  }

  #invalidate(userId: UserId): void {
    this.#claims.invalidate(userId);
    this.#markDirty(userId);
  }

  #markDirty(userId: UserId): void {
    if (this.#dirty.size === 0) this.#dirtySince = this.#deps.clock.now();
    this.#dirty.add(userId);
    this.#flusher.wake();
  }

  /** Makes users dirty again whose write failed. The flusher is running. */
  #requeue({ arriving, leaving }: Batch): void {
    for (const userId of [...arriving, ...leaving]) this.#dirty.add(userId);
  }

  /** Writes one batch. After a failure it waits, so that retries do not burden the store. */
  async #flush(signal: AbortSignal): Promise<void> {
    const outcome = await this.#writeBatch();
    this.#writing = 0;
    this.#claims.endWrite(outcome);
    for (const userId of this.#rereads) this.#reread(userId);
    this.#rereads.clear();
    if (outcome === "done") {
      this.#failures = 0;
    } else {
      const pauseMs = retryMs(this.#failures, this.#random);
      await this.#deps.clock.sleep(pauseMs, signal);
      this.#failures += 1;
    }
    if (this.#dirty.size > 0) this.#flusher.wake();
  }

  async #writeBatch(): Promise<"done" | "failed"> {
    const { store, lease, feed, clock } = this.#deps;
    const since = this.#dirtySince;
    const batch = this.#claims.takeBatch(
      this.#dirty,
      (userId) => this.#whereabouts(userId),
    );
    this.#writing = batch.arriving.length + batch.leaving.length;
    if (this.#writing === 0) return "done";
    const nodeId = lease.nodeId;
    this.#dirtySince = clock.now();
    this.#claims.beginWrite(batch);
    this.#writes += 1;
    try {
      const applied = await store.apply(nodeId, batch.arriving, batch.leaving);
      feed.ingest(applied.transitions, since);
      if (nodeId === lease.nodeId) this.#applyResult(batch, applied);
      // The lease ended during the write: these claims belong to the old node id.
      else this.#requeue(batch);
      return "done";
    } catch (err) {
      this.#requeue(batch);
      return await this.#recover(err, nodeId);
    }
  }

  #whereabouts(userId: UserId): Whereabouts {
    if (this.#hub.has(userId)) return "connected";
    return this.#grace.has(userId) ? "in grace" : "gone";
  }

  /** A new node id counts as a success: the same users are written again under it at once. */
  async #recover(err: unknown, nodeId: NodeId): Promise<"done" | "failed"> {
    const { log, lease } = this.#deps;
    try {
      if (!(err instanceof FencedError)) throw err;
      await lease.rejoin(nodeId);
      return "done";
    } catch (err) {
      log.warn(
        { users: this.#dirty.size, reason: messageOf(err) },
        "cannot write presence, trying again",
      );
      return "failed";
    }
  }

  #applyResult(batch: Batch, applied: Applied): void {
    const { held, inDoubt } = this.#claims.applyResult(batch, applied);
    const deferred = [...applied.deferred, ...applied.ungrouped];
    if (deferred.length === 0) this.#deferrals = 0;
    for (const userId of deferred) this.#deferred.add(userId);
    if (this.#deferred.size > 0) this.#retrier.wake();
    for (const userId of applied.ungrouped) {
      this.#refuse(userId, "joining", DISCONNECT.groupsUnavailable);
    }
    const { onUnknown, groups } = this.#deps;
    for (const userId of applied.overgrouped) {
      const limits = [groups?.perUserMax ?? 0, GROUP_ID_LENGTH_MAX];
      const why = withDetail(DISCONNECT.tooManyGroups, ...limits);
      this.#refuse(userId, "all", why);
    }
    for (const userId of applied.unknown) {
      if (onUnknown !== undefined) onUnknown(userId);
      else this.#refuse(userId, "all", DISCONNECT.unknownUser);
    }
    for (const userId of inDoubt) this.#markDirty(userId);
    this.#makeLiveOnceOnline(held);
  }

  /** Closes the connections of a user: those that wait for their claim, or all. */
  #refuse(userId: UserId, which: "joining" | "all", why: Disconnect): void {
    const { connections, log } = this.#deps;
    for (const connection of this.#hub.connectionsOf(userId)) {
      if (which === "joining" && connection.state === "live") continue;
      log.info({ userId, reason: why.reason }, "refused a user");
      connections.disconnect(connection, why);
    }
  }

  /** If the roster does not have a user online yet, the connections wait for the feed. */
  #makeLiveOnceOnline(userIds: readonly UserId[]): void {
    const { roster, feed } = this.#deps;
    this.#makeLive(userIds.filter((userId) => roster.has(userId)));
    const early = userIds.filter((userId) => !roster.has(userId));
    if (early.length > 0) void feed.catchUp().then(() => this.#makeLive(early));
  }

  /** Users whose claims are not held are passed over. */
  #makeLive(userIds: readonly UserId[]): void {
    const { onLive } = this.#deps;
    for (const userId of userIds) {
      if (this.#claims.stateOf(userId) !== "held") continue;
      for (const connection of this.#hub.connectionsOf(userId)) {
        if (connection.state !== "joining") continue;
        if (this.#openedBefore.get(connection) === this.#writes) continue;
        connection.confirm();
        onLive(connection);
      }
    }
  }

  /** The users table or the groups cannot be read. Users that can be written are, meanwhile. */
  async #retry(signal: AbortSignal): Promise<void> {
    const pauseMs = retryMs(this.#deferrals, this.#random);
    await this.#deps.clock.sleep(pauseMs, signal);
    this.#deferrals += 1;
    for (const userId of this.#deferred) this.#markDirty(userId);
    this.#deferred.clear();
  }
}
