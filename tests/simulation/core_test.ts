/**
 * Runs of random steps against the core on one and two nodes, compared with a simple model.
 *
 * Time is simulated: a minute of it takes about a millisecond. A run that fails prints its seed and
 * path; `fc.assert` with both repeats it. `RUNS` and `SEED` may be set in the environment.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import fc from "fast-check";
import type { Clock } from "../../src/base/clock.ts";
import type { UserId } from "../../src/protocol/user_id.ts";
import { silentLog } from "../support/database.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { NO_FAULTS } from "../support/faulty_store.ts";
import { MemoryDatabase } from "../support/memory_database.ts";
import { randomFrom } from "../support/random.ts";
import type { SimClient } from "../support/sim_client.ts";
import { SimNode } from "../support/sim_node.ts";
import { lossySteps, type Step, steps, UNKNOWN_USER, USERS } from "./steps.ts";

const RUNS = Number(Deno.env.get("RUNS") ?? 2_000);
const SEED = Number(Deno.env.get("SEED") ?? Date.now() % 2 ** 31);

/** The state of one run. */
interface World {
  readonly clock: FakeClock;
  readonly database: MemoryDatabase;
  readonly nodes: SimNode[];
  /** The model: a user with an open connection is online, except the unknown one. */
  open: { readonly client: SimClient; readonly node: SimNode }[];
  readonly boot: (place: number) => SimNode;
  /** Makes the last replica take over. */
  failOver: () => void;
}

function skewed(clock: FakeClock, ms: number): Clock {
  return {
    now: () => clock.now() + ms,
    sleep: (...args) => clock.sleep(...args),
    yield: () => clock.yield(),
  };
}

/** Performs the steps, ends all faults, waits for a minute, and compares with the model. */
async function run(
  schedule: readonly Step[],
  randomSeed: number,
  nodeCount: number,
  graceMs: number,
): Promise<void> {
  const clock = new FakeClock();
  const database = new MemoryDatabase(USERS, () => clock.now());
  const random = randomFrom(randomSeed);
  let boots = 0;
  // The clock of each further machine is a minute ahead: only the database's clock may matter.
  const boot = (place: number) =>
    new SimNode(
      `${place}.${++boots}.`,
      database,
      skewed(clock, place * 60_000),
      silentLog,
      random,
      graceMs,
    );
  const nodes = Array.from({ length: nodeCount }, (_, place) => boot(place));
  for (const one of nodes) await one.start();
  const world: World = {
    ...{ clock, database, nodes, open: [], boot },
    failOver: database.replicate(),
  };
  for (const one of schedule) await perform(one, world);

  for (const one of nodes) Object.assign(one.faults, NO_FAULTS);
  database.locked.clear();
  await clock.advance(60_000);
  check(world);

  const stopped = Promise.all(nodes.map((one) => one.stop()));
  await clock.advance(1_000);
  await stopped;
  deepEqual([...database.claims.keys()], [], "claims after leaving");
}

async function perform(one: Step, world: World): Promise<void> {
  const { clock, database, nodes, open, boot } = world;
  const at = (index: number) => nodes[index % nodes.length] as SimNode;
  switch (one.do) {
    case "open": {
      const { userId, version } = one;
      const watch = version === 2 && one.watch !== undefined
        ? new Set(one.watch)
        : "*";
      const client = at(one.node).open(userId, { version, watch });
      open.push({ client, node: at(one.node) });
      break;
    }
    case "resume":
      await resume(one, world);
      break;
    case "close": {
      const [entry] = open.splice(one.pick % Math.max(1, open.length), 1);
      entry?.node.close(entry.client);
      break;
    }
    case "wait":
      await clock.advance(one.ms);
      break;
    case "lock":
      database.locked.add(one.userId);
      break;
    case "unlock":
      database.locked.clear();
      break;
    case "faults":
      Object.assign(at(one.node).faults, one.faults);
      break;
    case "link broken":
      at(one.node).breakLinks();
      break;
    case "down":
      at(one.node).faults.down = true;
      at(one.node).breakLinks();
      break;
    case "healed":
      Object.assign(at(one.node).faults, NO_FAULTS);
      break;
    case "replicate":
      world.failOver = database.replicate();
      break;
    case "fail over":
      world.failOver();
      for (const one of nodes) one.breakLinks();
      break;
    case "crash": {
      const place = one.node % nodes.length;
      const dead = at(place);
      dead.crash();
      world.open = open.filter(({ node }) => node !== dead);
      nodes[place] = boot(place);
      await at(place).start();
      break;
    }
  }
}

/** Closes a connection. A version 2 client reconnects after a pause, and resumes. */
async function resume(
  { pick, node: index, ms }: Step & { readonly do: "resume" },
  world: World,
): Promise<void> {
  const { clock, nodes, open } = world;
  const [entry] = open.splice(pick % Math.max(1, open.length), 1);
  entry?.node.close(entry.client);
  await clock.advance(ms);
  if (entry === undefined || entry.client.subscription.version === 1) return;
  const { userId, users, seq, subscription: { watch } } = entry.client;
  const known = seq < 0 ? {} : { known: { seq, users } };
  const node = nodes[index % nodes.length] as SimNode;
  // The database may answer late, after this node has crashed.
  void node.resume(userId, { version: 2, watch, ...known }).then((client) => {
    if (client === undefined) return;
    if (nodes.includes(node)) world.open.push({ client, node });
    else node.close(client);
  });
}

