/**
 * The connections between a node and the database in memory, with the bounds and deadlines of the
 * real pool, and with faults.
 *
 * A statement takes a connection, travels to the database, and its answer travels back. The client
 * gives up after `DATABASE_ANSWER_MS` and closes the connection, but what has reached the database
 * goes on there, and may commit. What a statement does is not known here.
 *
 * @module
 */
import type { Subscription } from "../../src/core/store/store.ts";
import {
  DATABASE_ANSWER_MS,
  DATABASE_CONNECT_MS,
  LEASE_CONNECTIONS_MAX,
  POOL_CONNECTIONS_MAX,
} from "../../src/postgres/limits.ts";
import type { FakeClock } from "./fake_clock.ts";
import type { MemoryDatabase } from "./memory_database.ts";
import { ConnectionLost } from "./memory_engine.ts";
import { type Connections, listenTo } from "./memory_connections.ts";
import {
  SqlError,
  type Steps,
  type Transaction,
} from "./memory_transaction.ts";

/** What is wrong between a node and its database. Tests change it during a run. */
export interface Faults {
  /** Connections are refused, and those that are open break. */
  down: boolean;
  /** Nothing arrives, in either direction, and nothing says so. */
  cut: boolean;
  /** Share of statements that fail before they reach the database. */
  lostRequests: number;
  /** Share of statements that fail after they were executed. */
  lostAnswers: number;
  /** Share of statements that are executed twice. */
  doubledRequests: number;
  /** Share of notifications that never arrive. */
  lostNotifications: number;
  /** Longest delay of a request, of an answer, and of a notification. */
  delayMs: number;
}

export const NO_FAULTS: Readonly<Faults> = {
  down: false,
  cut: false,
  lostRequests: 0,
  lostAnswers: 0,
  doubledRequests: 0,
  lostNotifications: 0,
  delayMs: 0,
};

interface Connection {
  /** The database's restarts when it was opened. It ends with the database. */
  readonly restarts: number;
  /** The other side is gone and did not say so: nothing arrives over it. */
  isSilent: boolean;
}

interface Link {
  readonly connection: Connection;
  readonly subscription: Subscription;
  /** Notifications arrive in their order, so none before this time. */
  arrivesAt: number;
}

/** Connections that a caller may take, up to a number. */
interface Group {
  readonly max: number;
  readonly open: Set<Connection>;
  readonly idle: Connection[];
  /** Connections that are being opened. */
  opening: number;
  /** Callers that wait for a connection, first come first served. */
  readonly waiting: ((connection: Connection) => void)[];
}

function groupOf(max: number): Group {
  return { max, open: new Set(), idle: [], opening: 0, waiting: [] };
}

export class MemoryPool implements Connections {
  readonly faults: Faults = { ...NO_FAULTS };
  readonly #database: MemoryDatabase;
  readonly #clock: FakeClock;
  readonly #random: () => number;
  readonly #work = groupOf(POOL_CONNECTIONS_MAX);
  readonly #lease = groupOf(LEASE_CONNECTIONS_MAX);
  readonly #links = new Set<Link>();
  #isDead = false;

  constructor(
    database: MemoryDatabase,
    clock: FakeClock,
    random: () => number,
  ) {
    this.#database = database;
    this.#clock = clock;
    this.#random = random;
  }

  query<T>(body: (transaction: Transaction) => Steps<T>): Promise<T> {
    return this.#query(this.#work, body);
  }

  queryForLease<T>(body: (transaction: Transaction) => Steps<T>): Promise<T> {
    return this.#query(this.#lease, body);
  }

