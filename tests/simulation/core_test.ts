/**
 * Random opens, closes and faults against the core on one and two nodes, compared with a simple model.
 *
 * Time is simulated, so a minute of it costs a millisecond. A failing run prints its seed
 * and path; `fc.assert` with the two reproduces it.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import fc from "fast-check";
import type { Clock } from "../../src/base/clock.ts";
import type { UserId } from "../../src/protocol/user_id.ts";
import { silentLog } from "../support/database.ts";
import { FakeClock } from "../support/fake_clock.ts";
import { MemoryDatabase } from "../support/memory_store.ts";
import { randomFrom } from "../support/random.ts";
import {
  type Faults,
  NO_FAULTS,
  type SimClient,
  SimNode,
} from "../support/sim_node.ts";

const USERS: readonly UserId[] = [1, 2, 3, 4, 5];
const STRANGER: UserId = 99;
const RUNS = Number(Deno.env.get("RUNS") ?? 2_000);
const SEED = Number(Deno.env.get("SEED") ?? Date.now() % 2 ** 31);

/** One step of a run. `node` is taken modulo the number of nodes. */
type Step =
  | {
    readonly do: "open";
    readonly userId: UserId;
    readonly node: number;
    readonly version: 1 | 2;
    readonly watch: readonly UserId[] | undefined;
  }
  | { readonly do: "close"; readonly pick: number }
  | {
    readonly do: "resume";
    readonly pick: number;
    readonly node: number;
    readonly ms: number;
  }
  | { readonly do: "wait"; readonly ms: number }
  | { readonly do: "lock"; readonly userId: UserId }
  | { readonly do: "unlock" }
  | {
    readonly do: "faults";
    readonly faults: Partial<Faults>;
    readonly node: number;
  }
  | { readonly do: "link broken"; readonly node: number }
  | { readonly do: "down"; readonly node: number }
  | { readonly do: "healed"; readonly node: number }
  | { readonly do: "crash"; readonly node: number }
  | { readonly do: "replicate" }
  | { readonly do: "fail over" };

const userId = fc.constantFrom(...USERS, STRANGER);
const share = fc.constantFrom(0, 0.2, 0.6);
const node = fc.nat(1);
const kind = <const Name extends Step["do"]>(name: Name) => fc.constant(name);

const step: fc.Arbitrary<Step> = fc.oneof(
  {
    weight: 8,
    arbitrary: fc.record({
      do: kind("open"),
      userId,
      node,
      version: fc.constantFrom(1 as const, 2 as const),
      watch: fc.option(fc.subarray([...USERS, STRANGER]), { nil: undefined }),
    }),
  },
  {
    weight: 4,
    arbitrary: fc.record({
      do: kind("resume"),
      pick: fc.nat(20),
      node,
      ms: fc.constantFrom(0, 1, 400),
    }),
  },
  { weight: 8, arbitrary: fc.record({ do: kind("close"), pick: fc.nat(20) }) },
  {
    weight: 6,
    arbitrary: fc.record({
      do: kind("wait"),
      ms: fc.constantFrom(0, 1, 20, 400, 12_000),
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: kind("lock"), userId }) },
  { weight: 1, arbitrary: fc.record({ do: kind("unlock") }) },
  {
    weight: 3,
    arbitrary: fc.record({
      do: kind("faults"),
      faults: fc.record({
        lostRequests: share,
        lostAnswers: share,
        lostNotifications: fc.constantFrom(0, 1),
        doubledRequests: share,
        delayMs: fc.constantFrom(0, 5, 300, 15_000),
      }),
      node,
    }),
  },
  { weight: 1, arbitrary: fc.record({ do: kind("link broken"), node }) },
  { weight: 1, arbitrary: fc.record({ do: kind("down"), node }) },
  { weight: 3, arbitrary: fc.record({ do: kind("healed"), node }) },
  { weight: 1, arbitrary: fc.record({ do: kind("crash"), node }) },
);
const steps = fc.array(step, { maxLength: 60, size: "max" });

/** Whoever knows of what was lost lives on; else nobody could know. */
const lossySteps = fc.array(
  fc.oneof(
    { weight: 20, arbitrary: step.filter((one) => one.do !== "crash") },
    { weight: 2, arbitrary: fc.record({ do: kind("replicate") }) },
    { weight: 1, arbitrary: fc.record({ do: kind("fail over") }) },
  ),
  { maxLength: 60, size: "max" },
);

/** Everything of one run. */
interface World {
  readonly clock: FakeClock;
  readonly database: MemoryDatabase;
  readonly nodes: SimNode[];
  /** The model: whoever has a socket is online, but strangers. */
  open: { readonly client: SimClient; readonly node: SimNode }[];
  readonly boot: (place: number) => SimNode;
  /** Lets the last replica take over. */
  failOver: () => void;
}

