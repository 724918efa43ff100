/**
 * Measures what groups cost: in the core, with sockets that only count, and in the database.
 *
 * Run by hand: `deno run -A tests/bench/groups.ts [core] [database]`. The numbers of the core are CPU
 * time of this process, without what it takes when nobody is connected. A real socket costs more
 * for each message, which makes large groups more expensive and changes nothing for small ones.
 *
 * @module
 */
import process from "node:process";
import pg from "pg";
import { noMetrics } from "../../src/base/metrics.ts";
import { Connection } from "../../src/core/connections/connection.ts";
import { Hub } from "../../src/core/connections/hub.ts";
import { Fanout } from "../../src/core/fanout/fanout.ts";
import { Subscriptions } from "../../src/core/fanout/subscriptions.ts";
import { Roster } from "../../src/core/roster/roster.ts";
import type { Transition } from "../../src/core/store/store.ts";
import { migrateDatabase } from "../../src/postgres/migrate.ts";
import { PostgresStore } from "../../src/postgres/postgres_store.ts";
import { DEFAULT_USERS } from "../../src/postgres/users_table.ts";
import { query, scratchPostgres, silentLog } from "../support/database.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { FakeSocket, rememberingLog } from "../support/fakes.ts";
import { printLine } from "../support/print_line.ts";

const USERS = 20_000;
/** Fewer where each has many messages. */
const TRANSITIONS = 8_000;
const TRANSITIONS_LARGE = 400;
const MANY = 100;
const LEASE_MS = 600_000;

/** A roster and a fan-out over connections of every user, whose sockets count what is sent. */
class Node {
  readonly #roster = new Roster();
  readonly #clock = new FakeClock();
  readonly #fanout: Fanout;
  #seq = 0;
  sent = 0;

  constructor(hasGroups: boolean) {
    const roster = this.#roster;
    this.#fanout = new Fanout({
      ...{ roster, subscriptions: new Subscriptions(roster), hasGroups },
      ...{ clock: this.#clock, log: rememberingLog(), metrics: noMetrics },
      ...{ intervalMs: 50, stateUsersMax: 2 * USERS },
      connections: { hub: new Hub(), disconnect: () => {} },
    });
  }

  set(userId: number, groups: readonly string[] | undefined, isOnline = true) {
    const transition: Transition = {
      ...{ seq: ++this.#seq, userId, username: `user${userId}` },
      status: isOnline ? "online" : "offline",
      ...isOnline ? { groups } : { groupsBefore: groups },
    };
    const change = this.#roster.advance(transition);
    if (change !== undefined) this.#fanout.record(change);
    this.#fanout.publish();
  }

  connect(userId: number, version: 1 | 2): void {
    const socket = new FakeSocket();
    socket.send = () => void (this.sent += 1);
    const start = { version, endsAt: Infinity, receivedAt: 0 };
    const connection = new Connection(userId, socket, start);
    connection.confirm();
    const { ring } = this.#roster;
    if (version === 1) this.#fanout.subscribeV1(connection, ring.head);
    else this.#fanout.subscribeV2(connection);
  }

  async settle(): Promise<void> {
    await this.#clock.advance(60);
  }

  async stop(): Promise<void> {
    await this.#fanout.stop();
  }
}

function cpuMs(since?: NodeJS.CpuUsage): number {
  const { user, system } = process.cpuUsage(since);
  return (user + system) / 1_000;
}

interface Case {
  readonly version: 1 | 2;
  readonly title: string;
  readonly groupsOf: (userId: number) => readonly string[] | undefined;
  /** Whether each user has a connection. Without them, the cost is that of the roster and of this program. */
  readonly isConnected?: boolean;
  /** Users who come and go. Default: all, in turn. */
  readonly only?: number;
  readonly transitions?: number;
}

/** CPU of one transition in milliseconds, and the messages that it causes. */
async function run(
  { version, groupsOf, isConnected = true, only, transitions = TRANSITIONS }:
    Case,
): Promise<{ ms: number; messages: number }> {
  const node = new Node(groupsOf(1) !== undefined);
  for (let id = 1; id <= USERS; id++) node.set(id, groupsOf(id));
  for (let id = 1; isConnected && id <= USERS; id++) node.connect(id, version);
  await node.settle();
  const toggle = async (count: number) => {
    for (let n = 0; n < count; n++) {
      const id = only ?? 1 + (Math.floor(n / 2) * 7_919) % USERS;
      node.set(id, groupsOf(id), n % 2 === 1);
      await node.settle();
    }
  };
  await toggle(transitions / 4);
  node.sent = 0;
  const before = process.cpuUsage();
  await toggle(transitions);
  const ms = cpuMs(before) / transitions;
  await node.stop();
  return { ms, messages: node.sent / transitions };
}

