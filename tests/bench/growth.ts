/**
 * Measures what presence leaves behind in the database: WAL for each transition, the sizes of the
 * tables after 2,000,000 transitions of 100,000 users, and what a write takes while a transaction
 * elsewhere stays open, as a `pg_dump` does.
 *
 * Run by hand: `deno run -A tests/bench/growth.ts [wal] [sizes] [open] [heartbeats]`.
 *
 * @module
 */
import pg from "pg";
import { migrateDatabase } from "../../src/postgres/migrate.ts";
import { PostgresStore } from "../../src/postgres/postgres_store.ts";
import { query, scratchPostgres, silentLog } from "../support/database.ts";
import { randomFrom } from "../support/random.ts";
import { printLine } from "../support/print_line.ts";

const USERS = 100_000;
const LEASE_MS = 600_000;
const TRANSITIONS = 2_000_000;
const SWEEP_EACH_MS = 3_000;
/** Writes beside an open transaction, and after how many of them the times are printed. */
const WRITES = 40_000;
const WRITES_EACH = 10_000;
/** Of ten hours. */
const HEARTBEATS = 12_000;

const TABLES = [
  ...["users", "rollcall_internal.presence", "rollcall_internal.feed"],
  ...["rollcall_internal.counter", "rollcall_internal.writes"],
  ...["rollcall_internal.nodes", "rollcall_internal.sweep_position"],
];

/** A node that sets users online who are offline, and the other way round. */
class Node {
  readonly #id = crypto.randomUUID();
  readonly #store: PostgresStore;
  readonly #online = new Set<number>();

  constructor(url: string) {
    this.#store = new PostgresStore(url, silentLog);
  }

  async join(): Promise<void> {
    await this.#store.join(this.#id, LEASE_MS);
  }

