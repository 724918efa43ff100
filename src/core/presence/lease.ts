/**
 * The lease is this node's right to claim users. A heartbeat renews it.
 *
 * Only the database's clock decides when a lease ends. This node also estimates the end by its own
 * clock. It counts from before the request is sent, so the estimate is never too late. Only
 * readiness and metrics use it. A node that finds its lease ended (it was fenced) joins again
 * with a new node id and claims its users again.
 *
 * After each heartbeat the node sweeps: it asks the store to release the claims of nodes whose
 * leases ended. When the application names users whose groups it changed, the node asks the store to
 * compare them. What claims exist is not known here.
 *
 * @module
 */
import { BackgroundTask } from "../../base/background_task.ts";
import { type Clock, retryMs, within } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import { messageOf } from "../../base/message_of.ts";
import type { Feed } from "../feed/feed.ts";
import { FencedError, type NodeId, type Store } from "../store/store.ts";
import {
  LEAVE_ANSWER_MS,
  LEAVE_TRIES_MAX,
  RENEWAL_TRIES_MAX,
} from "./limits.ts";

export interface LeaseDeps {
  readonly store: Pick<
    Store,
    "join" | "heartbeat" | "sweep" | "regroup" | "leave"
  >;
  readonly clock: Clock;
  readonly log: Log;
  readonly leaseMs: number;
  readonly heartbeatMs: number;
  /** Takes the transitions of users whose claims were released. */
  readonly feed: Pick<Feed, "ingest" | "requestVerification">;
  /** There is a new node id. Nothing certain is known of the claims under it. */
  readonly onRenewed: () => void;
}

export class Lease {
  readonly #deps: LeaseDeps;
  readonly #random: () => number;
  readonly #newId: () => NodeId;
  readonly #stop = new AbortController();
  #nodeId: NodeId | undefined;
  #endsAt = -Infinity;
  /** Heartbeats that failed in a row. */
  #failures = 0;
  /** This node joined again after its lease ended, and no heartbeat succeeded since. */
  #hasRejoined = false;
  #rejoining: Promise<void> | undefined;
  #sweeping: Promise<void> | undefined;
  readonly #regrouping = new BackgroundTask(() => this.#regroup());

  constructor(
    deps: LeaseDeps,
    random = Math.random,
    newId: () => NodeId = () => crypto.randomUUID(),
  ) {
    this.#deps = deps;
    this.#random = random;
    this.#newId = newId;
  }

  /** @throws {Error} before the first `join`. */
  get nodeId(): NodeId {
    if (this.#nodeId === undefined) {
      throw new Error("Cannot act as a node before joining");
    }
    return this.#nodeId;
  }

  /** Whether the lease has certainly not ended yet. */
  get held(): boolean {
    return this.#deps.clock.now() < this.#endsAt;
  }

