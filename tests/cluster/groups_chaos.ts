/**
 * A chaos run with groups: a fifth of the users change groups while nodes die.
 *
 * While it runs, what each client receives of a user must alternate, and nobody may receive
 * anything of a user with whom it never shared a group. In the end, when all is quiet, each client
 * must see whom it shares a group with, by the application's table and the open sockets alone.
 *
 * @module
 */
import { deepEqual, ok } from "node:assert/strict";
import type { UserId } from "../../src/client/protocol/user_id.ts";
import { migrateDatabase } from "../../src/postgres/migrate.ts";
import { tokenFor } from "../support/client.ts";
import { query, scratchPostgres } from "../support/database.ts";
import { onlineIds } from "../support/endpoints.ts";
import { randomFrom } from "../support/random.ts";
import { until } from "../support/until.ts";
import {
  type ChaosOptions,
  connectedUsers,
  databaseAgrees,
  drive,
  QUIET_MS,
} from "./chaos.ts";
import { type ChaosClient, LibraryClient, V2Client } from "./clients.ts";
import { Machine } from "./cluster.ts";
import { causeFaults } from "./faults.ts";
import { ListClient } from "./list_client.ts";
import { Memberships } from "./memberships.ts";

const LIBRARY_CLIENTS = 6;

export async function groupsChaos(options: ChaosOptions): Promise<void> {
  const { minutes, seed, nodes, clients, print } = options;
  print(
    `chaos with groups: seed ${seed}, ${nodes} nodes, ${clients} clients, ${minutes} minutes`,
  );
  const random = randomFrom(seed);
  await using cleanup = new AsyncDisposableStack();
  const postgres = cleanup.use(await scratchPostgres());
  const { url, directory } = postgres;
  await migrateDatabase(url);
  await query(url, "update rollcall_internal.counter set seq = 0");
  const users = Math.ceil(clients * 0.7) + LIBRARY_CLIENTS;
  await query(
    url,
    "insert into users (id, username) select n, 'user' || n from generate_series(1, $1::int) n",
    [users],
  );
  const memberships = await Memberships.create(url, users);
  const env = { ROSTER_ACCESS: "token", GROUPS_TABLE: "memberships" };
  const machines = Array.from(
    { length: nodes },
    (_, n) => new Machine(`n${n + 1}`, url, env),
  );
  for (const machine of machines) cleanup.use(machine);
  await Promise.all(machines.map((machine) => machine.start()));

  const moving = Array.from({ length: clients }, (_, index) => {
    const userId = index % (users - LIBRARY_CLIENTS) + 1;
    if (index % 2 === 0) return new ListClient(userId);
    const watch = index % 6 === 1 ? [userId, 1, 2, 5, 7, 10, 15] : undefined;
    return new V2Client(userId, watch);
  });
  const libraries = Array.from(
    { length: LIBRARY_CLIENTS },
    (_, n) => new LibraryClient(machines[n % nodes]?.url ?? "", users - n, "*"),
  );
  cleanup.defer(async () => {
    for (const library of libraries) await library.leave();
  });

  const stop = new AbortController();
  const driving = drive(moving, machines, random, stop.signal);
  const changing = memberships.move(randomFrom(seed + 1), stop.signal);
  await causeFaults(machines, url, directory, random, minutes, print);
  stop.abort();
  await Promise.all([driving, changing]);
  const counts = [...memberships.counts].map((count) => count.join(": "));
  print(`the application ${counts.join(", ")}`);

  const everyClient = [...moving, ...libraries];
  await quiet(everyClient, machines, url, memberships);
  await judge(everyClient, machines, url, memberships, print);
  await Promise.all(moving.map((client) => client.leave()));
}

/** Whom each user sees now, ascending, by the memberships and the open sockets alone. */
async function sight(
  everyClient: readonly ChaosClient[],
  memberships: Memberships,
): Promise<(viewer: UserId) => UserId[]> {
  const groups = await memberships.read();
  const online = connectedUsers(everyClient);
  const groupsOf = (id: UserId) => groups.get(id) ?? [];
  return (viewer) => {
    const own = new Set(groupsOf(viewer));
    return online.filter((id) =>
      id === viewer || groupsOf(id).some((group) => own.has(group))
    );
  };
}

async function quiet(
  everyClient: readonly ChaosClient[],
  machines: readonly Machine[],
  databaseUrl: string,
  memberships: Memberships,
): Promise<void> {
  await databaseAgrees(everyClient, machines, databaseUrl);
  await until("every client is current", async () => {
    const visible = await sight(everyClient, memberships);
    return everyClient.every((client) =>
      client.isCurrent([], visible(client.userId))
    );
  }, QUIET_MS).catch(async (err) => {
    const visible = await sight(everyClient, memberships);
    for (const client of everyClient) client.judge([], visible(client.userId));
    throw err;
  });
}

async function judge(
  everyClient: readonly ChaosClient[],
  machines: readonly Machine[],
  databaseUrl: string,
  memberships: Memberships,
  print: (line: string) => void,
): Promise<void> {
  const visible = await sight(everyClient, memberships);
  for (const client of everyClient) {
    const { userId, mentioned } = client;
    client.judge([], visible(userId));
    for (const id of mentioned) {
      const what = `[V1] ${userId} received something of ${id}`;
      ok(memberships.mayHaveMet(userId, id), what);
    }
  }
  for (const [at, { url = "" }] of machines.entries()) {
    for (let id = 1 + at; id <= memberships.users; id += machines.length) {
      const headers = { authorization: `Bearer ${await tokenFor(id)}` };
      const listed = await onlineIds({ url }, headers);
      deepEqual(listed, visible(id), `[V1] the list of ${id}`);
    }
  }
  const transitions = await judgeGroups(databaseUrl);
  const views =
    everyClient.filter((client) =>
      client instanceof ListClient ? client.hasView : client.isOpen
    ).length;
  const messages = everyClient.reduce((sum, { received }) => sum + received, 0);
  ok(views > everyClient.length / 4, `only ${views} clients have a view`);
  print(
    `judged: ${transitions} transitions, ${views} views of ${everyClient.length} clients, ${messages} messages`,
  );
}

/** Checks that the feed has no holes, and that each row of a user goes on from the one before. */
async function judgeGroups(databaseUrl: string): Promise<number> {
  const rows = await query(
    databaseUrl,
    "select seq::int, user_id, groups, groups_before from rollcall_internal.feed order by seq",
  );
  const last = new Map<UserId, string>();
  for (const [index, row] of rows.entries()) {
    const { seq, user_id, groups, groups_before } = row;
    ok(seq === index + 1, `the feed has seq ${seq} at position ${index + 1}`);
    const before = last.get(user_id) ?? "null";
    const what = `[V2] user ${user_id} at seq ${seq}`;
    deepEqual(JSON.stringify(groups_before), before, what);
    ok(JSON.stringify(groups) !== before, `${what}: nothing changed`);
    last.set(user_id, JSON.stringify(groups));
  }
  return rows.length;
}
