/**
 * Many clients on several nodes, faults of every kind, and a judgement when it is quiet.
 *
 * Run by hand: `deno task chaos --minutes 10 --seed 7`. The seed decides who does what; it
 * does not decide how the operating system schedules it, so a failure may need some tries.
 *
 * @module
 */
import { deepEqual, equal } from "node:assert/strict";
import { parseArgs } from "node:util";
import type { UserId } from "../../src/protocol/user_id.ts";
import { startEmbedded } from "../../src/embedded/embedded.ts";
import { migrateDatabase } from "../../src/postgres/migrate.ts";
import { query, silentLog } from "../support/database.ts";
import { randomFrom } from "../support/random.ts";
import { until } from "../support/until.ts";
import { Slot, TIMES } from "./cluster.ts";
import { type FeedRow, judgeFeed } from "./history.ts";
import {
  Follower,
  Listener,
  type Mover,
  type Person,
  seqOf,
  Synced,
} from "./people.ts";

export interface ChaosOptions {
  readonly minutes: number;
  readonly seed: number;
  readonly nodes: number;
  readonly clients: number;
  readonly print: (line: string) => void;
}

const QUIET_MS = 60_000;
const SDK_CLIENTS = 12;
const LEASE_MS = Number(TIMES.LEASE_MS);

export async function chaos(options: ChaosOptions): Promise<void> {
  const { minutes, seed, nodes, clients, print } = options;
  print(
    `chaos: seed ${seed}, ${nodes} nodes, ${clients} clients, ${minutes} minutes`,
  );
  const random = randomFrom(seed);
  const directory = await Deno.makeTempDir({ prefix: "rollcall-chaos-" });
  const postgres = await startEmbedded(directory, silentLog);
  await using cleanup = new AsyncDisposableStack();
  cleanup.defer(async () => {
    await postgres.stop();
    await Deno.remove(directory, { recursive: true });
  });
  await migrateDatabase(postgres.url);
  const users = Math.ceil(clients * 0.7) + SDK_CLIENTS;
  await query(
    postgres.url,
    "insert into users (id, username) select n, 'user' || n from generate_series(1, $1::int) n",
    [users],
  );
  const slots = Array.from(
    { length: nodes },
    (_, n) => new Slot(`n${n + 1}`, postgres.url),
  );
  for (const slot of slots) cleanup.use(slot);
  await Promise.all(slots.map((slot) => slot.start()));

  const people = populate(clients, users - SDK_CLIENTS);
  const followers = slots.flatMap((slot) =>
    slot.url === undefined ? [] : [slot.url]
  )
    .flatMap((url, place) =>
      Array.from({ length: Math.ceil(SDK_CLIENTS / nodes) }, (_, n) => {
        const userId = users - (place + n * nodes) % SDK_CLIENTS;
        return new Follower(
          url,
          userId,
          n % 3 === 0 ? watchSet(users, random) : "*",
        );
      })
    );
  cleanup.defer(async () => {
    for (const follower of followers) await follower.leave();
  });
  const stop = new AbortController();
  const driving = drive(people, slots, random, stop.signal);
  await breakThings(slots, postgres.url, directory, random, minutes, print);
  stop.abort();
  await driving;

  const everybody = [...people, ...followers];
  await quiet(everybody, slots, postgres.url);
  await judge(everybody, slots, postgres.url, print);
  await Promise.all(people.map((person) => person.leave()));
}

/**
 * Half of the clients of each version, and more clients than users: some have several devices.
 * Every sixth watches some users instead of all.
 */
function populate(clients: number, users: number): Mover[] {
  return Array.from({ length: clients }, (_, index) => {
    const userId = index % users + 1;
    if (index % 2 === 0) return new Listener(userId);
    const watch = index % 6 === 1 ? [userId, 1, 2, 3, 5, 8, 13, 21] : undefined;
    return new Synced(userId, watch);
  });
}

