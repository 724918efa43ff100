/**
 * Presence keeps this node's claims in the store equal to what the hub holds.
 *
 * It is level-triggered: an open or a close only says "look at this user again". One
 * flusher takes the users to look at in batches, asks the hub for the truth, and writes
 * the difference. Revocation per user, batching under load, retry after a fault and flaps that
 * cancel out all follow from that. It does not decide whether a user is online in the
 * cluster: the store does.
 *
 * @module
 */
import { type Clock, retryMs } from "../../base/clock.ts";
import type { Connection } from "../connections/connection.ts";
import type { Hub } from "../connections/hub.ts";
import { Grace } from "./grace.ts";
import type {
  ConnectionObserver,
  Connections,
} from "../connections/connections.ts";
import type { Feed } from "../feed/feed.ts";
import type { Roster } from "../roster/roster.ts";
import type { Lease } from "./lease.ts";
import { BATCH_USERS_MAX } from "./limits.ts";
import type { Log } from "../../base/log.ts";
import type { Metrics } from "../../base/metrics.ts";
import { DISCONNECT } from "../../protocol/disconnect.ts";
import type { UserId } from "../../protocol/user_id.ts";
import { messageOf } from "../../base/message_of.ts";
import type { Change } from "../roster/ring.ts";
import { FencedError, type NodeId, type Store } from "../store/store.ts";

/**
 * What this node knows of its claim on a user. `unsure`: a write is on its way, or failed in
 * a way that may have been committed; only another write can tell. No entry: no claim.
 */
type Claim = "held" | "in doubt";

export interface PresenceDeps {
  readonly connections: Pick<Connections, "hub" | "disconnect">;
  readonly store: Pick<Store, "apply" | "claimedBy">;
  readonly roster: Pick<Roster, "has">;
  readonly feed: Pick<Feed, "ingest" | "catchUp">;
  readonly lease: Pick<Lease, "nodeId" | "rejoin">;
  readonly clock: Clock;
  readonly log: Log;
  readonly metrics: Metrics;
  /** How long a user who left stays claimed, in case of a return. 0: not at all. */
  readonly offlineGraceMs: number;
  /** Connections became live. */
  readonly onLive: () => void;
}

export class Presence implements ConnectionObserver {
  readonly #deps: PresenceDeps;
  readonly #random: () => number;
  readonly #stop = new AbortController();
  /** Users to look at. At most those with a connection or a claim, which admission bounds. */
  readonly #dirty = new Set<UserId>();
  readonly #claims = new Map<UserId, Claim>();
  /** Claimed users without a connection. */
  readonly #grace: Grace;
  /** Who was told to be offline while a write is under way, whose answer may be older than that. */
  readonly #toldOffline = new Set<UserId>();
  #isWriting = false;
  /** Since when somebody is to be looked at. */
  #dirtySince = 0;
  /** How often in a row those who could not be written were busy. */
  readonly #busyRounds = new Map<UserId, number>();
  #flushing: Promise<void> | undefined;

