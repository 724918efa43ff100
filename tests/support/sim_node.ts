/**
 * A node of the simulation: the real core, with faults between it and the database in memory.
 *
 * @module
 */
import {
  coalesced,
  disconnectUnlessWritten,
  type Provisioning,
} from "../../src/access/provision.ts";
import { Eviction } from "../../src/access/eviction.ts";
import { UnknownUsers } from "../../src/access/unknown_users.ts";
import { type Clock, within } from "../../src/base/clock.ts";
import type { Log } from "../../src/base/log.ts";
import { noMetrics } from "../../src/base/metrics.ts";
import { Hub } from "../../src/core/connections/hub.ts";
import { type Core, createCore } from "../../src/core/core.ts";
import type { Roster } from "../../src/core/roster/roster.ts";
import { DISCONNECT } from "../../src/client/protocol/disconnect.ts";
import { INTEGER_IDS, type UserId } from "../../src/client/protocol/user_id.ts";
import { PART_STOP_MS } from "../../src/limits.ts";
import { ClientMessages } from "../../src/socket/client_messages.ts";
import type { FakeClock } from "./fake_clock.ts";
import { unlimited, WITHOUT_GROUPS } from "./fakes.ts";
import type { MemoryDatabase } from "./memory_database.ts";
import { MemoryPool } from "./memory_pool.ts";
import { MemoryStore, type SweepBounds } from "./memory_store.ts";
import { type Jury, SimClient, type SimSubscription } from "./sim_client.ts";

export const LEASE_MS = 10_000;
export const HEARTBEAT_MS = 3_000;

/** Small, so that every sweep has several slices. */
const SWEEP_BOUNDS = { usersMax: 2, sliceRows: 2, groupRows: 2 };

export interface SimNodeOptions {
  readonly offlineGraceMs: number;
  readonly ringCapacity: number;
  /** Users online above which version 2 receives their number. */
  readonly stateUsersMax: number;
  /** Whether a user who connects without a row gets one. */
  readonly autoProvision: boolean;
  /** Time for which the node is busy with each message. */
  readonly sendMs: number;
  /** Rows of the feed that are kept. A node that is further behind loads a snapshot. */
  readonly feedRows: number;
}

export const SIM_NODE_OPTIONS: SimNodeOptions = {
  offlineGraceMs: 0,
  ringCapacity: 10_000,
  stateUsersMax: 1_000,
  autoProvision: false,
  sendMs: 0,
  feedRows: 1_000,
};

/** What the nodes of a run share. */
export interface SimNodeDeps {
  readonly database: MemoryDatabase;
  readonly clock: FakeClock;
  readonly log: Log;
  readonly random: () => number;
  /** Left out: the clients judge themselves. */
  readonly judges?: Jury | undefined;
}

export class SimNode {
  readonly pool: MemoryPool;
  readonly core: Core;
  readonly #eviction: Eviction;
  readonly #deps: SimNodeDeps;
  readonly #options: SimNodeOptions;
  readonly #clock: Clock;
  readonly #provisioning: Provisioning | undefined;
  readonly #messages = new Map<SimClient, ClientMessages>();
  #isRunning = true;
  #tokens = 0;
  /** How long the verification of each token takes at most. */
  readonly #verifyMs = new Map<string, number>();

