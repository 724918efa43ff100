/**
 * Measures `apply` and `sweep` with 1,000,000 users, 100,000 of them online: `apply` by batch size
 * while the feed is pruned, and by number of nodes; `sweep` until every user was compared once.
 *
 * Run by hand: `deno run -A tests/bench/million.ts [integer | bigint | uuid | text]`.
 *
 * @module
 */
import { migrateDatabase } from "../../src/postgres/migrate.ts";
import { SWEEP_SLICE_ROWS } from "../../src/postgres/limits.ts";
import { PostgresStore } from "../../src/postgres/postgres_store.ts";
import { DEFAULT_USERS } from "../../src/postgres/users_table.ts";
import {
  USER_ID_TYPES,
  type UserId,
  userIds,
  type UserIdType,
} from "../../src/client/protocol/user_id.ts";
import { query, scratchPostgres, silentLog } from "../support/database.ts";
import { idOf } from "../support/ids.ts";
import { randomFrom } from "../support/random.ts";
import { printLine } from "../support/print_line.ts";

const USERS = 1_000_000;
const ONLINE = 100_000;
const LEASE_MS = 600_000;
const BATCHES = [1, 10, 100, 1_000];
/** Users that are prepared, or that a node writes, at once. */
const BATCH = 1_000;
const ROUNDS = 60;

function quantile(sorted: readonly number[], share: number): string {
  return (sorted[Math.floor(sorted.length * share)] ?? NaN).toFixed(1);
}

interface Database {
  readonly url: string;
  readonly idType: UserIdType;
}

interface Node {
  readonly store: PostgresStore;
  readonly nodeId: string;
}

async function join({ url, idType }: Database): Promise<Node> {
  const store = new PostgresStore(url, silentLog, userIds(idType));
  const nodeId = crypto.randomUUID();
  await store.join(nodeId, LEASE_MS);
  return { store, nodeId };
}

/** The ids of so many users, from the first on. */
function range({ idType }: Database, first: number, count: number): UserId[] {
  return Array.from({ length: count }, (_, n) => idOf(idType, first + n));
}

/** Creates the users, and sets the first `ONLINE` of them online. */
async function prepare(database: Database): Promise<Node> {
  const { url, idType } = database;
  await migrateDatabase(url, { ...DEFAULT_USERS, idType });
  for (let first = 1; first <= USERS; first += BATCH) {
    await query(
      url,
      `insert into users (id, username)
       select id, 'user' || n from unnest($1::${idType}[]) with ordinality as given (id, n)`,
      [range(database, first, BATCH)],
    );
  }
  await query(url, "vacuum analyze users");
  const node = await join(database);
  const startedAt = performance.now();
  for (let first = 1; first <= ONLINE; first += BATCH) {
    await node.store.apply(node.nodeId, range(database, first, BATCH), []);
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  printLine(`${ONLINE} users went online in ${seconds.toFixed(1)} s`);
  return node;
}

/** Prunes the feed until the signal aborts. Returns the number of deleted rows. */
async function prune({ url }: Database, { signal }: AbortController) {
  let pruned = 0;
  while (!signal.aborted) {
    const [row] = await query(
      url,
      `with gone as (
         delete from rollcall_internal.feed
          where seq < (select seq - 50000 from rollcall_internal.head)
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
  { idType }: Database,
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
      const batch = [...ids].map((n) => idOf(idType, n));
      await store.apply(nodeId, isOnline ? batch : [], isOnline ? [] : batch);
      times.push(performance.now() - startedAt);
    }
  }
  return times.sort((a, b) => a - b);
}

async function measureBatches(database: Database, node: Node): Promise<void> {
  const random = randomFrom(1);
  for (const size of BATCHES) {
    const times = await timeBatches(database, node, size, random);
    const total = times.reduce((sum, ms) => sum + ms, 0);
    printLine(
      `batch of ${size}: median ${quantile(times, 0.5)} ms, p99 ${
        quantile(times, 0.99)
      } ms, ${(size * times.length / total * 1_000).toFixed(0)} transitions/s`,
    );
  }
}

/** Several nodes write at once, each batches of neighbouring users of its own. */
async function measureNodes(
  database: Database,
  count: number,
): Promise<void> {
  const nodes = await Promise.all(
    Array.from({ length: count }, () => join(database)),
  );
  const startedAt = performance.now();
  await Promise.all(nodes.map(async ({ store, nodeId }, index) => {
    for (let n = 0; n < 10; n++) {
      const first = ONLINE + 1 + (index * 10 + n) * BATCH;
      const batch = range(database, first, BATCH);
      await store.apply(nodeId, batch, []);
      await store.apply(nodeId, [], batch);
    }
  }));
  const rate = count * 20 * BATCH / (performance.now() - startedAt) * 1_000;
  printLine(`${count} nodes: ${rate.toFixed(0)} transitions/s`);
  for (const { store, nodeId } of nodes) {
    await store.leave(nodeId, 0);
    await store.close();
  }
}

/** Sweeps until every user was compared once, as a node does at its heartbeats. */
async function measureSweeps({ store, nodeId }: Node): Promise<void> {
  const rounds = Math.ceil(USERS / SWEEP_SLICE_ROWS);
  const times: number[] = [];
  for (let round = 0; round < rounds; round++) {
    const startedAt = performance.now();
    await store.sweep(nodeId);
    times.push(performance.now() - startedAt);
  }
  const median = (part: number[]) =>
    quantile([...part].sort((a, b) => a - b), 0.5);
  const third = Math.floor(rounds / 3);
  printLine(
    `a sweep: median ${median(times)} ms, longest ${
      Math.max(...times).toFixed(0)
    } ms, of the first third ${median(times.slice(0, third))} ms, of the last ${
      median(times.slice(-third))
    } ms`,
  );
  printLine(
    `all ${ONLINE} online users are compared in ${
      Math.ceil(ONLINE / SWEEP_SLICE_ROWS)
    } heartbeats, all ${USERS} copies in ${rounds}`,
  );
}

async function main(idType: UserIdType): Promise<void> {
  await using postgres = await scratchPostgres();
  const database = { url: postgres.url, idType };
  const node = await prepare(database);
  const pruning = new AbortController();
  const pruned = prune(database, pruning);
  await measureBatches(database, node);
  pruning.abort();
  printLine(`${await pruned} rows of the feed were pruned meanwhile`);
  const [hot] = await query(
    postgres.url,
    "select n_tup_upd::int as updates, n_tup_hot_upd::int as hot from pg_stat_user_tables where relname = 'users'",
  );
  printLine(`${hot?.hot} of ${hot?.updates} updates of users were HOT`);
  await measureSweeps(node);
  const startedAt = performance.now();
  await node.store.snapshot();
  printLine(`a snapshot took ${(performance.now() - startedAt).toFixed(0)} ms`);
  await node.store.close();
  for (const count of [1, 2, 4]) await measureNodes(database, count);
}

if (import.meta.main) {
  const [given = "integer"] = Deno.args;
  const idType = USER_ID_TYPES.find((type) => type === given);
  if (idType === undefined) throw new TypeError(`no type of ids: ${given}`);
  await main(idType);
}