function watchSet(users: number, random: () => number): UserId[] {
  return Array.from({ length: 20 }, () => 1 + Math.floor(random() * users));
}

/** Opens, closes and moves people until told to stop. */
async function drive(
  people: readonly Mover[],
  slots: readonly Slot[],
  random: () => number,
  signal: AbortSignal,
): Promise<void> {
  const working = new Map<Mover, Promise<void>>();
  while (!signal.aborted) {
    const person = pick(people, random);
    const slot = pick(slots, random);
    const dice = random();
    if (!working.has(person)) {
      const work = act(person, slot, dice).finally(() =>
        working.delete(person)
      );
      working.set(person, work);
    }
    await pause(10 + random() * 20);
  }
  await Promise.all(working.values());
}

async function act(person: Mover, slot: Slot, dice: number): Promise<void> {
  const { isOpen } = person;
  if (isOpen && dice >= 0.9) return;
  await person.leave();
  if (!isOpen || dice >= 0.6) await person.enter(slot);
}

type Fault = (
  slot: Slot,
  databaseUrl: string,
  directory: string,
) => Promise<void>;

const FAULTS: Readonly<Record<string, Fault>> = {
  "kill -9": async (slot) => {
    await slot.end("SIGKILL");
    await pause(300);
    await slot.start();
  },
  "SIGTERM": async (slot) => {
    equal(await slot.end("SIGTERM"), 0);
    await slot.start();
  },
  "SIGSTOP past the lease": async (slot) => {
    slot.signal("SIGSTOP");
    await pause(LEASE_MS * 1.7);
    slot.signal("SIGCONT");
  },
  "SIGSTOP within the lease": async (slot) => {
    slot.signal("SIGSTOP");
    await pause(LEASE_MS / 3);
    slot.signal("SIGCONT");
  },
  "random backends terminated": async (_slot, url) => {
    await query(
      url,
      `select pg_terminate_backend(pid) from pg_stat_activity
        where application_name = 'rollcall' and random() < 0.5`,
    );
  },
  "listeners terminated": async (_slot, url) => {
    await query(
      url,
      `select pg_terminate_backend(pid) from pg_stat_activity
        where application_name = 'rollcall'
          and (query like 'listen%' or query like 'select seq from rollcall_internal.counter%')`,
    );
  },
  "database refused": async (slot) => {
    slot.proxy.set("refusing");
    await pause(LEASE_MS * 0.8);
    slot.proxy.set("open");
  },
  "database silent past the lease": async (slot) => {
    slot.proxy.set("silent");
    await pause(LEASE_MS * 1.7);
    slot.proxy.set("open");
  },
  "Postgres killed": async (_slot, url, directory) => {
    const file = await Deno.readTextFile(
      `${directory}/postgres/postmaster.pid`,
    );
    Deno.kill(Number(file.split("\n")[0]), "SIGKILL");
    await until(
      "Postgres is back",
      () => query(url, "select 1").then(() => true, () => false),
      30_000,
    );
  },
  "Postgres stopped and started": async (_slot, url, directory) => {
    const file = await Deno.readTextFile(
      `${directory}/postgres/postmaster.pid`,
    );
    Deno.kill(Number(file.split("\n")[0]), "SIGINT");
    await pause(200);
    await until(
      "Postgres is back",
      () => query(url, "select 1").then(() => true, () => false),
      30_000,
    );
  },
};

/** One fault after another, every kind in turn, on nodes as the dice fall. */
async function breakThings(
  slots: readonly Slot[],
  databaseUrl: string,
  directory: string,
  random: () => number,
  minutes: number,
  print: (line: string) => void,
): Promise<void> {
  const startedAt = Date.now();
  let names: string[] = [];
  while (Date.now() - startedAt < minutes * 60_000) {
    await pause(500 + random() * 1_500);
    if (names.length === 0) names = shuffled(Object.keys(FAULTS), random);
    const name = names.pop() ?? "";
    const slot = pick(slots, random);
    print(
      `${
        ((Date.now() - startedAt) / 1000).toFixed(1).padStart(6)
      } s  ${slot.name}  ${name}`,
    );
    await FAULTS[name]?.(slot, databaseUrl, directory);
  }
}