  /** Returns how many milliseconds the write took. */
  async toggle(users: Iterable<number>): Promise<number> {
    const all = [...new Set(users)];
    const arriving = all.filter((id) => !this.#online.has(id));
    const leaving = all.filter((id) => this.#online.has(id));
    const startedAt = performance.now();
    await this.#store.apply(this.#id, arriving, leaving);
    const took = performance.now() - startedAt;
    for (const id of arriving) this.#online.add(id);
    for (const id of leaving) this.#online.delete(id);
    return took;
  }

  async sweep(): Promise<void> {
    await this.#store.sweep(this.#id);
  }

  /** As a heartbeat does. */
  async renew(): Promise<void> {
    await this.#store.heartbeat(this.#id, LEASE_MS);
  }

  async stop(): Promise<void> {
    await this.#store.leave(this.#id, 0);
    await this.#store.close();
  }
}

/** So many random ids up to `users`. */
function pick(random: () => number, count: number, users = USERS): number[] {
  return Array.from({ length: count }, () => 1 + Math.floor(random() * users));
}

async function walBytes(url: string): Promise<number> {
  const [row] = await query(
    url,
    "select pg_wal_lsn_diff(pg_current_wal_insert_lsn(), '0/0')::float8 as bytes",
  );
  return row?.bytes;
}

async function measureWal(url: string, node: Node): Promise<void> {
  const random = randomFrom(1);
  const measure = async (size: number, writes: number) => {
    const before = await walBytes(url);
    for (let n = 0; n < writes; n++) await node.toggle(pick(random, size));
    const bytes = await walBytes(url) - before;
    return `${(bytes / (size * writes) / 1_000).toFixed(2)} kB`;
  };
  // Every page is in the log once since the last checkpoint.
  for (let n = 0; n < 3; n++) {
    for (let first = 1; first <= USERS; first += 1_000) {
      const ids = Array.from({ length: 1_000 }, (_, index) => first + index);
      await node.toggle(ids);
    }
  }
  for (const [size, writes] of [[100, 200], [5, 2_000], [1, 5_000]] as const) {
    printLine(`WAL in batches of ${size}: ${await measure(size, writes)}`);
  }
  await query(url, "checkpoint");
  printLine(`WAL one at a time after a checkpoint: ${await measure(1, 2_000)}`);
}

async function printSizes(url: string): Promise<void> {
  for (const table of TABLES) {
    const [row] = await query(
      url,
      `select (select count(*)::int from ${table}) as rows,
              pg_size_pretty(pg_table_size($1::regclass)) as "table",
              pg_size_pretty(pg_indexes_size($1::regclass)) as indexes,
              n_dead_tup::int as dead, autovacuum_count::int as vacuums
         from pg_stat_user_tables where relid = $1::regclass`,
      [table],
    );
    printLine(`${table}: ${JSON.stringify(row)}`);
  }
  const [all] = await query(
    url,
    "select pg_size_pretty(pg_database_size(current_database())) as size",
  );
  printLine(`the whole database: ${all?.size}`);
}

async function measureSizes(url: string, node: Node): Promise<void> {
  const random = randomFrom(2);
  const startedAt = performance.now();
  const times: number[] = [];
  let sweptAt = startedAt;
  for (let done = 0; done < TRANSITIONS; done += 100) {
    times.push(await node.toggle(pick(random, 100)));
    if (performance.now() - sweptAt < SWEEP_EACH_MS) continue;
    await node.renew();
    await node.sweep();
    sweptAt = performance.now();
  }
  const seconds = (performance.now() - startedAt) / 1_000;
  printLine(
    `${TRANSITIONS} transitions in ${seconds.toFixed()} s, a write took ${
      quantiles(times)
    }`,
  );
  await printSizes(url);
}

function quantiles(times: readonly number[]): string {
  const sorted = times.toSorted((a, b) => a - b);
  const at = (share: number) =>
    (sorted[Math.floor(sorted.length * share)] ?? NaN).toFixed(2);
  return `p50 ${at(0.5)} ms, p99 ${at(0.99)} ms`;
}

/** As a `pg_dump`, a report or a forgotten session has it. */
async function openTransaction(url: string): Promise<pg.Client> {
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  await client.query("begin isolation level repeatable read");
  await client.query("select from users limit 1");
  return client;
}

/** Ten hours of heartbeats and sweeps of one node, beside an open transaction. */
async function measureHeartbeats(url: string, node: Node): Promise<void> {
  const measure = async (work: () => Promise<unknown>) => {
    const times: number[] = [];
    for (let n = 0; n < 500; n++) {
      const startedAt = performance.now();
      await work();
      times.push(performance.now() - startedAt);
    }
    return quantiles(times);
  };
  const all = async () =>
    `a renewal ${await measure(() => node.renew())}; a sweep ${await measure(
      () => node.sweep(),
    )}; a write ${await measure(() => node.toggle([1]))}`;
  printLine(`heartbeats, before: ${await all()}`);
  const other = await openTransaction(url);
  for (let n = 0; n < HEARTBEATS; n++) {
    await node.renew();
    await node.sweep();
  }
  printLine(`  after ${HEARTBEATS} beside an open transaction: ${await all()}`);
  await other.end();
}

/** @param users How many users take turns: the fewer, the more often each of them changes. */
async function measureOpenTransaction(
  url: string,
  node: Node,
  users: number,
): Promise<void> {
  const random = randomFrom(3);
  const write = async (count: number) => {
    const times: number[] = [];
    for (let n = 0; n < count; n++) {
      times.push(await node.toggle(pick(random, 1, users)));
      if (n % 300 === 0) await node.renew();
    }
    return quantiles(times);
  };
  printLine(`${users} users, one a write; before: ${await write(2_000)}`);
  const other = await openTransaction(url);
  for (let done = WRITES_EACH; done <= WRITES; done += WRITES_EACH) {
    const times = await write(WRITES_EACH);
    printLine(`  ${done} writes beside an open transaction: ${times}`);
  }
  await other.end();
  await query(url, "vacuum");
  printLine(`  after its end: ${await write(2_000)}`);
}

if (import.meta.main) {
  await using postgres = await scratchPostgres();
  const { url } = postgres;
  await migrateDatabase(url);
  await query(
    url,
    `insert into users (id, username) select n, 'user' || n from generate_series(1, ${USERS}) n`,
  );
  await query(url, "vacuum analyze users");
  // Times are then those of the database's work, and not of its disk.
  await query(url, "alter database postgres set synchronous_commit = off");
  const node = new Node(url);
  await node.join();
  const open = async () => {
    for (const users of [USERS, 2_000, 20]) {
      await measureOpenTransaction(url, node, users);
    }
  };
  const parts: Record<string, () => Promise<void>> = {
    wal: () => measureWal(url, node),
    sizes: () => measureSizes(url, node),
    open,
    heartbeats: () => measureHeartbeats(url, node),
  };
  for (const name of Deno.args.length > 0 ? Deno.args : Object.keys(parts)) {
    await parts[name]?.();
  }
  await node.stop();
}
