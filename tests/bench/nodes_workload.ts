/**
 * The workloads on several nodes of Rollcall.
 *
 * @module
 */
import { type Contender, type Running, start } from "./contenders.ts";
import { Load } from "./load.ts";
import {
  lossesOf,
  range,
  type Result,
  type Stage,
  usage,
} from "./workloads.ts";

/** A node is killed, and all its clients connect to the other node at once. */
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
  await load.awaitStatus({ userId: users, isOnline: true });
  await load.quiet();
  await load.reset();
  const before = usage(second);
  await first[Symbol.asyncDispose]();
  const startedAt = performance.now();
  await load.connect(second, range(1, users));
  const openMs = performance.now() - startedAt;
  const summary = await load.quiet();
  const witness = summary.each.find(({ userId }) => userId > users);
  return {
    metrics: {
      openMs,
      cpuSeconds: usage(second).cpuSeconds - before.cpuSeconds,
      flaps: witness?.received ?? NaN,
    },
    faults: [],
  };
}

/** A churn while the connections are distributed over several nodes. */
export async function spread(
  contender: Contender,
  stage: Stage,
  { nodes, receivers, visitors, rounds }: {
    nodes: number;
    receivers: number;
    visitors: number;
    rounds: number;
  },
): Promise<Result> {
  const environment = await stage.environment(contender);
  await using stack = new AsyncDisposableStack();
  const servers: Running[] = [];
  for (let n = 0; n < nodes; n++) {
    servers.push(stack.use(await start(contender, environment)));
  }
  using load = new Load(receivers + visitors);
  const connect = async (ids: readonly number[]) => {
    await Promise.all(
      servers.map((server, index) =>
        load.connect(
          server,
          ids.filter((id) => Math.floor(id / 7) % nodes === index),
        )
      ),
    );
  };
  await connect(range(1, receivers));
  await load.quiet();
  await load.reset();
  const visitorIds = range(receivers + 1, visitors);
  const startedAt = performance.now();
  const cpuBefore = servers.map((server) => server.cpuSeconds());
  for (let round = 0; round < rounds; round++) {
    await connect(visitorIds);
    await load.awaitCount(visitors * (2 * round + 1), receivers);
    await load.close(visitorIds);
    await load.awaitCount(visitors * (2 * round + 2), receivers);
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
