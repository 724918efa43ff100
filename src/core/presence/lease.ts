/**
 * The lease is this node's right to claim users, renewed by a heartbeat.
 *
 * Only the database's clock decides when a lease ends. The node's own reckoning, which
 * starts before the request is sent and so ends earlier, serves readiness alone. A node
 * that finds its lease ended takes a new id and claims its users again.
 *
 * @module
 */
import { type Clock, retryMs } from "../../base/clock.ts";
import type { Log } from "../../base/log.ts";
import { messageOf } from "../../base/message_of.ts";
import type { Feed } from "../feed/feed.ts";
import { FencedError, type NodeId, type Store } from "../store/store.ts";

export interface LeaseDeps {
  readonly store: Pick<Store, "join" | "heartbeat" | "sweep" | "leave">;
  readonly clock: Clock;
  readonly log: Log;
  readonly leaseMs: number;
  readonly heartbeatMs: number;
  /** Is told the transitions of users whom an ended node left behind. */
  readonly feed: Pick<Feed, "ingest" | "requestVerification">;
  /** There is a new node id, and nothing is claimed under it for certain. */
  readonly onRenewed: () => void;
}

export class Lease {
  readonly #deps: LeaseDeps;
  readonly #random: () => number;
  readonly #newId: () => NodeId;
  readonly #stop = new AbortController();
  #nodeId: NodeId | undefined;
  #endsAt = -Infinity;
  /** Heartbeats in a row that failed. */
  #failures = 0;
  /** The lease had ended, and no heartbeat was answered since. */
  #isBack = false;
  #beating: Promise<void> | undefined;
  #rejoining: Promise<void> | undefined;
  #sweeping: Promise<void> | undefined;

  constructor(
    deps: LeaseDeps,
    random = Math.random,
    newId: () => NodeId = () => crypto.randomUUID(),
  ) {
    this.#deps = deps;
    this.#random = random;
    this.#newId = newId;
  }

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

  /** How long the lease is certain to last. */
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
    this.#beating = this.#beat();
  }

  /** Replaces an id that the store refused. Any number of callers cause one new id. */
  async rejoin(refused: NodeId): Promise<void> {
    if (refused !== this.#nodeId) return;
    this.#rejoining ??= this.#join(refused).finally(() =>
      this.#rejoining = undefined
    );
    await this.#rejoining;
  }

  /** Ends the node. Its claims go now, or after the handover if other nodes live. */
  async leave(handoverMs: number): Promise<void> {
    this.#stop.abort();
    await this.#beating;
    await this.#sweeping;
    this.#endsAt = -Infinity;
    await this.#deps.store.leave(this.nodeId, handoverMs);
  }

  async #join(predecessor?: NodeId): Promise<void> {
    const { store, clock, log, leaseMs, feed, onRenewed } = this.#deps;
    const nodeId = this.#newId();
    const sentAt = clock.now();
    const transitions = await store.join(nodeId, leaseMs, predecessor);
    this.#nodeId = nodeId;
    this.#endsAt = sentAt + leaseMs;
    this.#isBack = predecessor !== undefined;
    if (predecessor === undefined) log.info({ nodeId }, "node joined");
    else log.warn({ nodeId, predecessor }, "lease was lost, node joined anew");
    onRenewed();
    feed.requestVerification();
    feed.ingest(transitions);
  }

  async #beat(): Promise<void> {
    const { clock, log, heartbeatMs, leaseMs } = this.#deps;
    while (true) {
      const pauseMs = this.renewing
        ? heartbeatMs
        // Back before others tidy up, whose first heartbeat may be one period away.
        : Math.min(heartbeatMs / 2, retryMs(this.#failures, this.#random));
      await clock.sleep(pauseMs, this.#stop.signal);
      if (this.#stop.signal.aborted) return;
      try {
        const renewedAt = this.#endsAt - leaseMs;
        await this.#renew();
        // Whose last heartbeat was up to one before ours may have lost the lease meanwhile.
        const wasOutage = this.#failures > 0 &&
          clock.now() - renewedAt >= leaseMs - heartbeatMs;
        // They may be about to come back.
        if (!this.#isBack && !wasOutage) this.#sweeping ??= this.#sweep();
        this.#isBack = false;
        this.#failures = 0;
      } catch (err) {
        this.#failures += 1;
        log.warn(
          { nodeId: this.#nodeId, held: this.held, reason: messageOf(err) },
          "cannot renew the lease, trying again",
        );
      }
    }
  }

  async #renew(): Promise<void> {
    const { store, clock, leaseMs } = this.#deps;
    const nodeId = this.nodeId;
    const sentAt = clock.now();
    try {
      await store.heartbeat(nodeId, leaseMs);
      if (nodeId === this.#nodeId) this.#endsAt = sentAt + leaseMs;
    } catch (err) {
      if (!(err instanceof FencedError)) throw err;
      await this.rejoin(nodeId);
    }
  }

  /** Beside the heartbeat: it may take long, and its failure says nothing of our lease. */
  async #sweep(): Promise<void> {
    const { store, log, feed } = this.#deps;
    try {
      feed.ingest(await store.sweep());
    } catch (err) {
      log.warn({ reason: messageOf(err) }, "cannot tidy up after others");
    } finally {
      this.#sweeping = undefined;
    }
  }
}
