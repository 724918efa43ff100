/**
 * A chaos run: many clients on several nodes, faults of every kind, and in the end, when all is
 * quiet, a check of every promise.
 *
 * @module
 */
import { INTEGER_IDS, type UserId } from "../../src/client/protocol/user_id.ts";
import { migrateDatabase } from "../../src/postgres/migrate.ts";
import { query, scratchPostgres } from "../support/database.ts";
import { randomFrom } from "../support/random.ts";
import { pause, until, untilEqual } from "../support/until.ts";
import { actAsApplication, endApplication } from "./application.ts";
import { Machine } from "./cluster.ts";
import { causeFaults, pick } from "./faults.ts";
import { type FeedRow, judgeFeed } from "./history.ts";
import {
  type ChaosClient,
  LibraryClient,
  type MovingClient,
  seqOf,
  V1Client,
  V2Client,
} from "./clients.ts";

export interface ChaosOptions {
  readonly minutes: number;
  readonly seed: number;
  readonly nodes: number;
  readonly clients: number;
  readonly print: (line: string) => void;
}

export const QUIET_MS = 60_000;
const LIBRARY_CLIENTS = 12;

export async function chaos(options: ChaosOptions): Promise<void> {
  const { minutes, seed, nodes, clients, print } = options;
  print(
    `chaos: seed ${seed}, ${nodes} nodes, ${clients} clients, ${minutes} minutes`,
  );
  const random = randomFrom(seed);
  await using cleanup = new AsyncDisposableStack();
  const postgres = cleanup.use(await scratchPostgres());
  await migrateDatabase(postgres.url);
  await query(postgres.url, "update rollcall_internal.counter set seq = 0");
  const users = Math.ceil(clients * 0.7) + LIBRARY_CLIENTS;
  await query(
    postgres.url,
    "insert into users (id, username) select n, 'user' || n from generate_series(1, $1::int) n",
    [users],
  );
  const machines = Array.from(
    { length: nodes },
    (_, n) => new Machine(`n${n + 1}`, postgres.url),
  );
  for (const machine of machines) cleanup.use(machine);
  await Promise.all(machines.map((machine) => machine.start()));

  const moving = populate(clients, users - LIBRARY_CLIENTS);
  const libraries = machines.flatMap((machine) =>
    machine.url === undefined ? [] : [machine.url]
  )
    .flatMap((url, place) =>
      Array.from({ length: Math.ceil(LIBRARY_CLIENTS / nodes) }, (_, n) => {
        const userId = users - (place + n * nodes) % LIBRARY_CLIENTS;
        return new LibraryClient(
          url,
          userId,
          n % 3 === 0 ? watchSet(users, random) : "*",
        );
      })
    );
  cleanup.defer(async () => {
    for (const library of libraries) await library.leave();
  });
  const stop = new AbortController();
  const driving = drive(moving, machines, random, stop.signal);
  const acting = actAsApplication(
    ...[postgres.url, users, randomFrom(seed + 1), stop.signal] as const,
  );
  await causeFaults(
    machines,
    postgres.url,
    postgres.directory,
    random,
    minutes,
    print,
  );
  stop.abort();
  await driving;
  const acts = [...await acting].map(([name, count]) => `${name}: ${count}`);
  print(`the application ${acts.join(", ")}`);
  await endApplication(postgres.url);

  const everyClient = [...moving, ...libraries];
  await quiet(everyClient, machines, postgres.url);
  await judge(everyClient, postgres.url, print);
  await Promise.all(moving.map((client) => client.leave()));
}

/**
 * Half of the clients speak each version. There are more clients than users, so some users have
 * several. Every sixth client watches some users instead of all.
 */
function populate(clients: number, users: number): MovingClient[] {
  return Array.from({ length: clients }, (_, index) => {
    const userId = index % users + 1;
    if (index % 2 === 0) return new V1Client(userId);
    const watch = index % 6 === 1 ? [userId, 1, 2, 3, 5, 8, 13, 21] : undefined;
    return new V2Client(userId, watch);
  });
}

function watchSet(users: number, random: () => number): UserId[] {
  return Array.from({ length: 20 }, () => 1 + Math.floor(random() * users));
}