  /** Milliseconds for which the lease certainly lasts. */
  get remainingMs(): number {
    return Math.max(0, this.#endsAt - this.#deps.clock.now());
  }

  /** Whether the database answered the last heartbeat. */
  get renewing(): boolean {
    return this.#failures === 0;
  }

  /** Becomes a node and starts the heartbeat. Rejects as the store does. */
  async join(): Promise<void> {
    await this.#join();
    void this.#sendHeartbeats();
  }

  /**
   * Replaces a node id that was fenced. Any number of callers cause one new id. Rejects as the
   * store does.
   */
  async rejoin(fenced: NodeId): Promise<void> {
    if (fenced !== this.#nodeId) return;
    if (this.#stop.signal.aborted) throw new Error("the node is leaving");
    this.#rejoining ??= this.#join(fenced).finally(() =>
      this.#rejoining = undefined
    );
    await this.#rejoining;
  }

  /** The application named users whose groups it changed. */
  regroup(): void {
    if (!this.#stop.signal.aborted) this.#regrouping.wake();
  }

  /**
   * Ends the node. Its claims are released now, or after `handoverMs` if other nodes are there.
   * Rejects as the store does.
   *
   * It does not wait for a renewal or a sweep that is under way: they may hang for longer than a
   * stop has, and do no harm when they are executed later.
   */
  async leave(handoverMs: number): Promise<void> {
    this.#stop.abort();
    this.#endsAt = -Infinity;
    const nodeId = this.nodeId;
    await this.#leaveAs(nodeId, handoverMs);
    await this.#rejoining?.catch(() => {});
    if (this.nodeId !== nodeId) await this.#leaveAs(this.nodeId, handoverMs);
  }

  /** Without an answer it tries again, over another connection. Leaving twice changes nothing. */
  async #leaveAs(nodeId: NodeId, handoverMs: number): Promise<void> {
    const { store, clock } = this.#deps;
    for (let tries = 1;; tries++) {
      try {
        const leaving = store.leave(nodeId, handoverMs);
        return await within(LEAVE_ANSWER_MS, "leaving", leaving, clock);
      } catch (err) {
        if (tries === LEAVE_TRIES_MAX) throw err;
      }
    }
  }

  async #join(predecessor?: NodeId): Promise<void> {
    const { store, clock, log, leaseMs, heartbeatMs, feed, onRenewed } =
      this.#deps;
    const nodeId = this.#newId();
    const sentAt = clock.now();
    const transitions = await store.join(
      ...[nodeId, leaseMs, predecessor, heartbeatMs] as const,
    );
    this.#nodeId = nodeId;
    this.#endsAt = sentAt + leaseMs;
    this.#hasRejoined = predecessor !== undefined;
    if (predecessor === undefined) log.info({ nodeId }, "node joined");
    else {
      log.warn(
        { nodeId, predecessor },
        "lease was lost, node rejoined with a new id",
      );
    }
    onRenewed();
    feed.requestVerification();
    feed.ingest(transitions);
  }

  async #sendHeartbeats(): Promise<void> {
    const { clock, log } = this.#deps;
    while (true) {
      await clock.sleep(this.#pauseMs(), this.#stop.signal);
      if (this.#stop.signal.aborted) return;
      try {
        await this.#heartbeat();
      } catch (err) {
        this.#failures += 1;
        log.warn(
          { nodeId: this.#nodeId, held: this.held, reason: messageOf(err) },
          "cannot renew the lease, trying again",
        );
      }
    }
  }

  /**
   * After a failure the next heartbeat comes within half a period. Other nodes that were cut off by
   * the same outage sweep one period after their return at the earliest. So this node renews first.
   */
  #pauseMs(): number {
    const { heartbeatMs } = this.#deps;
    if (this.renewing) return heartbeatMs;
    return Math.min(heartbeatMs / 2, retryMs(this.#failures, this.#random));
  }

  /**
   * Renews, then sweeps. The sweep is skipped once after an outage in which another node may have
   * lost its lease, because that node may be about to rejoin. Its last heartbeat may have been up
   * to one period before ours. A renewal that was slow counts as one that failed: the database may
   * have stood still for all nodes.
   */
  async #heartbeat(): Promise<void> {
    const { clock, heartbeatMs, leaseMs } = this.#deps;
    const renewedAt = this.#endsAt - leaseMs;
    await this.#renew();
    const wasOutage = clock.now() - renewedAt >= leaseMs - heartbeatMs;
    if (!this.#hasRejoined && !wasOutage) this.#sweeping ??= this.#sweep();
    this.#hasRejoined = false;
    this.#failures = 0;
  }

  /** Gives up early enough for further tries over other connections: this one may be dead. */
  async #renew(): Promise<void> {
    const { store, clock, leaseMs, heartbeatMs } = this.#deps;
    const nodeId = this.nodeId;
    const sentAt = clock.now();
    try {
      await within(
        (leaseMs - heartbeatMs) / RENEWAL_TRIES_MAX,
        "renewing the lease",
        store.heartbeat(nodeId, leaseMs),
        clock,
      );
      if (nodeId === this.#nodeId) this.#endsAt = sentAt + leaseMs;
    } catch (err) {
      if (!(err instanceof FencedError)) throw err;
      await this.rejoin(nodeId);
    }
  }

  /**
   * Runs beside the heartbeat: it may take long, and its failure says nothing about our lease. All
   * nodes together sweep at most twice a heartbeat.
   */
  async #sweep(): Promise<void> {
    const { store, log, feed, heartbeatMs } = this.#deps;
    try {
      feed.ingest(await store.sweep(this.nodeId, heartbeatMs / 2));
    } catch (err) {
      log.warn(
        { reason: messageOf(err) },
        "cannot sweep, trying again at the next heartbeat",
      );
    } finally {
      this.#sweeping = undefined;
    }
  }

  async #regroup(): Promise<void> {
    const { store, log, feed } = this.#deps;
    try {
      const { transitions, isMore } = await store.regroup(this.nodeId);
      feed.ingest(transitions);
      if (isMore) this.regroup();
    } catch (err) {
      log.warn(
        { reason: messageOf(err) },
        "cannot compare groups, trying again at the next heartbeat",
      );
    }
  }
}
