/**
 * The client's copy against the real fan-out, over a connection that is slow and breaks.
 *
 * Random watches, refusals, counts and lost connections, in random order: at the end the copy
 * equals the roster, and the events on the way are exactly the changes of the copy.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { Subscriptions } from "../../../src/core/fanout/subscriptions.ts";
import { DISCONNECT } from "../../../src/client/protocol/disconnect.ts";
import { Replica } from "../../../src/client/replica.ts";
import { toWatchSet, type WatchSet } from "../../../src/client/users.ts";
import { Connection } from "../../../src/core/connections/connection.ts";
import { Hub } from "../../../src/core/connections/hub.ts";
import { publishChange } from "../../support/fanout.ts";
import { Fanout } from "../../../src/core/fanout/fanout.ts";
import { ClientMessages } from "../../../src/socket/client_messages.ts";
import { noMetrics } from "../../../src/base/metrics.ts";
import {
  INTEGER_IDS,
  type UserId,
} from "../../../src/client/protocol/user_id.ts";
import { Roster } from "../../../src/core/roster/roster.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import {
  FakeSocket,
  rememberingLog,
  unlimited,
  WITHOUT_GROUPS,
} from "../../support/fakes.ts";
import { randomFrom } from "../../support/random.ts";
import { FakePlatform } from "./fake_platform.ts";

const SEED = Number(Deno.env.get("SEED") ?? Date.now() % 2 ** 31);
const RUNS = Number(Deno.env.get("RUNS") ?? 3_000);
const STEPS = 150;
const USERS = 8;
const WATCHED_MAX = 4;
/** The node's limit. Little more than two watch sets, so that the node is overloaded at times. */
const WATCHED_IDS_MAX = 6;