  constructor(deps: PresenceDeps, random = Math.random) {
    this.#deps = deps;
    this.#random = random;
    this.#grace = new Grace(
      deps.offlineGraceMs,
      deps.clock,
      (userId) => this.#markDirty(userId),
    );
  }

  /** A connection is there. It is live at once if its user is claimed already. */
  opened({ userId }: Connection): void {
    this.#grace.end(userId);
    if (this.#claims.get(userId) === "held") this.#confirm([userId]);
    else this.#markDirty(userId);
  }

  /** A connection is gone. */
  ended({ userId }: Connection, left: "last" | "more"): void {
    if (left !== "last") return;
    if (this.#claims.has(userId) && this.#grace.begin(userId) === "begun") {
      return;
    }
    this.#markDirty(userId);
  }

  /**
   * The feed told of changes. Somebody who is here, or may come back, and became offline all the
   * same lost the claim: the row was deleted, or others took this node for dead. Only a write
   * that begins after this can tell.
   */
  onFeedChanges(changes: readonly Change[]): void {
    // Some of them may have waited to find themselves online.
    this.#begin(
      changes.filter(({ status }) => status === "online").map(({ userId }) =>
        userId
      ),
    );
    for (const { userId, status } of changes) {
      if (status !== "offline") continue;
      if (this.#claims.has(userId)) this.#claims.set(userId, "in doubt");
      if (this.#isWriting) this.#toldOffline.add(userId);
      if (this.#hub.has(userId)) this.#markDirty(userId);
    }
  }

  /** Nothing that was known of our claims holds any more: looks at everybody again. */
  invalidateClaims(): void {
    for (const userId of this.#claims.keys()) this.#invalidate(userId);
    for (const userId of this.#hub.userIds()) this.#markDirty(userId);
  }

  /** Looks at those of whom the store believes something else than we do. Rejects as the store does. */
  async recheck(): Promise<void> {
    const { store, lease } = this.#deps;
    const theirs = new Set(await store.claimedBy(lease.nodeId));
    for (const userId of this.#claims.keys()) {
      if (!theirs.has(userId)) this.#invalidate(userId);
    }
    for (const userId of theirs) {
      if (!this.#claims.has(userId)) this.#invalidate(userId);
    }
  }

  #invalidate(userId: UserId): void {
    this.#claims.set(userId, "in doubt");
    this.#markDirty(userId);
  }

  get #hub(): Hub {
    return this.#deps.connections.hub;
  }

  /** Writes nothing any more, and waits for a write that is on its way. */
  async stop(): Promise<void> {
    this.#stop.abort();
    await this.#flushing;
    await this.#grace.stop();
  }

  #markDirty(userId: UserId): void {
    if (this.#dirty.size === 0) this.#dirtySince = this.#deps.clock.now();
    this.#dirty.add(userId);
    if (!this.#stop.signal.aborted) this.#flushing ??= this.#flushAll();
  }

  /** The single flusher. While one batch is under way the next one gathers. */
  async #flushAll(): Promise<void> {
    await Promise.resolve();
    let failures = 0;
    while (this.#dirty.size > 0 && !this.#stop.signal.aborted) {
      if (await this.#flush() === "failed") {
        await this.#deps.clock.sleep(
          retryMs(failures, this.#random),
          this.#stop.signal,
        );
        failures += 1;
      } else {
        failures = 0;
      }
    }
    this.#flushing = undefined;
  }

  async #flush(): Promise<"done" | "failed"> {
    const { store, lease, feed, clock, metrics } = this.#deps;
    const since = this.#dirtySince;
    const { arriving, leaving } = this.#takeBatch();
    if (arriving.length + leaving.length === 0) return "done";
    const writer = lease.nodeId;
    const sentAt = this.#dirtySince = clock.now();
    this.#isWriting = true;
    for (const userId of [...arriving, ...leaving]) {
      this.#claims.set(userId, "in doubt");
    }
    try {
      const applied = await store.apply(writer, arriving, leaving);
      feed.ingest(applied.transitions, since);
      if (writer === lease.nodeId) {
        this.#settle(
          arriving,
          leaving,
          new Set(applied.unknown),
          new Set(applied.busy),
        );
      } else {
        // The lease was lost and replaced while we waited: these claims are the old node's.
        this.#requeue([...arriving, ...leaving]);
      }
      metrics.applied(
        arriving.length + leaving.length,
        applied.transitions.length,
        clock.now() - sentAt,
      );
      return "done";
    } catch (err) {
      this.#requeue([...arriving, ...leaving]);
      return await this.#recover(err, writer);
    } finally {
      this.#isWriting = false;
      this.#toldOffline.clear();
    }
  }

  /** A new node id is as good as a success: the same users are written again under it. */
  async #recover(err: unknown, writer: NodeId): Promise<"done" | "failed"> {
    const { log, lease } = this.#deps;
    try {
      if (!(err instanceof FencedError)) throw err;
      await lease.rejoin(writer);
      return "done";
    } catch (err) {
      log.warn(
        { waiting: this.#dirty.size, reason: messageOf(err) },
        "cannot write presence, trying again",
      );
      return "failed";
    }
  }

  /** Compares the hub's truth, as of now, with what is claimed. */
  #takeBatch(): { arriving: UserId[]; leaving: UserId[] } {
    const arriving: UserId[] = [];
    const leaving: UserId[] = [];
    for (const userId of this.#dirty) {
      if (arriving.length + leaving.length >= BATCH_USERS_MAX) break;
      this.#dirty.delete(userId);
      const claim = this.#claims.get(userId);
      if (this.#hub.has(userId)) {
        if (claim !== "held") arriving.push(userId);
      } else if (claim !== undefined && !this.#grace.has(userId)) {
        leaving.push(userId);
      }
    }
    return { arriving, leaving };
  }

  /** Takes down what a committed write means for this node. */
  #settle(
    arriving: readonly UserId[],
    leaving: readonly UserId[],
    unknown: ReadonlySet<UserId>,
    busy: ReadonlySet<UserId>,
  ): void {
    for (const userId of [...arriving, ...leaving]) {
      if (busy.has(userId)) void this.#markDirtyLater(userId);
      else this.#busyRounds.delete(userId);
    }
    for (const userId of leaving) {
      if (!busy.has(userId)) this.#claims.delete(userId);
    }
    const held: UserId[] = [];
    for (const userId of arriving) {
      if (busy.has(userId)) continue;
      if (unknown.has(userId)) this.#refuse(userId);
      else if (this.#toldOffline.has(userId)) this.#markDirty(userId);
      else held.push(userId);
    }
    for (const userId of held) this.#claims.set(userId, "held");
    this.#confirm(held);
  }

  /** They are claimed. Those who would not find themselves online wait for news of others first. */
  #confirm(userIds: readonly UserId[]): void {
    const { roster, feed } = this.#deps;
    this.#begin(userIds.filter((userId) => roster.has(userId)));
    const early = userIds.filter((userId) => !roster.has(userId));
    if (early.length > 0) void feed.catchUp().then(() => this.#begin(early));
  }

  #begin(userIds: readonly UserId[]): void {
    const { onLive } = this.#deps;
    let isAnyLive = false;
    for (const userId of userIds) {
      if (this.#claims.get(userId) !== "held") continue;
      for (const connection of this.#hub.connectionsOf(userId)) {
        isAnyLive ||= connection.state === "joining";
        connection.confirm();
      }
    }
    if (isAnyLive) onLive();
  }

  #refuse(userId: UserId): void {
    this.#claims.delete(userId);
    this.#deps.log.info({ userId }, "unknown user refused");
    for (const connection of this.#hub.connectionsOf(userId)) {
      this.#deps.connections.disconnect(connection, DISCONNECT.unknownUser);
    }
  }

  #requeue(userIds: readonly UserId[]): void {
    for (const userId of userIds) this.#dirty.add(userId);
  }

  /** The row is locked or refuses. Everyone else's changes go on meanwhile. */
  async #markDirtyLater(userId: UserId): Promise<void> {
    const rounds = this.#busyRounds.get(userId) ?? 0;
    this.#busyRounds.set(userId, rounds + 1);
    const pauseMs = retryMs(rounds, this.#random);
    await this.#deps.clock.sleep(pauseMs, this.#stop.signal);
    this.#markDirty(userId);
  }
}
