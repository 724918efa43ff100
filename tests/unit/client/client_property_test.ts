/**
 * The client's copy against the real fan-out, over a link that is slow and breaks: whatever is
 * watched, refused, counted or lost, and in whatever order it arrives, the copy ends right, and
 * what was told on the way is exactly what changed.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { Subscriptions } from "../../../src/core/fanout/subscriptions.ts";
import { DISCONNECT } from "../../../src/protocol/disconnect.ts";
import { Replica } from "../../../src/client/replica.ts";
import { toWatchSet, type WatchSet } from "../../../src/client/users.ts";
import {
  Connection,
  NEEDS_SNAPSHOT,
} from "../../../src/core/connections/connection.ts";
import { Fanout } from "../../../src/core/fanout/fanout.ts";
import { ClientMessages } from "../../../src/socket/client_messages.ts";
import { noMetrics } from "../../../src/base/metrics.ts";
import type { UserId } from "../../../src/protocol/user_id.ts";
import { Roster } from "../../../src/core/roster/roster.ts";
import { FakeClock } from "../../support/fake_clock.ts";
import { FakeSocket, rememberingLog } from "../../support/fakes.ts";
import { randomFrom } from "../../support/random.ts";

const SEED = Number(Deno.env.get("SEED") ?? Date.now() % 2 ** 31);
const RUNS = Number(Deno.env.get("RUNS") ?? 3_000);
const STEPS = 150;
const USERS = 8;
const WATCHED_MAX = 4;
/** Of a node: little more than two sets, so that it is full now and then. */
const WATCHED_IDS_MAX = 6;

/** A node with one client, and another that takes its room. */
class World {
  readonly #random: () => number;
  readonly #clock = new FakeClock();
  readonly #roster = new Roster(12);
  readonly #subscriptions = new Subscriptions(WATCHED_IDS_MAX);
  readonly #fanout: Fanout;
  readonly #other: Connection;
  readonly #replica: Replica;
  #link:
    | {
      connection: Connection;
      messages: ClientMessages;
      down: FakeSocket;
      up: string[];
      heard: number;
    }
    | undefined;
  #wasRefused = false;
  #seq = 0;
  /** What an application knows that only listens. */
  readonly #told = new Set<UserId>();

  constructor(seed: number) {
    this.#random = randomFrom(seed);
    const stateUsersMax = this.#pick([3, 100]);
    this.#fanout = new Fanout({
      ...{ subscriptions: this.#subscriptions, roster: this.#roster },
      ...{ clock: this.#clock, log: rememberingLog(), metrics: noMetrics },
      ...{ intervalMs: 50, stateUsersMax },
      connections: { disconnect: () => this.#lose() },
    });
    this.#other = this.#newConnection(new FakeSocket(), NEEDS_SNAPSHOT);
    this.#replica = new Replica(
      "*",
      (watch) => this.#link?.up.push(JSON.stringify(watch)),
    );
  }

  async run(): Promise<void> {
    for (let step = 0; step < STEPS; step++) {
      await this.#pass();
      const what = this.#random();
      if (what < 0.25) this.#change();
      else if (what < 0.5) this.#hear();
      else if (what < 0.65) this.#answer();
      else if (what < 0.75) this.#replica.watch(this.#someWish());
      else if (what < 0.8) this.#crowd(this.#someIds(1 + this.#below(4)));
      else if (what < 0.83) this.#lose();
      else this.#connect();
    }
    this.#crowd(new Set());
    for (let step = 0; step < 60; step++) {
      this.#connect();
      await this.#pass();
      this.#hear();
      this.#answer();
    }
    this.#judge();
    await this.#fanout.stop();
  }

  /** Time goes on, and the node's passes with it. */
  async #pass(): Promise<void> {
    time += 1_000;
    await this.#clock.advance(1_000);
    if (this.#link !== undefined && this.#random() < 0.1) {
      this.#fanout.keepAlive(this.#link.connection);
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
    this.#fanout.advanced(this.#roster.advance(change));
  }

