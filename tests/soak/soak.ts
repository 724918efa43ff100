/**
 * A soak run: thousands of clients connect and disconnect in several rounds, and after each round
 * the server must have as much memory and as many descriptors as after the one before.
 *
 * By hand: `deno task soak --minutes 15`.
 *
 * @module
 */
import { ok } from "node:assert/strict";
import { parseArgs } from "node:util";
import { migrateDatabase } from "../../src/postgres/migrate.ts";
import { open, type TestClient } from "../support/client.ts";
import { query, scratchPostgres } from "../support/database.ts";
import { heldBytes, MEASURED_HEAP } from "../support/heap.ts";
import { residentBytes, servedDescriptors } from "../support/process.ts";
import { randomFrom } from "../support/random.ts";
import { startServerOn, type TestServer } from "../support/server.ts";
import { connectSync, type SyncClient } from "../support/sync_client.ts";
import { until } from "../support/until.ts";
import { printLine } from "../support/print_line.ts";

export interface SoakOptions {
  readonly minutes: number;
  readonly clients: number;
  readonly seed: number;
  readonly print: (line: string) => void;
}

const MIB = 1_048_576;
const SAMPLE_MS = 5_000;
/** The longest time that a client stays. The average is half of it. */
const STAY_MS = 20_000;
/** The first one fills pools and caches. What the last one adds to the one before is a leak. */
const ROUNDS = 3;
const SETTLED_MS_MAX = 15_000;
/** Growth in the last round that is still noise. */
const GROWTH_MAX = 1.25;

export async function soak(options: SoakOptions): Promise<void> {
  const { minutes, clients, seed, print } = options;
  print(`soak: ${clients} clients, ${minutes} minutes, seed ${seed}`);
  await using cleanup = new AsyncDisposableStack();
  const postgres = cleanup.use(await scratchPostgres());
  await migrateDatabase(postgres.url);
  await query(
    postgres.url,
    "insert into users (id, username) select n, 'user' || n from generate_series(1, $1::int) n",
    [clients],
  );
  const server = await startServerOn(postgres.url, {}, {
    permissions: MEASURED_HEAP,
  });
  cleanup.use(server);
  const atRest = servedDescriptors(server.pid);

  const random = randomFrom(seed);
  let connects = 0;
  const live = async (userId: number, over: AbortSignal) => {
    await pause(random() * STAY_MS, over);
    while (!over.aborted) {
      connects += 1;
      const client = await connectOnce(server.url, userId, random());
      await pause(random() * STAY_MS, over);
      await client?.[Symbol.asyncDispose]();
      await pause(random() * 500, over);
    }
  };
  let early: Memory = { held: Infinity, resident: Infinity };
  for (let round = 1; round <= ROUNDS; round++) {
    const over = AbortSignal.timeout(minutes * 60_000 / ROUNDS);
    const living = Array.from(
      { length: clients },
      (_, index) => live(index + 1, over),
    );
    while (!over.aborted) {
      await pause(SAMPLE_MS, over);
      print(
        `${mib(residentBytes(server.pid))}, ${
          servedDescriptors(server.pid)
        } descriptors, ${connects} connects`,
      );
    }
    await Promise.all(living);
    await until(
      "the descriptors are back",
      () => servedDescriptors(server.pid) <= atRest,
      30_000,
    );
    const late = await settled(server, early, print);
    if (round === ROUNDS) {
      ok(late.held < early.held * GROWTH_MAX, "what is held grew");
      ok(late.resident < early.resident * GROWTH_MAX, "resident memory grew");
    }
    early = late;
  }
}

/** Memory after a round. Timers of connections that have ended hold some of it for seconds. */
async function settled(
  server: TestServer,
  before: Memory,
  print: (line: string) => void,
): Promise<Memory> {
  let memory = before;
  await until("what is held is freed", async () => {
    memory = {
      held: await heldBytes(server),
      resident: residentBytes(server.pid),
    };
    return memory.held < before.held * 1.05;
  }, SETTLED_MS_MAX).catch(() => {});
  print(
    `a round has ended: held ${mib(memory.held)}, resident ${
      mib(memory.resident)
    }`,
  );
  return memory;
}

/** Bytes at the end of a round, without clients and without garbage. */
interface Memory {
  readonly held: number;
  readonly resident: number;
}

const mib = (bytes: number) => `${(bytes / MIB).toFixed(1)} MiB`;

/** Two of three clients speak version 2, and one of these watches three users. */
async function connectOnce(
  url: string,
  userId: number,
  dice: number,
): Promise<TestClient | SyncClient | undefined> {
  try {
    if (dice < 0.3) return await open(url, userId);
    return await connectSync(
      url,
      userId,
      dice < 0.6 ? { watch: [1, 2, 3] } : {},
    );
  } catch {
    // The server accepts only so many at once.
    return undefined;
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  if (signal.aborted) return Promise.resolve();
  return new Promise((resolve) => {
    const done = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    };
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done);
  });
}

if (import.meta.main) {
  const { values } = parseArgs({
    options: {
      minutes: { type: "string", default: "15" },
      clients: { type: "string", default: "2000" },
      seed: { type: "string", default: String(Date.now() % 2 ** 31) },
    },
  });
  await soak({
    minutes: Number(values.minutes),
    clients: Number(values.clients),
    seed: Number(values.seed),
    print: printLine,
  });
  Deno.exit(0);
}