function skewed(clock: FakeClock, ms: number): Clock {
  return {
    now: () => clock.now() + ms,
    sleep: (...args) => clock.sleep(...args),
    yield: () => clock.yield(),
  };
}

/** Runs the schedule, heals everything, waits for quiet, and compares with the model. */
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
  // The clock of every further machine is a minute ahead; only the database's may matter.
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
  judge(world);

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
    case "resume": {
      const [entry] = open.splice(one.pick % Math.max(1, open.length), 1);
      entry?.node.close(entry.client);
      await clock.advance(one.ms);
      if (entry === undefined || entry.client.wish.version === 1) break;
      const { userId, users, seq, wish: { watch } } = entry.client;
      const known = seq < 0 ? {} : { known: { seq, users } };
      const node = at(one.node);
      // It may take as long as the database does, and longer than this node lives.
      void node.resume(userId, { version: 2, watch, ...known }).then(
        (client) => {
          if (client === undefined) return;
          if (nodes.includes(node)) world.open.push({ client, node });
          else node.close(client);
        },
      );
      break;
    }
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

function judge({ database, nodes, open }: World): void {
  const users = new Set(open.map(({ client }) => client.userId));
  const online = [...users].filter((id) => id !== STRANGER).sort();
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
  for (const { client } of open) judgeClient(client, database);
  for (const id of USERS) judgeAlternation(database, id);
}

/** P2, P4, P6: exactly the feed since its registration, without its own user. */
function judgeClient(client: SimClient, database: MemoryDatabase): void {
  if (client.userId === STRANGER) {
    equal(client.closed, 1008, "a stranger is closed");
    deepEqual(client.heard, [], "a stranger hears nothing");
    return;
  }
  equal(client.closed, undefined, "a user is not closed");
  if (client.wish.version === 2) return judgeFollower(client, database);
  if (database.epoch > 0) return judgeListener(client, database);
  const wanted = database.feed
    .filter(({ seq, userId }) =>
      seq > client.sinceSeq && userId !== client.userId
    )
    .map(({ userId, status }) => ({ type: `user_${status}`, userId }));
  deepEqual(
    client.heard,
    wanted,
    `what a connection of ${client.userId} heard`,
  );
}

/** P6, after a failover: what it heard of each user alternates, and ends with the truth. */
function judgeListener({ userId, heard }: SimClient, database: MemoryDatabase) {
  for (const id of USERS) {
    const told = heard.filter((message) =>
      "userId" in message && message.userId === id
    ).map(({ type }) => type);
    if (id === userId || told.length === 0) continue;
    const isOnline = database.users.get(id)?.status === "online";
    equal(told.at(-1) === "user_online", isOnline, `${userId} of ${id}`);
    ok(told.every((type, index) => type !== told[index - 1]), "alternates");
  }
}

/** S1, S2, S4: when it is quiet it holds the truth about whom it hears of. */
function judgeFollower(client: SimClient, database: MemoryDatabase): void {
  const { wish: { watch }, users, heard } = client;
  ok(heard.length > 0, "[S2] never silence");
  const online = database.onlineAt(database.seq).filter((id) =>
    watch === "*" || watch.has(id)
  );
  deepEqual([...users].sort(), online, `what ${client.userId} holds`);
}

function judgeAlternation(database: MemoryDatabase, id: UserId): void {
  const told = database.feed.filter(({ userId }) => userId === id).map((
    { status },
  ) => status);
  deepEqual(
    told,
    told.map((_, index) => index % 2 === 0 ? "online" : "offline"),
    `feed of ${id}`,
  );
}

for (const nodeCount of [1, 2]) {
  for (const graceMs of [0, 500]) {
    const title =
      `[P6] ${nodeCount} node(s) agree with a model over ${RUNS} random runs, grace ${graceMs} ms, seed ${SEED}`;
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
    `[C5] ${nodeCount} node(s) agree with a model although transitions are lost over ${RUNS} random runs, seed ${SEED}`;
  Deno.test(title, async () => {
    const property = fc.asyncProperty(
      lossySteps,
      fc.nat(),
      (schedule, randomSeed) => run(schedule, randomSeed, nodeCount, 0),
    );
    await fc.assert(property, { numRuns: RUNS, seed: SEED });
  });
}

Deno.test("[C5] an outage longer than the lease causes no transition of users who stayed", async () => {
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
  equal(clients[0]?.heard.length, USERS.length - 1);

  const stopped = alone.stop();
  await clock.advance(1_000);
  await stopped;
});
