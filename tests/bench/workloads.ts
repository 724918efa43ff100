/**
 * What servers are put through, and what is measured of it.
 *
 * @module
 */
import type { UserId } from "../../src/protocol/user_id.ts";
import { type Contender, type Running, start } from "./contenders.ts";
import { Load } from "./load.ts";
import type { Summary } from "./load_worker.ts";

/** What was seen, by name; the unit is at the end of the name. */
export type PrometheusMetrics = Readonly<Record<string, number>>;

export interface Result {
  readonly metrics: PrometheusMetrics;
  /** What was not as it must be: events lost or repeated, clients dropped. */
  readonly faults: readonly string[];
}

export interface Stage {
  /** The environment of a server on a database of its own with 20,000 users. */
  environment(contender: Contender): Promise<Record<string, string>>;
}

const KIB = 1_024;
const SETTLE_MS = 2_000;
const STILL_MS = 5_000;

const range = (from: number, count: number): UserId[] =>
  Array.from({ length: count }, (_, index) => from + index);

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/** So many users connect as fast as they can, and all must learn of all. */
export async function storm(
  contender: Contender,
  stage: Stage,
  users: number,
): Promise<Result> {
  await using server = await start(
    contender,
    await stage.environment(contender),
  );
  using load = new Load(users + 1);
  const before = usage(server);
  const startedAt = performance.now();
  await load.connect(server, range(1, users));
  const openMs = performance.now() - startedAt;
  // Whatever is told of the last one comes after all else, at least where there is an order.
  await load.connect(server, [users + 1]);
  const told = load.hears({ userId: users + 1, isOnline: true })
    .then(() => performance.now() - startedAt);
  // Where there is no order, somebody may be registered too late to hear of the last one at all.
  const allMs = await Promise.race([
    told,
    load.quiet(STILL_MS).then(() => NaN),
  ]);
  const summary = await load.quiet();
  const after = usage(server);
  await pause(SETTLE_MS);
  const cpuSeconds = after.cpuSeconds - before.cpuSeconds;
  return {
    metrics: {
      openMs,
      allMs,
      cpuSeconds,
      ...perTransition(cpuSeconds, summary),
      memoryPerConnectionKiB: (server.residentBytes() - before.bytes) /
        (users + 1) / KIB,
    },
    faults: [
      ...lossesOf(summary),
      ...strangersOf(summary, users + 1),
      ...Number.isNaN(allMs) ? ["the last one was not told to all"] : [],
    ],
  };
}

/** Some users come and go before many who stay. */
export async function churn(
  contender: Contender,
  stage: Stage,
  { listeners, comers, rounds }: {
    listeners: number;
    comers: number;
    rounds: number;
  },
): Promise<Result> {
  await using server = await start(
    contender,
    await stage.environment(contender),
  );
  using load = new Load(listeners + comers);
  await load.connect(server, range(1, listeners));
  await load.quiet();
  await load.reset();
  const before = usage(server);
  const startedAt = performance.now();
  const coming = range(listeners + 1, comers);
  for (let round = 0; round < rounds; round++) {
    await load.connect(server, coming);
    await load.counts(comers * (2 * round + 1), listeners);
    await load.close(coming);
    await load.counts(comers * (2 * round + 2), listeners);
  }
  const wallMs = performance.now() - startedAt;
  const summary = await load.quiet();
  const cpuSeconds = usage(server).cpuSeconds - before.cpuSeconds;
  const wanted = comers * 2 * rounds;
  const wrong = summary.clientsTold.filter(({ told }) => told !== wanted);
  return {
    metrics: { wallMs, cpuSeconds, ...perTransition(cpuSeconds, summary) },
    faults: [
      ...lossesOf(summary),
      ...wrong.length > 0
        ? [`${wrong.length} listeners were not told of ${wanted} each`]
        : [],
    ],
  };
}

/** One user comes and goes again and again; how long until each of many has heard of it? */
export async function lone(
  contender: Contender,
  stage: Stage,
  { listeners, times }: { listeners: number; times: number },
): Promise<Result> {
  await using server = await start(
    contender,
    await stage.environment(contender),
  );
  using load = new Load(listeners + 1);
  await load.connect(server, range(1, listeners));
  await load.quiet();
  const latencies: number[] = [];
  const userId = listeners + 1;
  for (let n = 0; n < times; n++) {
    const heard = load.hears({ userId, isOnline: true });
    const openedAt = await load.connect(server, [userId]);
    for (const at of await heard) latencies.push(at - openedAt);
    await load.close([userId]);
    await load.hears({ userId, isOnline: false });
    await pause(60);
  }
  latencies.sort((a, b) => a - b);
  const quantile = (share: number) =>
    latencies[Math.floor(latencies.length * share)] ?? NaN;
  return {
    metrics: { medianMs: quantile(0.5), p99Ms: quantile(0.99) },
    faults: lossesOf(await load.summary()),
  };
}

/** Memory of connections that do nothing: few users, each with many of them. */
export async function idle(
  contender: Contender,
  stage: Stage,
  connections: number,
): Promise<Result> {
  const users = 100;
  await using server = await start(
    contender,
    await stage.environment(contender),
  );
  using load = new Load(users);
  const before = usage(server);
  const ids = range(0, connections).map((n) => 1 + n % users);
  await load.connect(server, ids);
  await load.quiet();
  await pause(SETTLE_MS);
  const bytes = server.residentBytes() - before.bytes;
  return {
    metrics: { memoryPerConnectionKiB: bytes / connections / KIB },
    faults: lossesOf(await load.summary()),
  };
}

