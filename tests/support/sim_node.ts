/**
 * A node of the simulation: the real core over a store that fails as it is told to.
 *
 * @module
 */
import { deepEqual, ok } from "node:assert/strict";
import type { Clock } from "../../src/base/clock.ts";
import {
  Connection,
  type Socket,
} from "../../src/core/connections/connection.ts";
import { createCore } from "../../src/core/core.ts";
import type { Connections } from "../../src/core/connections/connections.ts";
import type { Fanout } from "../../src/core/fanout/fanout.ts";
import type { Feed } from "../../src/core/feed/feed.ts";
import { Hub } from "../../src/core/connections/hub.ts";
import type { Lease } from "../../src/core/presence/lease.ts";
import type { Log } from "../../src/base/log.ts";
import { noMetrics } from "../../src/base/metrics.ts";
import type { Presence } from "../../src/core/presence/presence.ts";
import type {
  ServerMessage,
  UserStatusBroadcast,
} from "../../src/protocol/messages.ts";
import type { UserId } from "../../src/protocol/user_id.ts";
import type { Roster } from "../../src/core/roster/roster.ts";
import type { Store, Subscription } from "../../src/core/store/store.ts";
import { type MemoryDatabase, MemoryStore } from "./memory_store.ts";

/** What can be wrong with a node's link to the database. */
export interface Faults {
  /** No call gets through. */
  down: boolean;
  /** Share of calls that fail before, and after, the database did its part. */
  lostRequests: number;
  lostAnswers: number;
  /** Share of calls that reach the database twice. */
  doubledRequests: number;
  /** Share of notifications that never arrive. */
  lostNotifications: number;
  /** The longest that a call takes. */
  delayMs: number;
}

export const NO_FAULTS: Readonly<Faults> = {
  down: false,
  lostRequests: 0,
  lostAnswers: 0,
  doubledRequests: 0,
  lostNotifications: 0,
  delayMs: 0,
};

export const LEASE_MS = 10_000;
export const HEARTBEAT_MS = 3_000;

/** A store behind a bad link. */
function unreliable(
  inner: Store,
  database: MemoryDatabase,
  faults: Faults,
  clock: Clock,
  random: () => number,
): { store: Store; breakLinks: () => void } {
  const links = new Set<() => void>();
  const delay = async () => {
    if (faults.delayMs > 0) await clock.sleep(random() * faults.delayMs);
  };
  const call = async <T>(perform: () => Promise<T>): Promise<T> => {
    const { epoch } = database;
    const isDown = () => faults.down || database.epoch !== epoch;
    await delay();
    if (isDown() || random() < faults.lostRequests) {
      throw new Error("injected: request lost");
    }
    if (random() < faults.doubledRequests) await perform().catch(() => {});
    const answer = await perform();
    await delay();
    if (isDown() || random() < faults.lostAnswers) {
      throw new Error("injected: answer lost");
    }
    return answer;
  };
  const subscribe = async (
    onHead: (seq: number) => void,
    onRenamed: () => void,
    onRevoked: () => void,
  ): Promise<Subscription> => {
    const arrives = () => !faults.down && random() >= faults.lostNotifications;
    const subscription = await inner.subscribe(
      (seq) => arrives() && onHead(seq),
      () => arrives() && onRenamed(),
      () => arrives() && onRevoked(),
    );
    links.add(() => void subscription.close());
    return { ...subscription, head: () => call(() => subscription.head()) };
  };
  return {
    store: {
      join: (...args) => call(() => inner.join(...args)),
      heartbeat: (...args) => call(() => inner.heartbeat(...args)),
      sweep: () => call(() => inner.sweep()),
      apply: (...args) => call(() => inner.apply(...args)),
      leave: (...args) => call(() => inner.leave(...args)),
      readFeed: (...args) => call(() => inner.readFeed(...args)),
      claimedBy: (...args) => call(() => inner.claimedBy(...args)),
      skipTo: (...args) => call(() => inner.skipTo(...args)),
      revoke: (...args) => call(() => inner.revoke(...args)),
      readRevocations: (...args) => call(() => inner.readRevocations(...args)),
      snapshot: () => call(() => inner.snapshot()),
      subscribe: (...args) => call(() => subscribe(...args)),
      close: () => inner.close(),
    },
    breakLinks: () => {
      for (const breakLink of links) breakLink();
      links.clear();
    },
  };
}

/** Which messages a client speaks, and with version 2 whom it hears about. */
export interface SimWish {
  readonly version: 1 | 2;
  readonly watch: ReadonlySet<UserId> | "*";
  /** What the client knew before, and as of which `seq`. */
  readonly known?: { readonly seq: number; readonly users: Set<UserId> };
}

/** A client's end of a connection, which remembers what it was told and when. */
export class SimClient implements Socket {
  readonly userId: UserId;
  readonly wish: SimWish;
  readonly connection: Connection;
  /** The roster's seq when the connection was registered. */
  readonly sinceSeq: number;
  readonly heard: (UserStatusBroadcast | ServerMessage)[] = [];
  /** Version 2: whom it takes to be online as of `seq`, of those it hears about. */
  readonly users: Set<UserId>;
  seq: number;
  closed: number | undefined;
  bufferedAmount = 0;
  readonly #onMessage: (client: SimClient, message: string) => void;

