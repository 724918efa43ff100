/**
 * A soak run: thousands of clients connect and disconnect, and memory and descriptors must not
 * grow.
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
import { residentBytes, servedDescriptors } from "../support/process.ts";
import { randomFrom } from "../support/random.ts";
import { startServerOn } from "../support/server.ts";
import { connectSync, type SyncClient } from "../support/sync_client.ts";
import { until } from "../support/until.ts";

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
/** Growth of the second half over the first one, after the warm-up, that is still noise. */
const GROWTH_MAX = 1.15;

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
  // Every collection is a full one, so that memory shows what is held and not when V8 collected.
  const server = await startServerOn(postgres.url, {
    DENO_V8_FLAGS: "--gc-global",
  });
  cleanup.use(server);
  const atRest = servedDescriptors(server.pid);

  const over = new AbortController();
  const random = randomFrom(seed);
  let connects = 0;
  const living = Array.from({ length: clients }, async (_, index) => {
    await pause(random() * STAY_MS, over.signal);
    while (!over.signal.aborted) {
      connects += 1;
      const client = await connectOnce(server.url, index + 1, random());
      await pause(random() * STAY_MS, over.signal);
      await client?.[Symbol.asyncDispose]();
      await pause(random() * 500, over.signal);
    }
  });
  const samples: number[] = [];
  const endsAt = Date.now() + minutes * 60_000;
  while (Date.now() < endsAt) {
    await pause(SAMPLE_MS, over.signal);
    samples.push(residentBytes(server.pid) / MIB);
    print(
      `${samples.at(-1)?.toFixed(0)} MiB, ${
        servedDescriptors(server.pid)
      } descriptors, ${connects} connects`,
    );
  }
  over.abort();
  await Promise.all(living);
  await until(
    "the descriptors are back",
    () => servedDescriptors(server.pid) <= atRest,
    30_000,
  );
  judge(samples, print);
}

/** Compares two halves of the run, without its first third, which fills pools, caches and heaps. */
function judge(
  samples: readonly number[],
  print: (line: string) => void,
): void {
  const warm = samples.slice(Math.floor(samples.length / 3));
  const half = Math.floor(warm.length / 2);
  const [early, late] = [median(warm.slice(0, half)), median(warm.slice(half))];
  const minutes = warm.length * SAMPLE_MS / 60_000;
  const slope = (late - early) / (minutes / 2);
  print(
    `memory ${early.toFixed(0)} MiB, then ${late.toFixed(0)} MiB: ${
      slope.toFixed(2)
    } MiB per minute`,
  );
  ok(late < early * GROWTH_MAX, `memory grew from ${early} to ${late} MiB`);
}

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

function median(values: readonly number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? 0;
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
    print: (line) =>
      Deno.stdout.writeSync(new TextEncoder().encode(`${line}\n`)),
  });
  Deno.exit(0);
}