  /** @param clock The clock of the machine. */
  constructor(
    name: string,
    deps: SimNodeDeps,
    clock: Clock,
    options: SimNodeOptions = SIM_NODE_OPTIONS,
  ) {
    const { database, log, random } = deps;
    const { memberships } = database;
    this.pool = new MemoryPool(database, deps.clock, random);
    const { feedRows } = options;
    const bounds: SweepBounds = { ...SWEEP_BOUNDS, feedRows };
    const store = new MemoryStore(database, this.pool, bounds);
    const provisioning = options.autoProvision
      ? coalesced((...user) => store.provision(...user))
      : undefined;
    const rewriteUser = (userId: UserId) => {
      const write = () =>
        provisioning?.rewrite(userId) ?? Promise.resolve(undefined);
      return disconnectUnlessWritten(userId, write, log);
    };
    let count = 0;
    this.core = createCore(
      {
        ...{ hub: new Hub(), store, clock, log, metrics: noMetrics },
        ...{ leaseMs: LEASE_MS, heartbeatMs: HEARTBEAT_MS },
        offlineGraceMs: options.offlineGraceMs,
        fanout: { intervalMs: 50, stateUsersMax: options.stateUsersMax },
        onRevoked: () => this.#eviction.onRevoked(),
        ...memberships === undefined
          ? {}
          : { groups: { perUserMax: memberships.groupsMax } },
        onUnknown: provisioning &&
          ((userId) => unknownUsers.handle(userId)),
      },
      random,
      () => `${name}${++count}`,
      options.ringCapacity,
    );
    const { connections, presence, fanout } = this.core;
    this.#eviction = new Eviction({
      ...{ store, clock, log, connections, fanout },
      heartbeatMs: HEARTBEAT_MS,
      endGrace: (isRevoked) => presence.endGrace(isRevoked),
    });
    const unknownUsers = new UnknownUsers(
      { connections, log, rewriteUser },
      (userId) => presence.retry(userId),
    );
    this.#deps = deps;
    this.#options = options;
    this.#clock = clock;
    this.#provisioning = provisioning;
  }

  get ready(): boolean {
    const { lease, feed } = this.core;
    return lease.held && lease.renewing && feed.notificationsUp;
  }

  get roster(): Roster {
    return this.core.roster;
  }

  /** Whether the process is there, and not about to end. */
  get isRunning(): boolean {
    return this.#isRunning;
  }

  /** Time by the clock of the machine. */
  now(): number {
    return this.#clock.now();
  }

  async start(): Promise<void> {
    await this.core.lease.join();
    await this.#eviction.start();
    await this.core.feed.start();
  }

  /** Stops in order, each part within its time: clients are sent away, and the node leaves. */
  async stop(handoverMs: number): Promise<void> {
    const { presence, fanout, feed, lease, connections } = this.core;
    const { clock } = this.#deps;
    const stop = (stopping: Promise<void>) =>
      within(PART_STOP_MS, "a part", stopping, clock).catch(() => {});
    this.#isRunning = false;
    await stop(presence.stop());
    for (const connection of [...connections.hub.connections()]) {
      connections.disconnect(connection, DISCONNECT.serverGoingAway);
    }
    await stop(feed.stop());
    await stop(lease.leave(handoverMs));
    await stop(this.#eviction.stop());
    await stop(fanout.stop());
    this.pool.kill();
  }

  /** Ends like a process that is killed. */
  crash(): void {
    this.#isRunning = false;
    this.pool.kill();
    void this.stop(0).catch(() => {});
  }

  /** Whether a connection needs the database before it opens. */
  mustWait({ known }: SimSubscription): boolean {
    return this.#provisioning !== undefined ||
      (known?.seq ?? 0) > this.roster.seq;
  }

  /**
   * Opens a connection as the socket endpoint does. `undefined`: the node cannot accept it now.
   */
  async enter(
    userId: UserId,
    subscription: SimSubscription,
  ): Promise<SimClient | undefined> {
    if (this.#provisioning !== undefined) {
      const { provision } = this.#provisioning;
      const write = () => provision(userId, `user${userId}`);
      const { log } = this.#deps;
      const result = await disconnectUnlessWritten(userId, write, log);
      if (result !== "written") return undefined;
    }
    const isAhead = (subscription.known?.seq ?? 0) > this.roster.seq;
    if (isAhead && await this.core.feed.catchUp() === "failed") {
      return undefined;
    }
    return this.#isRunning ? this.open(userId, subscription) : undefined;
  }

  open(
    userId: UserId,
    subscription: SimSubscription = { version: 1, watch: "*" },
  ): SimClient {
    const { fanout, connections } = this.core;
    const { ring, seq } = this.roster;
    const { database, clock, judges } = this.#deps;
    const { sendMs } = this.#options;
    const judge = judges?.judgeOf(userId, subscription, seq);
    const client = new SimClient(userId, subscription, seq, {
      ...{ database, clock, judge, sendMs },
    });
    const { connection } = client;
    const { version, watch, known } = subscription;
    connections.open(connection);
    if (version === 1) fanout.subscribeV1(connection, ring.head);
    else fanout.subscribeV2(connection, { since: known?.seq, watch });
    this.#messages.set(client, this.#messagesOf(client));
    return client;
  }

  /** A client of version 2 sends a message. */
  receive(client: SimClient, message: Record<string, unknown>): void {
    this.#messages.get(client)?.receive(JSON.stringify(message));
  }

  /** A client sends a new token, whose verification takes up to `verifyMs`. */
  refresh(client: SimClient, verifyMs: number): void {
    const token = `token${this.#tokens += 1}`;
    this.#verifyMs.set(token, verifyMs);
    client.lastToken = token;
    this.receive(client, { type: "refresh", token });
  }

  /** Ends a client's socket. Deno may report the end twice. */
  close(client: SimClient): void {
    this.core.connections.closed(client.connection);
    this.core.connections.closed(client.connection);
    this.#messages.delete(client);
  }

  #messagesOf(client: SimClient): ClientMessages {
    const { log, random } = this.#deps;
    return new ClientMessages(
      {
        ...{ log, fanout: this.core.fanout, ids: INTEGER_IDS },
        watchedUsersMax: 100,
        ...unlimited(async (token = "") => {
          const verifyMs = this.#verifyMs.get(token) ?? 0;
          if (verifyMs > 0) await this.#clock.sleep(random() * verifyMs);
          const { userId } = client;
          const exp = Number.MAX_SAFE_INTEGER;
          return {
            ...{ ok: true, userId, exp, tokenId: token, username: undefined },
            ...{ groups: undefined, issuedAt: 0 },
          } as const;
        }),
        ...WITHOUT_GROUPS,
        reread: (userId) => this.core.presence.reread(userId),
        endOf: () => Infinity,
        now: () => this.now(),
      },
      client.connection,
      "192.0.2.1",
    );
  }
}
