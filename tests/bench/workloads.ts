/**
 * The workloads on connections: what a server has to do, and what is measured.
 *
 * @module
 */
import { type Contender, type Running, start } from "./contenders.ts";
import { Load, type Recording } from "./load.ts";
import type { Summary } from "./load_worker.ts";

/** The figures by name. The unit is at the end of the name. */
export type Figures = Readonly<Record<string, number>>;

export interface Result {
  readonly metrics: Figures;
  /** Each deviation from the protocol: transitions lost or repeated, clients dropped. */
  readonly faults: readonly string[];
}

export interface Stage {
  /** The environment of a server on a database of its own with 20,000 users. */
  environment(contender: Contender): Promise<Record<string, string>>;
}

const KIB = 1_024;
/** Memory is measured after this pause, when the server has had time to free some. */
const PAUSE_MS = 2_000;
/** In a storm, after this time without a transition, the rest is regarded as lost. */
const NO_PROGRESS_MS = 5_000;

/** The ids from `from` on. */
export const range = (from: number, count: number): number[] =>
  Array.from({ length: count }, (_, index) => from + index);

const pause = (ms: number) => new Promise((resolve) => setTimeout(resolve, ms));

/**
 * This many users connect as fast as they can. Each pair of them must learn of each other.
 *
 * @param onRecording Gets the time and the size of each message.
 */
export async function storm(
  contender: Contender,
  stage: Stage,
  users: number,
  onRecording?: (recording: Recording) => void,
): Promise<Result> {
  await using server = await start(
    contender,
    await stage.environment(contender),
  );
  using load = new Load(users + 1, onRecording !== undefined);
  const before = usage(server);
  const { openMs, allMs } = await connectAll(load, server, users + 1);
  const summary = await load.quiet();
  const after = usage(server);
  onRecording?.(await load.recording());
  await pause(PAUSE_MS);
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
      ...missedPairsOf(summary, users + 1),
      ...Number.isNaN(allMs)
        ? ["not all clients received the last transition"]
        : [],
    ],
  };
}

/**
 * Connects users 1 to `users`, and waits until all clients know of the last one. `openMs` is when
 * the others were open, `allMs` when the last was known: `NaN` if some client did not receive it.
 */
export async function connectAll(
  load: Load,
  server: Running,
  users: number,
): Promise<{ openMs: number; allMs: number }> {
  const startedAt = performance.now();
  await load.connect(server, range(1, users - 1));
  const openMs = performance.now() - startedAt;
  // Where transitions are ordered, that of the last user arrives after all others.
  await load.connect(server, [users]);
  let allMs = NaN;
  const known = load.awaitStatus({ userId: users, isOnline: true })
    .then(() => allMs = performance.now() - startedAt);
  // Where they are not, a client may be registered too late to receive the last one.
  await load.stalled(NO_PROGRESS_MS, known);
  return { openMs, allMs };
}

/** Some users connect and disconnect, while others stay connected and receive the transitions. */
export async function churn(
  contender: Contender,
  stage: Stage,
  { receivers, visitors, rounds }: {
    receivers: number;
    visitors: number;
    rounds: number;
  },
): Promise<Result> {
  await using server = await start(
    contender,
    await stage.environment(contender),
  );
  using load = new Load(receivers + visitors);
  await connectAll(load, server, receivers);
  await load.quiet();
  await load.reset();
  const before = usage(server);
  const startedAt = performance.now();
  const visitorIds = range(receivers + 1, visitors);
  for (let round = 0; round < rounds; round++) {
    await load.connect(server, visitorIds);
    await load.awaitCount(visitors * (2 * round + 1), receivers);
    await load.close(visitorIds);
    await load.awaitCount(visitors * (2 * round + 2), receivers);
  }
  const wallMs = performance.now() - startedAt;
  const summary = await load.quiet();
  const cpuSeconds = usage(server).cpuSeconds - before.cpuSeconds;
  const wanted = visitors * 2 * rounds;
  const wrong = summary.each.filter(({ received }) => received !== wanted);
  return {
    metrics: { wallMs, cpuSeconds, ...perTransition(cpuSeconds, summary) },
    faults: [
      ...lossesOf(summary),
      ...wrong.length > 0
        ? [`${wrong.length} clients did not receive ${wanted} transitions`]
        : [],
    ],
  };
}

/** One user connects and disconnects repeatedly: the time from its 101 until each client received the transition. */
export async function lone(
  contender: Contender,
  stage: Stage,
  { receivers, times }: { receivers: number; times: number },
): Promise<Result> {
  await using server = await start(
    contender,
    await stage.environment(contender),
  );
  using load = new Load(receivers + 1);
  await connectAll(load, server, receivers);
  await load.quiet();
  const latencies: number[] = [];
  const userId = receivers + 1;
  for (let n = 0; n < times; n++) {
    const received = load.awaitStatus({ userId, isOnline: true });
    const openedAt = await load.connect(server, [userId]);
    for (const at of await received) latencies.push(at - openedAt);
    await load.close([userId]);
    await load.awaitStatus({ userId, isOnline: false });
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

/** The memory of idle connections: few users, with many connections each. */
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
  await pause(PAUSE_MS);
  const bytes = server.residentBytes() - before.bytes;
  return {
    metrics: { memoryPerConnectionKiB: bytes / connections / KIB },
    faults: lossesOf(await load.summary()),
  };
}

export function usage(server: Running): { cpuSeconds: number; bytes: number } {
  return { cpuSeconds: server.cpuSeconds(), bytes: server.residentBytes() };
}

function perTransition(cpuSeconds: number, { received, messages }: Summary) {
  return {
    cpuPerReceivedMicroseconds: cpuSeconds / received * 1e6,
    received,
    messages,
  };
}

export function lossesOf({ lost, repeated }: Summary): string[] {
  return [
    ...lost > 0 ? [`${lost} clients were dropped`] : [],
    ...repeated > 0 ? [`${repeated} transitions were repeated`] : [],
  ];
}

/** Of each two users, at least the one that was registered first must know that the other is online. */
function missedPairsOf({ each }: Summary, users: number): string[] {
  let missed = 0;
  for (const one of each) {
    for (const other of each) {
      if (one.userId >= other.userId || other.userId > users) continue;
      if (one.known[other.userId] !== 1 && other.known[one.userId] !== 1) {
        missed += 1;
      }
    }
  }
  return missed > 0 ? [`${missed} pairs of users do not know each other`] : [];
}