/** Of the connections alone. */
async function measure(one: Case): Promise<number> {
  const base = await run({ ...one, isConnected: false });
  const { ms, messages } = await run(one);
  const net = ms - base.ms;
  printLine(
    `v${one.version} ${one.title}: ${(net * 1_000).toFixed(1)} us and ${
      messages.toFixed(1)
    } messages for each transition, beside ${
      (base.ms * 1_000).toFixed(1)
    } us without connections`,
  );
  return net;
}

async function measureCore(): Promise<void> {
  const teams = USERS / 20;
  for (const version of [1, 2] as const) {
    const team = (id: number) => [`team ${id % teams}`];
    const everybody = await measure({
      ...{ version, title: "no groups", groupsOf: () => undefined },
      transitions: TRANSITIONS_LARGE,
    });
    const one = await measure({
      ...{ version, title: "one group of 20,000", groupsOf: () => ["all"] },
      transitions: TRANSITIONS_LARGE,
    });
    const small = await measure({
      ...{ version, title: "1,000 groups of 20", groupsOf: team },
    });
    await measure({
      ...{ version, title: "a user in 100 groups of 20", only: 1 },
      groupsOf: (id) =>
        id === 1
          ? Array.from({ length: MANY }, (_, n) => `team ${n}`)
          : team(id),
    });
    printLine(
      `v${version}: one group costs ${
        (one / everybody).toFixed(2)
      } of no groups, 1,000 groups 1/${(one / small).toFixed()} of one`,
    );
  }
}

async function timed(work: () => Promise<unknown>): Promise<number> {
  const startedAt = performance.now();
  await work();
  return performance.now() - startedAt;
}

/** Writes of 1,000 users, and 100,000 changed memberships in one transaction. */
async function measureDatabase(): Promise<void> {
  const users = 100_000;
  await using postgres = await scratchPostgres();
  const { url } = postgres;
  await query(
    url,
    `create table users (id integer primary key, username text not null);
     insert into users select g, 'user ' || g from generate_series(1, ${users}) g;
     create table memberships (user_id integer, group_id text, primary key (user_id, group_id));
     insert into memberships select g, 'team ' || g % 1000 from generate_series(1, ${users}) g;
     create table many (user_id integer, group_id text, primary key (user_id, group_id));
     insert into many select u, 'group ' || g from generate_series(1, 1000) u, generate_series(1, ${MANY}) g;
     analyze`,
  );
  const thousand = Array.from({ length: 1_000 }, (_, index) => index + 1);
  const measureApply = async (title: string, table?: string) => {
    const groups = table === undefined
      ? undefined
      : { source: { kind: "table", name: table } as const, perUserMax: MANY };
    await migrateDatabase(url, { ...DEFAULT_USERS, groups });
    const store = new PostgresStore(url, silentLog);
    const id = crypto.randomUUID();
    await store.join(id, LEASE_MS);
    const times: number[] = [];
    for (let n = 0; n < 20; n++) {
      times.push(await timed(() => store.apply(id, thousand, [])));
      await store.apply(id, [], thousand);
    }
    times.sort((a, b) => a - b);
    printLine(
      `1,000 users come online, ${title}: ${times[10]?.toFixed(1)} ms`,
    );
    return { store, id };
  };
  const stop = async ({ store, id }: { store: PostgresStore; id: string }) => {
    await store.leave(id, 0);
    await store.close();
  };
  await stop(await measureApply("no groups"));
  await stop(await measureApply("each in 100 groups", "many"));
  const node = await measureApply("each in one group", "memberships");
  const { store, id } = node;
  for (let first = 1; first <= users; first += 1_000) {
    await store.apply(id, thousand.map((n) => first - 1 + n), []);
  }
  const application = new pg.Client({ connectionString: url });
  await application.connect();
  const told = await timed(() =>
    application.query(
      `begin; update memberships set group_id = 'new ' || user_id % 1000;
       select rollcall.groups_changed(array(select user_id from memberships)); commit`,
    )
  );
  let transitions = 0;
  let longest = 0;
  const compared = await timed(async () => {
    for (let isMore = true; isMore;) {
      longest = Math.max(
        longest,
        await timed(async () => {
          const regrouped = await store.regroup(id);
          transitions += regrouped.transitions.length;
          isMore = regrouped.isMore;
        }),
      );
    }
  });
  printLine(
    `100,000 changed memberships in one transaction: ${told.toFixed()} ms for the application, then ${transitions} transitions in ${compared.toFixed()} ms, at most ${longest.toFixed()} ms at once`,
  );
  await application.end();
  await stop(node);
}

const parts = Deno.args.length === 0 ? ["core", "database"] : Deno.args;
if (parts.includes("core")) await measureCore();
if (parts.includes("database")) await measureDatabase();