/** The truth: who has an open socket on a node that lives. */
function truth(everybody: readonly Person[]): UserId[] {
  const open = everybody.filter(({ isOpen }) => isOpen);
  return [...new Set(open.map(({ userId }) => userId))].sort((a, b) => a - b);
}

/** Waits until every node lists the truth and is at the head of the feed. */
async function quiet(
  everybody: readonly Person[],
  slots: readonly Slot[],
  databaseUrl: string,
): Promise<void> {
  await until("all is quiet", async () => {
    const wanted = truth(everybody).join();
    const [{ seq }] = await query(
      databaseUrl,
      "select seq::int from rollcall_internal.counter",
    );
    for (const { url } of slots) {
      const response = await fetch(`${url}users/online`);
      const { online_users } = await response.json();
      if (online_users.map(({ id }: { id: number }) => id).join() !== wanted) {
        return false;
      }
      if (seqOf(response) !== seq) return false;
    }
    return true;
  }, QUIET_MS);
  // What the rosters hold is on its way to the clients.
  await until("everybody was told", async () => {
    const feed = await readFeed(databaseUrl);
    const online = truth(everybody);
    return everybody.every((person) => person.isTold(feed, online));
  }, QUIET_MS);
}

async function judge(
  everybody: readonly Person[],
  slots: readonly Slot[],
  databaseUrl: string,
  print: (line: string) => void,
): Promise<void> {
  const online = truth(everybody);
  const ids = async (sql: string) =>
    (await query(databaseUrl, sql)).map(({ id }) => id);
  deepEqual(
    await ids("select id from users where status = 'online' order by id"),
    online,
  );
  deepEqual(await ids("select id from online_users order by id"), online);
  deepEqual(
    await ids(
      "select distinct user_id as id from rollcall_internal.claims order by 1",
    ),
    online,
  );
  const [{ nodes, strays }] = await query(
    databaseUrl,
    `select (select count(*)::int from rollcall_internal.nodes) as nodes,
            (select count(*)::int from rollcall_internal.claims
              where node_id not in (select id from rollcall_internal.nodes)) as strays`,
  );
  equal(nodes, slots.length, "rows of dead nodes remain");
  equal(strays, 0, "claims of dead nodes remain");

  const feed = await readFeed(databaseUrl);
  judgeFeed(feed);
  for (const person of everybody) person.judge(feed, online);
  const messages = everybody.reduce((sum, { heard }) => sum + heard, 0);
  print(
    `judged: ${feed.length} transitions, ${everybody.length} clients, ${messages} messages, ${online.length} users online`,
  );
}

async function readFeed(databaseUrl: string): Promise<FeedRow[]> {
  return await query(
    databaseUrl,
    `select seq::int, user_id as "userId", status from rollcall_internal.feed order by seq`,
  );
}

function pick<T>(items: readonly T[], random: () => number): T {
  return items[Math.floor(random() * items.length)] as T;
}

function shuffled<T>(items: readonly T[], random: () => number): T[] {
  return items.map((item) => ({ item, key: random() }))
    .sort((a, b) => a.key - b.key).map(({ item }) => item);
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      minutes: { type: "string", default: "10" },
      seed: { type: "string", default: String(Date.now() % 2 ** 31) },
      nodes: { type: "string", default: "3" },
      clients: { type: "string", default: "120" },
    },
  });
  await chaos({
    minutes: Number(values.minutes),
    seed: Number(values.seed),
    nodes: Number(values.nodes),
    clients: Number(values.clients),
    print: (line) =>
      Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`)),
  });
  Deno.exit(0);
}