function check({ database, nodes, open }: World): void {
  const users = new Set(open.map(({ client }) => client.userId));
  const online = [...users].filter((id) => id !== UNKNOWN_USER).sort();
  const inDatabase = [...database.users].filter(([, { status }]) =>
    status === "online"
  );
  deepEqual(inDatabase.map(([id]) => id), online, "users.status");
  deepEqual([...database.claims.keys()].sort(), online, "claims");
  equal(database.nodes.size, nodes.length, "node rows");
  for (const one of nodes) {
    ok(one.ready, "a node is not ready");
    deepEqual(one.roster.users().map(({ id }) => id), online, "roster");
    equal(one.roster.seq, database.seq, "roster seq");
  }
  for (const { client } of open) checkClient(client, database);
  for (const id of USERS) checkAlternation(database, id);
}

/** P2, P4, P6: a version 1 connection received the feed since it was opened, without its own user. */
function checkClient(client: SimClient, database: MemoryDatabase): void {
  if (client.userId === UNKNOWN_USER) {
    equal(client.closed, 1008, "an unknown user is closed");
    deepEqual(client.received, [], "an unknown user receives nothing");
    return;
  }
  equal(client.closed, undefined, "a user is not closed");
  if (client.subscription.version === 2) return checkV2(client, database);
  if (database.epoch > 0) return checkAfterFailover(client, database);
  const expected = database.feed
    .filter(({ seq, userId }) =>
      seq > client.openedSeq && userId !== client.userId
    )
    .map(({ userId, status }) => ({ type: `user_${status}`, userId }));
  deepEqual(
    client.received,
    expected,
    `messages of a connection of ${client.userId}`,
  );
}

/** P6, after a failover: the messages about each user alternate, and end with the user's status. */
function checkAfterFailover(
  { userId, received }: SimClient,
  database: MemoryDatabase,
): void {
  for (const id of USERS) {
    const types = received.filter((message) =>
      "userId" in message && message.userId === id
    ).map(({ type }) => type);
    if (id === userId || types.length === 0) continue;
    const isOnline = database.users.get(id)?.status === "online";
    equal(types.at(-1) === "user_online", isOnline, `${userId} of ${id}`);
    ok(types.every((type, index) => type !== types[index - 1]), "alternates");
  }
}

/** S1, S2, S4: a version 2 client ends with a copy that equals the database. */
function checkV2(client: SimClient, database: MemoryDatabase): void {
  ok(client.received.length > 0, "[S2] a client gets a first message");
  const online = database.onlineAt(database.seq).filter((id) =>
    client.isWatching(id)
  );
  deepEqual([...client.users].sort(), online, `copy of ${client.userId}`);
}

/** P6: the feed has online and offline of a user in turn. */
function checkAlternation(database: MemoryDatabase, id: UserId): void {
  const statuses = database.feed.filter(({ userId }) => userId === id).map((
    { status },
  ) => status);
  deepEqual(
    statuses,
    statuses.map((_, index) => index % 2 === 0 ? "online" : "offline"),
    `feed of ${id}`,
  );
}

for (const nodeCount of [1, 2]) {
  for (const graceMs of [0, 500]) {
    const title =
      `[P6] ${nodeCount} node(s) agree with a model in ${RUNS} random runs, grace ${graceMs} ms, seed ${SEED}`;
    Deno.test(title, async () => {
      const property = fc.asyncProperty(
        steps,
        fc.nat(),
        (schedule, randomSeed) => run(schedule, randomSeed, nodeCount, graceMs),
      );
      await fc.assert(property, { numRuns: RUNS, seed: SEED });
    });
  }
}

for (const nodeCount of [1, 2]) {
  const title =
    `[C5] ${nodeCount} node(s) agree with a model in ${RUNS} random runs that lose transitions, seed ${SEED}`;
  Deno.test(title, async () => {
    const property = fc.asyncProperty(
      lossySteps,
      fc.nat(),
      (schedule, randomSeed) => run(schedule, randomSeed, nodeCount, 0),
    );
    await fc.assert(property, { numRuns: RUNS, seed: SEED });
  });
}

Deno.test("[C5] an outage longer than the lease causes no transition of users who stay connected", async () => {
  const clock = new FakeClock();
  const database = new MemoryDatabase(USERS, () => clock.now());
  const alone = new SimNode("a", database, clock, silentLog, () => 0.5);
  await alone.start();
  const clients = USERS.map((id) => alone.open(id));
  await clock.advance(100);
  equal(database.seq, USERS.length);

  alone.faults.down = true;
  alone.breakLinks();
  await clock.advance(30_000);
  equal(alone.ready, false);
  Object.assign(alone.faults, NO_FAULTS);
  await clock.advance(10_000);
  equal(alone.ready, true);
  equal(database.seq, USERS.length);
  deepEqual([...database.nodes.keys()], ["a2"]);
  equal(clients[0]?.received.length, USERS.length - 1);

  const stopped = alone.stop();
  await clock.advance(1_000);
  await stopped;
});