/** A node with one client, and another connection that uses up the watched ids. */
class World {
  readonly #random: () => number;
  readonly #clock = new FakeClock();
  readonly #roster = new Roster(12);
  readonly #subscriptions = new Subscriptions(
    this.#roster,
    WATCHED_IDS_MAX,
  );
  readonly #fanout: Fanout;
  readonly #other: Connection;
  readonly #replica: Replica;
  #link:
    | {
      connection: Connection;
      messages: ClientMessages;
      /** Messages to the client, of which it has received `received`. */
      down: FakeSocket;
      received: number;
      /** Messages to the server that have not arrived. */
      up: string[];
    }
    | undefined;
  #wasRefused = false;
  #seq = 0;
  /** The online users according to the events alone. */
  readonly #reported = new Set<UserId>();

  constructor(seed: number) {
    this.#random = randomFrom(seed);
    const stateUsersMax = this.#pick([3, 100]);
    this.#fanout = new Fanout({
      ...{ subscriptions: this.#subscriptions, roster: this.#roster },
      ...{ clock: this.#clock, log: rememberingLog(), metrics: noMetrics },
      ...{ intervalMs: 50, stateUsersMax },
      hasGroups: false,
      connections: { hub: new Hub(), disconnect: () => this.#disconnect() },
    });
    this.#other = this.#newConnection(new FakeSocket());
    this.#fanout.subscribeV2(this.#other);
    this.#replica = new Replica(
      "*",
      (watch) => this.#link?.up.push(JSON.stringify(watch)),
      new FakePlatform(this.#clock),
    );
  }

  async run(): Promise<void> {
    for (let step = 0; step < STEPS; step++) {
      await this.#passTime();
      const action = this.#random();
      if (action < 0.25) this.#change();
      else if (action < 0.5) this.#receive();
      else if (action < 0.65) this.#deliverToServer();
      else if (action < 0.75) this.#replica.watch(this.#someWatchSet());
      else if (action < 0.8) {
        this.#watchFromOther(this.#someIds(1 + this.#below(4)));
      } else if (action < 0.83) this.#disconnect();
      else this.#connect();
    }
    this.#watchFromOther(new Set());
    for (let step = 0; step < 60; step++) {
      this.#connect();
      await this.#passTime();
      this.#receive();
      this.#deliverToServer();
    }
    this.#check();
    await this.#fanout.stop();
  }

  /** One second, for the client and for the fan-out. */
  async #passTime(): Promise<void> {
    await this.#clock.advance(1_000);
    if (this.#link !== undefined && this.#random() < 0.1) {
      this.#fanout.keepAlive(this.#link.connection, 0);
    }
  }

  #change(): void {
    const userId = 1 + this.#below(USERS);
    const isOnline = this.#roster.nameOf(userId) !== undefined;
    const status = isOnline ? "offline" : "online";
    this.#seq += 1;
    const change = {
      seq: this.#seq,
      userId,
      username: "name",
      status,
    } as const;
    publishChange(this.#fanout, this.#roster.advance(change));
  }

  #receive(): void {
    const text = this.#link?.down.sent[this.#link.received];
    if (this.#link === undefined || text === undefined) return;
    this.#link.received += 1;
    let update;
    try {
      update = this.#replica.apply(JSON.parse(text));
    } catch {
      this.#replica.requireSnapshot();
      return this.#disconnect();
    }
    for (const { type, user } of update.changes) {
      const isChange = this.#reported.has(user.id) === (type === "offline");
      ok(isChange, `${user.id} is reported ${type} twice`);
      if (type === "online") this.#reported.add(user.id);
      else this.#reported.delete(user.id);
    }
    if (update.isReset) {
      this.#reported.clear();
      for (const id of this.#replica.users.keys()) this.#reported.add(id);
    }
    deepEqual(sorted(this.#reported), sorted(this.#replica.users.keys()));
  }

  #deliverToServer(): void {
    const text = this.#link?.up.shift();
    if (text !== undefined) this.#link?.messages.receive(text);
  }

  #connect(): void {
    if (this.#link !== undefined) return;
    const query = new URLSearchParams(
      this.#replica.startConnection(this.#wasRefused),
    );
    const list = query.get("watch");
    const watch: ReadonlySet<UserId> | "*" = list === null
      ? "*"
      : new Set(list === "" ? [] : list.split(",").map(Number));
    this.#wasRefused = watch !== "*" && watch.size > WATCHED_MAX;
    if (this.#wasRefused) return;
    const since = query.get("since");
    const down = new FakeSocket();
    const connection = this.#newConnection(down);
    const messages = new ClientMessages(
      {
        ...unlimited(() =>
          Promise.resolve({ ok: false, why: DISCONNECT.tokenMalformed })
        ),
        ...{ fanout: this.#fanout, log: rememberingLog(), ids: INTEGER_IDS },
        ...WITHOUT_GROUPS,
        ...{
          watchedUsersMax: WATCHED_MAX,
          endOf: (exp) => exp,
          now: () => this.#clock.now(),
        },
      },
      connection,
      "192.0.2.1",
    );
    this.#link = { connection, messages, down, up: [], received: 0 };
    const start = {
      since: since === null ? undefined : Number(since),
      watch,
    };
    if (this.#fanout.subscribeV2(connection, start) === "full") {
      this.#disconnect();
    }
  }

  #newConnection(socket: FakeSocket): Connection {
    const start = { version: 2, endsAt: Infinity, receivedAt: 0 } as const;
    const connection = new Connection(1, socket, start);
    connection.confirm();
    return connection;
  }

  #disconnect(): void {
    if (this.#link === undefined) return;
    this.#fanout.ended(this.#link.connection);
    this.#link.connection.end();
    this.#link = undefined;
    this.#replica.endConnection();
  }

  /** The other connection watches these users. */
  #watchFromOther(ids: ReadonlySet<UserId>): void {
    this.#fanout.watch(this.#other, ids);
  }

  #someWatchSet(): WatchSet {
    return this.#random() < 0.35
      ? "*"
      : toWatchSet(this.#someIds(this.#random() < 0.15 ? 6 : this.#below(4)));
  }

  #someIds(size: number): Set<UserId> {
    const ids = new Set<UserId>();
    while (ids.size < size) ids.add(1 + this.#below(USERS));
    return ids;
  }

  #check(): void {
    ok(this.#link !== undefined, "the client is not connected at the end");
    const { connection } = this.#link;
    const subscriber = this.#subscriptions.v2SubscriberOf(connection);
    ok(subscriber !== undefined, "the client is not subscribed at the end");
    const { state, scope } = subscriber;
    if (state.kind === "counting") {
      equal(this.#replica.users.size, 0);
      equal(this.#replica.count, this.#roster.size);
      return;
    }
    const watched = scope === "*" ? undefined : scope;
    const online = this.#roster.everybody.users(watched).map(({ id }) => id);
    deepEqual(sorted(this.#replica.users.keys()), online);
  }

  #below(n: number): number {
    return Math.floor(this.#random() * n);
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#below(list.length)] as T;
  }
}

const sorted = (ids: Iterable<UserId>) => [...ids].sort(INTEGER_IDS.compare);

Deno.test(`[S1][S2][S4] the client's copy equals the roster after ${RUNS} random runs, seed ${SEED}`, async () => {
  for (let run = 0; run < RUNS; run++) {
    try {
      await new World(SEED + run).run();
    } catch (err) {
      throw new Error(`SEED=${SEED + run} RUNS=1 reproduces it`, {
        cause: err,
      });
    }
  }
});
