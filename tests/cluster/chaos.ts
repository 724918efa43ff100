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
import { within } from "../../src/clock.ts";
import type { UserId } from "../../src/protocol.ts";
import { startEmbedded } from "../../src/store/embedded.ts";
import { migrateDatabase } from "../../src/store/migrate.ts";
import { connect, type TestClient } from "../support/client.ts";
import { query, silentLog } from "../support/database.ts";
import { randomFrom } from "../support/random.ts";
import { until } from "../support/until.ts";
import { Slot, TIMES } from "./cluster.ts";
import { type FeedRow, judgeFeed, judgeLife, type Life } from "./history.ts";

export interface ChaosOptions {
  readonly minutes: number;
  readonly seed: number;
  readonly nodes: number;
  readonly clients: number;
  readonly print: (line: string) => void;
}

const QUIET_MS = 60_000;
const LEASE_MS = Number(TIMES.LEASE_MS);

/** A person with a device: connects somewhere, goes, comes back elsewhere. */
interface Person {
  readonly userId: UserId;
  client: TestClient | undefined;
  life: Omit<Life, "isOpen"> | undefined;
  busy: boolean;
}

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
  const users = Math.ceil(clients * 0.7);
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

  // More clients than users: some have several devices.
  const people: Person[] = Array.from({ length: clients }, (_, index) => ({
    userId: index % users + 1,
    client: undefined,
    life: undefined,
    busy: false,
  }));
  const ended: Life[] = [];
  const stop = new AbortController();
  const driving = drive(people, slots, ended, random, stop.signal);
  await breakThings(slots, postgres.url, directory, random, minutes, print);
  stop.abort();
  await driving;

  await quiet(people, slots, postgres.url);
  await judge(people, slots, ended, postgres.url, print);
  await Promise.all(people.map(({ client }) => client?.close()));
}

/** Opens, closes and moves people until told to stop. */
async function drive(
  people: readonly Person[],
  slots: readonly Slot[],
  ended: Life[],
  random: () => number,
  signal: AbortSignal,
): Promise<void> {
  const working = new Set<Promise<void>>();
  while (!signal.aborted) {
    const person = pick(people, random);
    const slot = pick(slots, random);
    if (!person.busy) {
      const work = act(person, slot, ended, random()).finally(() =>
        working.delete(work)
      );
      working.add(work);
    }
    await pause(10 + random() * 20);
  }
  await Promise.all(working);
}

async function act(
  person: Person,
  slot: Slot,
  ended: Life[],
  dice: number,
): Promise<void> {
  person.busy = true;
  try {
    const isOpen = person.client?.socket.readyState === WebSocket.OPEN;
    if (isOpen && dice < 0.6) await leave(person, ended);
    else if (isOpen && dice < 0.9) {
      await leave(person, ended);
      await enter(person, slot);
    } else if (!isOpen) {
      await leave(person, ended);
      await enter(person, slot);
    }
  } finally {
    person.busy = false;
  }
}

async function enter(person: Person, slot: Slot): Promise<void> {
  const { url } = slot;
  if (url === undefined) return;
  try {
    const client = await connect(url, person.userId);
    person.client = client;
    // The ETag is the roster's seq; a node that dies meanwhile leaves an open end.
    const openSeq = await readSeq(url).catch(() => Infinity);
    person.life = {
      userId: person.userId,
      node: slot.name,
      openSeq,
      heard: client.messages,
    };
  } catch {
    // The node is not there at the moment.
  }
}

async function leave(person: Person, ended: Life[]): Promise<void> {
  const { client, life } = person;
  person.client = undefined;
  person.life = undefined;
  if (client === undefined) return;
  // A paused or cut-off server does not answer; what is left of the socket is not waited for.
  await within(15_000, "closing", client.close()).catch(() => {});
  if (life !== undefined) ended.push({ ...life, isOpen: false });
}

async function readSeq(url: string): Promise<number> {
  const response = await fetch(`${url}users/online`, {
    signal: AbortSignal.timeout(5_000),
  });
  await response.body?.cancel();
  return seqOf(response);
}

/** The ETag begins with the roster's seq. */
function seqOf(response: Response): number {
  return parseInt((response.headers.get("etag") ?? "").slice(1));
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
function truth(people: readonly Person[]): UserId[] {
  const open = people.filter(({ client }) =>
    client?.socket.readyState === WebSocket.OPEN
  );
  return [...new Set(open.map(({ userId }) => userId))].sort((a, b) => a - b);
}

/** Waits until every node lists the truth and is at the head of the feed. */
async function quiet(
  people: readonly Person[],
  slots: readonly Slot[],
  databaseUrl: string,
): Promise<void> {
  await until("all is quiet", async () => {
    const wanted = truth(people).join();
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
  // What the rosters hold is on its way to the clients; a last event overtakes none of it.
  const [{ seq }] = await query(
    databaseUrl,
    "select seq::int from rollcall_internal.counter",
  );
  await until("everybody was told", async () => {
    const rows = await readFeed(databaseUrl);
    if (rows.length !== seq) return false;
    return people.every(({ userId, client, life }) => {
      const last = rows.findLast((row) => row.userId !== userId);
      if (client?.socket.readyState !== WebSocket.OPEN || last === undefined) {
        return true;
      }
      if (life === undefined || last.seq <= life.openSeq) return true;
      const heard = client.messages.at(-1);
      return heard?.userId === last.userId &&
        heard.type === `user_${last.status}`;
    });
  }, QUIET_MS);
}

async function judge(
  people: readonly Person[],
  slots: readonly Slot[],
  ended: readonly Life[],
  databaseUrl: string,
  print: (line: string) => void,
): Promise<void> {
  const online = truth(people);
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
  const open = people.flatMap(({ client, life }) =>
    client?.socket.readyState === WebSocket.OPEN && life !== undefined
      ? [{ ...life, isOpen: true }]
      : life === undefined
      ? []
      : [{ ...life, isOpen: false }]
  );
  for (const life of [...ended, ...open]) judgeLife(life, feed);
  const messages = [...ended, ...open].reduce(
    (sum, { heard }) => sum + heard.length,
    0,
  );
  print(
    `judged: ${feed.length} transitions, ${
      ended.length + open.length
    } connections, ${messages} messages, ${online.length} users online`,
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