  async #query<T>(
    group: Group,
    body: (transaction: Transaction) => Steps<T>,
  ): Promise<T> {
    const connection = await this.#take(group);
    try {
      const answer = await this.#within(
        DATABASE_ANSWER_MS,
        "Query read timeout",
        this.#exchange(connection, body),
      );
      this.#give(group, connection);
      return answer;
    } catch (err) {
      if (err instanceof SqlError) this.#give(group, connection);
      else this.#discard(group, connection);
      throw err;
    }
  }

  async listen(onPayload: (payload: string) => void): Promise<Subscription> {
    const connection = await this.#connect();
    const subscription = listenTo(this.#database, (payload) => {
      // Postgres loses none. Of these, nothing else would tell the node.
      const isSure = payload === "renamed";
      this.#deliver(link, isSure, () => onPayload(payload));
    });
    const link: Link = { connection, subscription, arrivesAt: -Infinity };
    this.#links.add(link);
    const readHead = () => this.#database.seq;
    return {
      ...subscription,
      head: () =>
        // deno-lint-ignore require-yield -- one statement, which waits for nothing
        this.#exchange(connection, function* () {
          return readHead();
        }),
    };
  }

  /** Ends the connections that listen. */
  breakLinks(): void {
    for (const { subscription } of this.#links) void subscription.close();
    this.#links.clear();
  }

  /** Connections fall silent, as those that a firewall has forgotten: the idle ones first. */
  silence(count: number): void {
    for (const { open, idle } of [this.#lease, this.#work]) {
      const busy = [...open].filter((one) => !idle.includes(one));
      const live = [...idle.toReversed(), ...busy]
        .filter((one) => !one.isSilent);
      for (const connection of live.slice(0, count)) connection.isSilent = true;
    }
  }

  /** The connections that listen fall silent. */
  silenceLinks(): void {
    for (const { connection } of this.#links) connection.isSilent = true;
  }

  /** The process is killed. What it has sent may still arrive; it sends nothing more. */
  kill(): void {
    this.#isDead = true;
    this.breakLinks();
  }

  async #exchange<T>(
    connection: Connection,
    body: (transaction: Transaction) => Steps<T>,
  ): Promise<T> {
    const { engine } = this.#database;
    const { lostRequests, lostAnswers, doubledRequests } = this.faults;
    if (this.#isDead) throw new ConnectionLost("the process was killed");
    await this.#travel();
    if (this.#isDead && this.#random() < 0.5) return await never();
    this.#requireOpen(connection);
    if (this.faults.cut || connection.isSilent) return await never();
    if (this.#random() < lostRequests) {
      throw new ConnectionLost("injected: request lost");
    }
    if (this.#random() < doubledRequests) {
      await engine.execute(body).catch(() => {});
    }
    const [answer] = await Promise.allSettled([engine.execute(body)]);
    await this.#travel();
    this.#requireOpen(connection);
    if (this.faults.cut || connection.isSilent) return await never();
    if (this.#random() < lostAnswers) {
      throw new ConnectionLost("injected: answer lost");
    }
    if (answer.status === "rejected") throw answer.reason;
    return answer.value;
  }

  #requireOpen({ restarts }: Connection): void {
    if (this.faults.down || restarts !== this.#database.engine.restarts) {
      throw new ConnectionLost("injected: the connection broke");
    }
  }

  async #travel(): Promise<void> {
    const { delayMs } = this.faults;
    if (delayMs > 0) await this.#clock.sleep(this.#random() * delayMs);
  }

  #deliver(link: Link, isSure: boolean, arrive: () => void): void {
    const { delayMs } = this.faults;
    const arriveIfOpen = () => {
      const { down, cut, lostNotifications } = this.faults;
      if (down || cut || link.connection.isSilent) return;
      if (isSure || this.#random() >= lostNotifications) arrive();
    };
    const now = this.#clock.now();
    link.arrivesAt = Math.max(link.arrivesAt, now + this.#random() * delayMs);
    if (link.arrivesAt === now) arriveIfOpen();
    else this.#clock.after(link.arrivesAt - now, arriveIfOpen);
  }

  async #take(group: Group): Promise<Connection> {
    const { idle, open, waiting } = group;
    for (let one = idle.pop(); one !== undefined; one = idle.pop()) {
      // The end of an idle connection is noticed at once, and the connection replaced.
      if (one.restarts === this.#database.engine.restarts) return one;
      open.delete(one);
    }
    if (open.size + group.opening < group.max) return await this.#grow(group);
    const { promise, resolve } = Promise.withResolvers<Connection>();
    waiting.push(resolve);
    try {
      return await this.#within(
        ...[DATABASE_CONNECT_MS, "no connection is free", promise] as const,
      );
    } catch (err) {
      const at = waiting.indexOf(resolve);
      if (at >= 0) waiting.splice(at, 1);
      throw err;
    }
  }

  async #connect(): Promise<Connection> {
    const { engine } = this.#database;
    const { down, cut } = this.faults;
    if (down) throw new ConnectionLost("injected: refused");
    const isAnswered = cut ? never() : engine.connect();
    await this.#within(DATABASE_CONNECT_MS, "connect timeout", isAnswered);
    return { restarts: engine.restarts, isSilent: false };
  }

  /** Opens a connection of a group. */
  async #grow(group: Group): Promise<Connection> {
    group.opening += 1;
    try {
      const connection = await this.#connect();
      group.open.add(connection);
      return connection;
    } finally {
      group.opening -= 1;
    }
  }

  #give({ waiting, idle }: Group, connection: Connection): void {
    const next = waiting.shift();
    if (next !== undefined) next(connection);
    else idle.push(connection);
  }

  /** A connection is closed. Another one can be opened for the next that waits. */
  #discard(group: Group, connection: Connection): void {
    group.open.delete(connection);
    const next = group.waiting.shift();
    if (next !== undefined) void this.#grow(group).then(next, () => {});
  }

  async #within<T>(ms: number, why: string, promise: Promise<T>): Promise<T> {
    const { promise: result, resolve, reject } = Promise.withResolvers<T>();
    const cancel = this.#clock.after(ms, () => reject(new Error(why)));
    promise.then(resolve, reject);
    try {
      return await result;
    } finally {
      cancel();
    }
  }
}

function never(): Promise<never> {
  return new Promise(() => {});
}