/** The list of who is online, asked for again and again. */
export async function list(
  contender: Contender,
  stage: Stage,
  { users, requests }: { users: number; requests: number },
): Promise<Result> {
  await using server = await start(
    contender,
    await stage.environment(contender),
  );
  using load = new Load(users);
  await load.connect(server, range(1, users));
  await load.quiet();
  const listUrl = `${server.url}users/online`;
  const { etag, ids } = await readList(listUrl);
  const each = await costOfRequests(server, listUrl, requests);
  const known = etag === null
    ? undefined
    : await costOfRequests(server, listUrl, requests, {
      "if-none-match": etag,
    });
  const faults = ids.join() === range(1, users).join()
    ? []
    : [`the list has ${ids.length} users`];
  return {
    metrics: {
      cpuMicroseconds: each,
      ...known === undefined ? {} : { unchangedCpuMicroseconds: known },
    },
    faults,
  };
}

/** A server that answers with nothing but a text of the list's size. */
export async function constantBody(
  contender: Contender,
  { users, requests }: { users: number; requests: number },
): Promise<Result> {
  const online_users = range(1, users)
    .map((id) => ({ id, username: `user${id}` }));
  const body = JSON.stringify({ online_users });
  await using server = await start(contender, { BODY_BYTES: `${body.length}` });
  const each = await costOfRequests(
    server,
    `${server.url}users/online`,
    requests,
  );
  return { metrics: { cpuMicroseconds: each }, faults: [] };
}

/** Microseconds of the server's CPU for one request. */
async function costOfRequests(
  server: Running,
  url: string,
  requests: number,
  headers: Record<string, string> = {},
): Promise<number> {
  const ask = async (count: number) => {
    for (let n = 0; n < count; n++) {
      await (await fetch(url, { headers })).arrayBuffer();
    }
  };
  await ask(50);
  const before = server.cpuSeconds();
  await Promise.all(Array.from({ length: 8 }, () => ask(requests / 8)));
  return (server.cpuSeconds() - before) / requests * 1e6;
}

async function readList(
  url: string,
): Promise<{ etag: string | null; ids: UserId[] }> {
  const response = await fetch(url);
  const { online_users: users } = await response.json();
  return {
    etag: response.headers.get("etag"),
    ids: users.map(({ id }: { id: UserId }) => id),
  };
}

/** A node is killed, and its clients come to the other one all at once. */
export async function failover(
  contender: Contender,
  stage: Stage,
  users: number,
): Promise<Result> {
  const environment = await stage.environment(contender);
  const first = await start(contender, environment);
  await using second = await start(contender, environment);
  using load = new Load(users + 1);
  await load.connect(second, [users + 1]);
  await load.connect(first, range(1, users));
  await load.hears({ userId: users, isOnline: true });
  await load.quiet();
  await load.reset();
  const before = usage(second);
  await first[Symbol.asyncDispose]();
  const startedAt = performance.now();
  await load.connect(second, range(1, users));
  const openMs = performance.now() - startedAt;
  const summary = await load.quiet();
  const witness = summary.clientsTold.find(({ userId }) => userId > users);
  return {
    metrics: {
      openMs,
      cpuSeconds: usage(second).cpuSeconds - before.cpuSeconds,
      flaps: witness?.told ?? NaN,
    },
    faults: [],
  };
}

/** The churn before twice as many listeners, who are spread over some nodes. */
export async function spread(
  contender: Contender,
  stage: Stage,
  { nodes, listeners, comers, rounds }: {
    nodes: number;
    listeners: number;
    comers: number;
    rounds: number;
  },
): Promise<Result> {
  const environment = await stage.environment(contender);
  await using stack = new AsyncDisposableStack();
  const servers: Running[] = [];
  for (let n = 0; n < nodes; n++) {
    servers.push(stack.use(await start(contender, environment)));
  }
  using load = new Load(listeners + comers);
  const connect = async (ids: readonly UserId[]) => {
    await Promise.all(
      servers.map((server, index) =>
        load.connect(
          server,
          ids.filter((id) => Math.floor(id / 7) % nodes === index),
        )
      ),
    );
  };
  await connect(range(1, listeners));
  await load.quiet();
  await load.reset();
  const coming = range(listeners + 1, comers);
  const startedAt = performance.now();
  const cpuBefore = servers.map((server) => server.cpuSeconds());
  for (let round = 0; round < rounds; round++) {
    await connect(coming);
    await load.counts(comers * (2 * round + 1), listeners);
    await load.close(coming);
    await load.counts(comers * (2 * round + 2), listeners);
  }
  const wallMs = performance.now() - startedAt;
  const cpus = servers.map((server, n) =>
    server.cpuSeconds() - (cpuBefore[n] ?? 0)
  );
  return {
    metrics: { wallMs, busiestNodeCpuSeconds: Math.max(...cpus) },
    faults: lossesOf(await load.quiet()),
  };
}

function usage(server: Running): { cpuSeconds: number; bytes: number } {
  return { cpuSeconds: server.cpuSeconds(), bytes: server.residentBytes() };
}

function perTransition(cpuSeconds: number, { told, messages }: Summary) {
  return { cpuPerToldMicroseconds: cpuSeconds / told * 1e6, told, messages };
}

function lossesOf({ lost, repeated }: Summary): string[] {
  return [
    ...lost > 0 ? [`${lost} clients were dropped`] : [],
    ...repeated > 0 ? [`${repeated} transitions were told again`] : [],
  ];
}

/** Of any two users at least the one who was there first must have heard of the other. */
function strangersOf({ clientsTold }: Summary, users: number): string[] {
  let strangers = 0;
  for (const one of clientsTold) {
    for (const other of clientsTold) {
      if (one.userId >= other.userId || other.userId > users) continue;
      if (one.known[other.userId] !== 1 && other.known[one.userId] !== 1) {
        strangers += 1;
      }
    }
  }
  return strangers > 0 ? [`${strangers} pairs of users never met`] : [];
}