  #hear(): void {
    const text = this.#link?.down.sent[this.#link.heard];
    if (this.#link === undefined || text === undefined) return;
    this.#link.heard += 1;
    let news;
    try {
      news = this.#replica.take(JSON.parse(text));
    } catch {
      this.#replica.distrust();
      return this.#lose();
    }
    for (const { type, user } of news.changes) {
      const isNews = this.#told.has(user.id) === (type === "offline");
      ok(isNews, `${user.id} is told to be ${type} twice`);
      if (type === "online") this.#told.add(user.id);
      else this.#told.delete(user.id);
    }
    if (news.isAnew) this.#told.clear();
    if (news.isAnew) {
      for (const id of this.#replica.users.keys()) this.#told.add(id);
    }
    deepEqual(sorted(this.#told), sorted(this.#replica.users.keys()));
  }

  #answer(): void {
    const text = this.#link?.up.shift();
    if (text !== undefined) this.#link?.messages.take(text);
  }

  #connect(): void {
    if (this.#link !== undefined) return;
    const query = new URLSearchParams();
    this.#replica.begin(query, this.#wasRefused);
    const list = query.get("watch");
    const watch = list === null
      ? "*"
      : new Set(list === "" ? [] : list.split(",").map(Number));
    this.#wasRefused = watch !== "*" && watch.size > WATCHED_MAX;
    if (this.#wasRefused) return;
    const since = query.get("since");
    const cursor = since === null
      ? NEEDS_SNAPSHOT
      : this.#roster.positionAfter(Number(since)) ?? NEEDS_SNAPSHOT;
    const down = new FakeSocket();
    const connection = this.#newConnection(down, cursor);
    const messages = new ClientMessages({
      verify: () =>
        Promise.resolve({ ok: false, why: DISCONNECT.tokenMalformed }),
      ...{ fanout: this.#fanout, log: rememberingLog() },
      ...{ watchedUsersMax: WATCHED_MAX, endOf: (exp) => exp, now: () => time },
    }, connection);
    this.#link = { connection, messages, down, up: [], heard: 0 };
    if (watch === "*") this.#fanout.wake();
    else if (
      this.#fanout.watch(connection, watch, { since: cursor }) === "full"
    ) this.#lose();
  }

  #newConnection(socket: FakeSocket, cursor: number): Connection {
    const start = { version: 2, cursor, endsAt: Infinity } as const;
    const connection = new Connection(1, socket, start);
    connection.confirm();
    this.#subscriptions.add(connection);
    return connection;
  }

  #lose(): void {
    if (this.#link === undefined) return;
    this.#subscriptions.remove(this.#link.connection);
    this.#link.connection.end();
    this.#link = undefined;
    this.#replica.end();
  }

  /** Somebody else watches as many. */
  #crowd(ids: ReadonlySet<UserId>): void {
    this.#fanout.watch(this.#other, ids);
  }

  #someWish(): WatchSet {
    return this.#random() < 0.35
      ? "*"
      : toWatchSet(this.#someIds(this.#random() < 0.15 ? 6 : this.#below(4)));
  }

  #someIds(size: number): Set<UserId> {
    const ids = new Set<UserId>();
    while (ids.size < size) ids.add(1 + this.#below(USERS));
    return ids;
  }

  #judge(): void {
    const { connection } = this.#link ?? {};
    ok(connection?.sync !== undefined, "there is no connection at the end");
    const { watching, isCounting } = connection.sync;
    if (isCounting) {
      equal(this.#replica.users.size, 0);
      equal(this.#replica.count, this.#roster.size);
      return;
    }
    const truth = this.#roster.users(watching?.ids).map(({ id }) => id);
    deepEqual(sorted(this.#replica.users.keys()), truth);
  }

  #below(n: number): number {
    return Math.floor(this.#random() * n);
  }

  #pick<T>(list: readonly T[]): T {
    return list[this.#below(list.length)] as T;
  }
}

/** What `Date.now` tells, so that the client's pace does not wait. */
let time = 0;

const sorted = (ids: Iterable<UserId>) => [...ids].sort((a, b) => a - b);

Deno.test(`[S1][S2][S4] the copy ends right after ${RUNS} stories, seed ${SEED}`, async () => {
  const realNow = Date.now;
  Date.now = () => time;
  try {
    for (let run = 0; run < RUNS; run++) {
      try {
        await new World(SEED + run).run();
      } catch (err) {
        throw new Error(`SEED=${SEED + run} RUNS=1 repeats it`, { cause: err });
      }
    }
  } finally {
    Date.now = realNow;
  }
});
