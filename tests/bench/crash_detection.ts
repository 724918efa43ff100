/**
 * Measures the time from `kill -9` of a node until the last client on another node has received
 * `user_offline` for all its users.
 *
 * Run by hand: `deno run -A tests/bench/crash_detection.ts`. It prints the median and the longest
 * of 20 runs, with the default lease and heartbeat.
 *
 * @module
 */
import { migrateDatabase } from "../../src/postgres/migrate.ts";
import { connect } from "../support/client.ts";
import { query, scratchPostgres, uniqueName } from "../support/database.ts";
import { until } from "../support/until.ts";
import { Machine } from "../cluster/cluster.ts";

const RUNS = 20;
const AT_ONCE = 5;
const USERS = 20;
const RECEIVERS = 20;
const DEFAULTS = { LEASE_MS: "10000", HEARTBEAT_MS: "3000" };

async function measure(server: string): Promise<number> {
  const url = new URL(server);
  url.pathname = `/${uniqueName("bench")}`;
  await query(server, `create database ${url.pathname.slice(1)}`);
  await migrateDatabase(url.href);
  await query(
    url.href,
    "insert into users (id, username) select n, 'user' || n from generate_series(1, 100) n",
  );
  await using dying = new Machine("dying", url.href, DEFAULTS);
  await using living = new Machine("living", url.href, DEFAULTS);
  await Promise.all([dying.start(), living.start()]);
  const ids = (first: number, count: number) =>
    Array.from({ length: count }, (_, index) => first + index);
  const lost = await Promise.all(
    ids(1, USERS).map((id) => connect(dying.url ?? "", id)),
  );
  const receivers = await Promise.all(
    ids(51, RECEIVERS).map((id) => connect(living.url ?? "", id)),
  );
  await until("all are online", async () => {
    const [{ count }] = await query(
      url.href,
      "select count(*)::int from rollcall.online_users",
    );
    return count === USERS + RECEIVERS;
  });
  // A crash can happen at any moment between two heartbeats.
  await new Promise((resolve) => setTimeout(resolve, Math.random() * 3_000));
  const killedAt = performance.now();
  await dying.end("SIGKILL");
  await until(
    "each client received all transitions",
    () =>
      receivers.every(({ messages }) =>
        messages.filter(({ type }) => type === "user_offline").length === USERS
      ),
    60_000,
  );
  const tookMs = performance.now() - killedAt;
  await Promise.all([...receivers, ...lost].map((client) => client.close()));
  return tookMs;
}

const postgres = await scratchPostgres();
const results: number[] = [];
while (results.length < RUNS) {
  const batch = Array.from({ length: AT_ONCE }, () => measure(postgres.url));
  results.push(...await Promise.all(batch));
}
await postgres[Symbol.asyncDispose]();
results.sort((a, b) => a - b);
const seconds = (ms = 0) => (ms / 1_000).toFixed(1);
Deno.stdout.writeSync(
  new TextEncoder().encode(
    `kill -9 to last user_offline received, ${RUNS} runs: median ${
      seconds(results[RUNS / 2])
    } s, longest ${seconds(results.at(-1))} s\n`,
  ),
);
Deno.exit(0);