/** Opens, closes and moves clients until the signal. */
export async function drive(
  moving: readonly MovingClient[],
  machines: readonly Machine[],
  random: () => number,
  signal: AbortSignal,
): Promise<void> {
  const working = new Map<MovingClient, Promise<void>>();
  while (!signal.aborted) {
    const client = pick(moving, random);
    const machine = pick(machines, random);
    const dice = random();
    if (!working.has(client)) {
      const work = act(client, machine, dice).finally(() =>
        working.delete(client)
      );
      working.set(client, work);
    }
    await pause(10 + random() * 20);
  }
  await Promise.all(working.values());
}

async function act(
  client: MovingClient,
  machine: Machine,
  dice: number,
): Promise<void> {
  const { isOpen } = client;
  if (isOpen && dice >= 0.9) return;
  await client.leave();
  if (!isOpen || dice >= 0.6) await client.enter(machine);
}

/** The users with an open socket on a node that runs, ascending. */
export function connectedUsers(everyClient: readonly ChaosClient[]): UserId[] {
  const open = everyClient.filter(({ isOpen }) => isOpen);
  return [...new Set(open.map(({ userId }) => userId))].sort(
    INTEGER_IDS.compare,
  );
}

/** Waits until every node, the database and every client agree who is online. */
async function quiet(
  everyClient: readonly ChaosClient[],
  machines: readonly Machine[],
  databaseUrl: string,
): Promise<void> {
  await until("all is quiet", async () => {
    const wanted = connectedUsers(everyClient).join();
    const [{ seq }] = await query(
      databaseUrl,
      "select seq::int from rollcall_internal.head",
    );
    for (const { url } of machines) {
      const response = await fetch(`${url}users/online`);
      const { online_users } = await response.json();
      if (online_users.map(({ id }: { id: number }) => id).join() !== wanted) {
        return false;
      }
      if (seqOf(response) !== seq) return false;
    }
    return true;
  }, QUIET_MS);
  await databaseAgrees(everyClient, machines, databaseUrl);
  // The last changes of the rosters are on their way to the clients.
  await until("every client is current", async () => {
    const feed = await readFeed(databaseUrl);
    const online = connectedUsers(everyClient);
    return everyClient.every((client) => client.isCurrent(feed, online));
  }, QUIET_MS);
}

/** Waits until the database says that exactly the connected users are online, on exactly these nodes. */
export async function databaseAgrees(
  everyClient: readonly ChaosClient[],
  machines: readonly Machine[],
  databaseUrl: string,
): Promise<void> {
  await untilEqual(
    "the database agrees",
    () => recordedState(databaseUrl),
    () => {
      const online = connectedUsers(everyClient);
      return {
        ...{ online, listed: online, claimed: online },
        ...{ nodes: machines.length, strays: 0 },
      };
    },
    QUIET_MS,
  );
}

/** What the database says: users by status, by the view and by claim, nodes, and claims of no node. */
async function recordedState(
  databaseUrl: string,
): Promise<Record<string, unknown>> {
  const [row] = await query(
    databaseUrl,
    `select array(select id from users where status = 'online' order by id) as online,
            array(select id from rollcall.online_users order by id) as listed,
            array(select user_id from rollcall_internal.presence where nodes <> '{}' order by 1) as claimed,
            (select count(*)::int from rollcall_internal.nodes) as nodes,
            (select count(*)::int from rollcall_internal.presence, unnest(nodes) node
              where node not in (select id from rollcall_internal.nodes)) as strays`,
  );
  return row;
}

async function judge(
  everyClient: readonly ChaosClient[],
  databaseUrl: string,
  print: (line: string) => void,
): Promise<void> {
  const online = connectedUsers(everyClient);
  const feed = await readFeed(databaseUrl);
  judgeFeed(feed);
  for (const client of everyClient) client.judge(feed, online);
  const messages = everyClient.reduce((sum, { received }) => sum + received, 0);
  print(
    `judged: ${feed.length} transitions, ${everyClient.length} clients, ${messages} messages, ${online.length} users online`,
  );
}

async function readFeed(databaseUrl: string): Promise<FeedRow[]> {
  return await query(
    databaseUrl,
    `select seq::int, user_id as "userId", status from rollcall_internal.feed order by seq`,
  );
}
