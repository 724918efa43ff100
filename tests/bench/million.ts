/**
 * Measures `apply` with 1,000,000 users, 100,000 of them online: by batch size while the feed is
 * pruned, and by number of nodes; and the sweep, one call and a whole round of it.
 *
 * Run by hand: `deno run -A tests/bench/million.ts`.
 *
 * @module
 */
import { startEmbedded } from "../../src/embedded/embedded.ts";
import { migrateDatabase } from "../../src/postgres/migrate.ts";
import { SWEEP_SLICE_ROWS } from "../../src/postgres/limits.ts";
import { PostgresStore } from "../../src/postgres/postgres_store.ts";
import { query, silentLog } from "../support/database.ts";
import { randomFrom } from "../support/random.ts";

const USERS = 1_000_000;
const ONLINE = 100_000;
const LEASE_MS = 600_000;
const BATCHES = [1, 10, 100, 1_000];
const ROUNDS = 60;

function print(line: string): void {
  Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`));
}

function quantile(sorted: readonly number[], share: number): string {
  return (sorted[Math.floor(sorted.length * share)] ?? NaN).toFixed(1);
}

interface Node {
  readonly store: PostgresStore;
  readonly nodeId: string;
}

async function join(url: string): Promise<Node> {
  const store = new PostgresStore(url, silentLog);
  const nodeId = crypto.randomUUID();
  await store.join(nodeId, LEASE_MS);
  return { store, nodeId };
}

/** Creates the users, and sets the first `ONLINE` of them online. */
async function prepare(url: string): Promise<Node> {
  await migrateDatabase(url);
  await query(
    url,
    "insert into users (id, username) select n, 'user' || n from generate_series(1, $1::int) n",
    [USERS],
  );
  await query(url, "vacuum analyze users");
  const node = await join(url);
  const startedAt = performance.now();
  for (let id = 1; id <= ONLINE; id += 1_000) {
    const batch = Array.from({ length: 1_000 }, (_, n) => id + n);
    await node.store.apply(node.nodeId, batch, []);
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  print(`${ONLINE} users went online in ${seconds.toFixed(1)} s`);
  return node;
}

/** Prunes the feed until the signal aborts. Returns the number of deleted rows. */
async function prune(url: string, { signal }: AbortController) {
  let pruned = 0;
  while (!signal.aborted) {
    const [row] = await query(
      url,
      `with gone as (
         delete from rollcall_internal.feed
          where seq < (select seq - 50000 from rollcall_internal.counter)
            and seq in (select seq from rollcall_internal.feed order by seq limit 10000)
      returning 1
       ) select count(*)::int as gone from gone`,
    );
    pruned += row?.gone ?? 0;
    await new Promise((resolve) => setTimeout(resolve, 200));
  }
  return pruned;
}

/** Sets random users online and offline again, in batches. Returns the time of each, ascending. */
async function timeBatches(
  { store, nodeId }: Node,
  size: number,
  random: () => number,
): Promise<number[]> {
  const times: number[] = [];
  for (let round = 0; round < ROUNDS; round++) {
    const ids = new Set<number>();
    while (ids.size < size) {
      ids.add(ONLINE + 1 + Math.floor(random() * (USERS - ONLINE)));
    }
    for (const isOnline of [true, false]) {
      const startedAt = performance.now();
      const batch = [...ids];
      await store.apply(nodeId, isOnline ? batch : [], isOnline ? [] : batch);
      times.push(performance.now() - startedAt);
    }
  }
  return times.sort((a, b) => a - b);
}

async function measureBatches(node: Node): Promise<void> {
  const random = randomFrom(1);
  for (const size of BATCHES) {
    const times = await timeBatches(node, size, random);
    const total = times.reduce((sum, ms) => sum + ms, 0);
    print(
      `batch of ${size}: median ${quantile(times, 0.5)} ms, p99 ${
        quantile(times, 0.99)
      } ms, ${(size * times.length / total * 1_000).toFixed(0)} transitions/s`,
    );
  }
}

/** Sweeps until both passes have been through: over the users online, and over the users table. */
async function measureSweep({ store, nodeId }: Node): Promise<void> {
  const times: number[] = [];
  const calls = Math.ceil(USERS / SWEEP_SLICE_ROWS) + 1;
  for (let call = 0; call < calls; call++) {
    const startedAt = performance.now();
    await store.sweep(nodeId);
    times.push(performance.now() - startedAt);
  }
  times.sort((a, b) => a - b);
  const online = Math.ceil(ONLINE / SWEEP_SLICE_ROWS);
  print(
    `sweep: median ${quantile(times, 0.5)} ms, p99 ${
      quantile(times, 0.99)
    } ms; a round takes ${online} heartbeats over the users online, ${
      calls - 1
    } over the users table`,
  );
}

/** Several nodes write at once, each batches of neighbouring users of its own. */
async function measureNodes(url: string, count: number): Promise<void> {
  const nodes = await Promise.all(
    Array.from({ length: count }, () => join(url)),
  );
  const startedAt = performance.now();
  await Promise.all(nodes.map(async ({ store, nodeId }, index) => {
    for (let n = 0; n < 10; n++) {
      const first = ONLINE + 1 + (index * 10 + n) * 1_000;
      const batch = Array.from({ length: 1_000 }, (_, at) => first + at);
      await store.apply(nodeId, batch, []);
      await store.apply(nodeId, [], batch);
    }
  }));
  const rate = count * 20_000 / (performance.now() - startedAt) * 1_000;
  print(`${count} nodes: ${rate.toFixed(0)} transitions/s`);
  for (const { store, nodeId } of nodes) {
    await store.leave(nodeId, 0);
    await store.close();
  }
}

async function main(): Promise<void> {
  const directory = await Deno.makeTempDir({ prefix: "rollcall-million-" });
  const postgres = await startEmbedded(directory, silentLog);
  const { url } = postgres;
  try {
    const node = await prepare(url);
    const pruning = new AbortController();
    const pruned = prune(url, pruning);
    await measureBatches(node);
    pruning.abort();
    print(`${await pruned} rows of the feed were pruned meanwhile`);
    const [hot] = await query(
      url,
      "select n_tup_upd::int as updates, n_tup_hot_upd::int as hot from pg_stat_user_tables where relname = 'users'",
    );
    print(`${hot?.hot} of ${hot?.updates} updates of users were HOT`);
    const startedAt = performance.now();
    await node.store.snapshot();
    print(`a snapshot took ${(performance.now() - startedAt).toFixed(0)} ms`);
    await measureSweep(node);
    await node.store.close();
    for (const count of [1, 2, 4]) await measureNodes(url, count);
  } finally {
    await postgres.stop();
    await Deno.remove(directory, { recursive: true });
  }
}

if (import.meta.main) await main();