  constructor(
    userId: UserId,
    wish: SimWish,
    sinceSeq: number,
    onMessage: (client: SimClient, message: string) => void,
  ) {
    this.userId = userId;
    this.wish = wish;
    this.sinceSeq = sinceSeq;
    this.users = new Set(wish.known?.users);
    this.seq = wish.known?.seq ?? -1;
    this.#onMessage = onMessage;
    this.connection = new Connection(userId, this, {
      ...{ version: wish.version, endsAt: Infinity, receivedAt: 0 },
    });
  }

  send(text: string): void {
    this.heard.push(JSON.parse(text));
    this.#onMessage(this, text);
  }

  close(code: number): void {
    this.closed = code;
  }
}

export class SimNode {
  readonly faults: Faults = { ...NO_FAULTS };
  readonly hub = new Hub();
  readonly roster: Roster;
  readonly presence: Presence;
  readonly connections: Connections;
  readonly clients = new Set<SimClient>();
  /** Breaks the listening connection. */
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
    const { store, breakLinks } = unreliable(
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

  /** Ends as a process that is killed: nothing of it reaches the database any more. */
  crash(): void {
    this.faults.down = true;
    this.breakLinks();
    void this.stop().catch(() => {});
  }

  /** As the door does it. A node that cannot find out what the client knows takes nobody in. */
  async resume(userId: UserId, wish: SimWish): Promise<SimClient | undefined> {
    const isAhead = (wish.known?.seq ?? 0) > this.roster.seq;
    if (isAhead && await this.#feed.catchUp() === "failed") return undefined;
    return this.open(userId, wish);
  }

  open(
    userId: UserId,
    wish: SimWish = { version: 1, watch: "*" },
  ): SimClient {
    const { ring, seq } = this.roster;
    const client = new SimClient(
      ...[userId, wish, seq] as const,
      (client, text) => this.#judge(client, JSON.parse(text)),
    );
    this.clients.add(client);
    this.connections.open(client.connection);
    const { version, watch, known } = wish;
    if (version === 1) this.#fanout.subscribeV1(client.connection, ring.head);
    else {
      this.#fanout.subscribeV2(client.connection, { since: known?.seq, watch });
    }
    return client;
  }

  /** Ends a client's socket, as Deno does: now and then twice. */
  close(client: SimClient): void {
    this.clients.delete(client);
    this.connections.closed(client.connection);
    this.connections.closed(client.connection);
  }

  #judge(
    client: SimClient,
    message: UserStatusBroadcast | ServerMessage,
  ): void {
    // What is told of a history that was lost is right only once that is known.
    if (this.#database.epoch > 0) return take(client, message);
    switch (message.type) {
      case "user_online":
      case "user_offline":
        return this.#judgeBroadcast(message);
      default:
        return this.#judgeSync(client, message);
    }
  }

  /** P5: what is told is committed. */
  #judgeBroadcast({ type, userId }: UserStatusBroadcast): void {
    const committed = this.#database.feed.some((transition) =>
      transition.userId === userId && type === `user_${transition.status}`
    );
    if (!committed) {
      throw new Error(
        `[P5] ${type} of ${userId} was told before it was committed`,
      );
    }
  }

  /** S1, S2, S4: state plus differences is the truth as of each `seq`, and only what is news is told. */
  #judgeSync(client: SimClient, message: ServerMessage): void {
    const { users, wish, heard } = client;
    const isFirst = heard.length === 1;
    const before = client.seq;
    if (message.type === "presence_state") {
      users.clear();
      for (const { id } of message.users) users.add(id);
    } else if (message.type === "presence_diff") {
      ok(!isFirst || wish.known !== undefined, "[S1] the first is a state");
      ok(message.seq > before || isFirst, "[S1] seq grows");
      for (const { id } of message.online) {
        ok(!users.has(id), `[S1] ${id} came online twice`);
        users.add(id);
      }
      for (const id of message.offline) {
        ok(users.delete(id), `[S1] ${id} went offline twice`);
      }
    } else {
      return;
    }
    client.seq = message.seq;
    ok(message.seq >= before, "[S2] a client does not go back in time");
    const isHeardOf = (id: UserId) => wish.watch === "*" || wish.watch.has(id);
    deepEqual(
      [...users].sort(),
      this.#database.onlineAt(message.seq).filter(isHeardOf),
      `[S1] what ${client.userId} holds as of ${message.seq}`,
    );
  }
}

function take(
  client: SimClient,
  message: UserStatusBroadcast | ServerMessage,
): void {
  const { users } = client;
  if (message.type === "presence_state") {
    users.clear();
    for (const { id } of message.users) users.add(id);
  } else if (message.type === "presence_diff") {
    for (const { id } of message.online) users.add(id);
    for (const id of message.offline) users.delete(id);
  } else return;
  client.seq = message.seq;
}
