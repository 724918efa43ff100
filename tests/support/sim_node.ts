/**
 * A node of the simulation: the real core over a store with faults.
 *
 * @module
 */
import type { Clock } from "../../src/base/clock.ts";
import type { Log } from "../../src/base/log.ts";
import { noMetrics } from "../../src/base/metrics.ts";
import type { Connections } from "../../src/core/connections/connections.ts";
import { Hub } from "../../src/core/connections/hub.ts";
import { createCore } from "../../src/core/core.ts";
import type { Fanout } from "../../src/core/fanout/fanout.ts";
import type { Feed } from "../../src/core/feed/feed.ts";
import type { Lease } from "../../src/core/presence/lease.ts";
import type { Presence } from "../../src/core/presence/presence.ts";
import type { Roster } from "../../src/core/roster/roster.ts";
import type { UserId } from "../../src/protocol/user_id.ts";
import { type Faults, NO_FAULTS, withFaults } from "./faulty_store.ts";
import type { MemoryDatabase } from "./memory_database.ts";
import { MemoryStore } from "./memory_store.ts";
import { SimClient, type SimSubscription } from "./sim_client.ts";

export const LEASE_MS = 10_000;
export const HEARTBEAT_MS = 3_000;

export class SimNode {
  readonly faults: Faults = { ...NO_FAULTS };
  readonly hub = new Hub();
  readonly roster: Roster;
  readonly presence: Presence;
  readonly connections: Connections;
  readonly clients = new Set<SimClient>();
  /** Ends the notification connection. */
  readonly breakLinks: () => void;
  readonly #database: MemoryDatabase;
  readonly #lease: Lease;
  readonly #feed: Feed;
  readonly #fanout: Fanout;

  constructor(
    name: string,
    database: MemoryDatabase,
    clock: Clock,
    log: Log,
    random: () => number,
    offlineGraceMs = 0,
    ringCapacity = 10_000,
  ) {
    const { store, breakLinks } = withFaults(
      new MemoryStore(database),
      database,
      this.faults,
      clock,
      random,
    );
    let count = 0;
    const core = createCore(
      {
        ...{ hub: this.hub, store, clock, log, metrics: noMetrics },
        ...{ leaseMs: LEASE_MS, heartbeatMs: HEARTBEAT_MS, offlineGraceMs },
        fanout: { intervalMs: 50, stateUsersMax: 1_000 },
      },
      random,
      () => `${name}${++count}`,
      ringCapacity,
    );
    this.#database = database;
    this.breakLinks = breakLinks;
    this.roster = core.roster;
    this.presence = core.presence;
    this.connections = core.connections;
    this.#lease = core.lease;
    this.#feed = core.feed;
    this.#fanout = core.fanout;
  }

  get ready(): boolean {
    return this.#lease.held && this.#lease.renewing &&
      this.#feed.notificationsUp;
  }

  async start(): Promise<void> {
    await this.#lease.join();
    await this.#feed.start();
  }

  async stop(): Promise<void> {
    await Promise.all([
      this.presence.stop(),
      this.#lease.leave(0),
      this.#feed.stop(),
      this.#fanout.stop(),
    ]);
  }

  /** Ends like a process that is killed: no call of it reaches the database any more. */
  crash(): void {
    this.faults.down = true;
    this.breakLinks();
    void this.stop().catch(() => {});
  }

  /**
   * Opens a connection that resumes, as the socket endpoint does. `undefined`: the client is ahead
   * of this node, and the node cannot read the feed.
   */
  async resume(
    userId: UserId,
    subscription: SimSubscription,
  ): Promise<SimClient | undefined> {
    const isAhead = (subscription.known?.seq ?? 0) > this.roster.seq;
    if (isAhead && await this.#feed.catchUp() === "failed") return undefined;
    return this.open(userId, subscription);
  }

  open(
    userId: UserId,
    subscription: SimSubscription = { version: 1, watch: "*" },
  ): SimClient {
    const { ring, seq } = this.roster;
    const client = new SimClient(userId, subscription, seq, this.#database);
    this.clients.add(client);
    this.connections.open(client.connection);
    const { version, watch, known } = subscription;
    if (version === 1) this.#fanout.subscribeV1(client.connection, ring.head);
    else {
      this.#fanout.subscribeV2(client.connection, { since: known?.seq, watch });
    }
    return client;
  }

  /** Ends a client's socket. Deno may report the end twice. */
  close(client: SimClient): void {
    this.clients.delete(client);
    this.connections.closed(client.connection);
    this.connections.closed(client.connection);
  }
}
