/**
 * Measures what clients notice of an outage: 1,000 of the library's clients on three nodes behind
 * a proxy, while the nodes are restarted one after the other, while the proxy is restarted, and while
 * another host of the database takes over.
 *
 * Run by hand: `deno run -A tests/bench/outages.ts [nginx | haproxy | caddy] [OFFLINE_GRACE_MS]`.
 *
 * @module
 */
import { connect, type Rollcall } from "../../src/client/client.ts";
import { migrateDatabase } from "../../src/postgres/migrate.ts";
import { tokenFor } from "../support/client.ts";
import { query } from "../support/database.ts";
import { metrics, statusCode } from "../support/endpoints.ts";
import {
  CADDY,
  HAPROXY,
  NGINX,
  PROXY_ADDRESS,
  type ProxyKind,
  startFrontProxy,
} from "../support/front_proxy.ts";
import { freePort } from "../support/ports.ts";
import { startServerOn, type TestServer } from "../support/server.ts";
import { startPair } from "../support/standby.ts";
import { until } from "../support/until.ts";
import { printLine } from "../support/print_line.ts";

const CLIENTS = 1_000;
const KINDS: Record<string, ProxyKind> = {
  ...{ nginx: NGINX, haproxy: HAPROXY, caddy: CADDY },
};
const WAIT_MS = 120_000;

async function pause(ms: number): Promise<void> {
  await new Promise((resolve) => setTimeout(resolve, ms));
}

async function timed(work: () => Promise<unknown>): Promise<string> {
  const startedAt = performance.now();
  await work();
  return `${((performance.now() - startedAt) / 1_000).toFixed(1)} s`;
}

/** The clients, with how long each was without a connection. */
class Crowd {
  readonly #clients: Rollcall[] = [];
  readonly #lostAt = new Map<Rollcall, number>();
  readonly #connected = new Set<Rollcall>();
  #returned: number[] = [];
  /** Events `online` and `offline` at the first client. */
  #events = 0;

  async open(url: string): Promise<void> {
    for (let id = 1; id <= CLIENTS; id++) {
      const client = connect(`${url}ws`, { token: () => tokenFor(id) });
      client.on("connection", ({ state }) => this.#note(client, state));
      if (id === 1) {
        client.on("online", () => this.#events += 1);
        client.on("offline", () => this.#events += 1);
      }
      this.#clients.push(client);
      if (id % 50 === 0) await pause(100);
    }
    await this.settled();
  }

  #note(client: Rollcall, state: string): void {
    const lostAt = this.#lostAt.get(client);
    if (state !== "connected") {
      this.#connected.delete(client);
      if (lostAt === undefined) this.#lostAt.set(client, performance.now());
      return;
    }
    this.#lostAt.delete(client);
    this.#connected.add(client);
    if (lostAt !== undefined) this.#returned.push(performance.now() - lostAt);
  }

  async settled(): Promise<void> {
    await until(
      "all clients are connected",
      () => this.#connected.size === CLIENTS,
      WAIT_MS,
    );
  }

  /** What happened since the last call. */
  report(): string {
    const sorted = this.#returned.toSorted((a, b) => a - b);
    const at = (share: number) =>
      `${
        ((sorted[Math.floor(sorted.length * share)] ?? 0) / 1_000).toFixed(2)
      } s`;
    const text = `${sorted.length} reconnects: p50 ${at(0.5)}, p99 ${
      at(0.99)
    }, longest ${at(0.9999)}; ${this.#events} events at the first client`;
    this.#returned = [];
    this.#events = 0;
    return text;
  }

  close(): void {
    for (const client of this.#clients) client.close();
  }
}

/** How many transitions there were since the last call. */
function transitionsIn(url: string) {
  let before = 0;
  return async () => {
    const [row] = await query(
      url,
      "select count(*)::int as all from rollcall_internal.feed",
    );
    const since = row?.all - before;
    before = row?.all;
    return `${since} transitions`;
  };
}

class Nodes {
  readonly #databaseUrl: string;
  readonly #env: Record<string, string>;
  readonly #ports = [freePort(), freePort(), freePort()];
  #running: TestServer[] = [];

  constructor(databaseUrl: string, offlineGraceMs: string) {
    this.#databaseUrl = databaseUrl;
    this.#env = {
      TRUSTED_PROXIES: `${PROXY_ADDRESS},127.0.0.1`,
      OFFLINE_GRACE_MS: offlineGraceMs,
      SOCKET_ENGINE: "ws",
    };
  }

  get hosts(): string[] {
    return this.#ports.map((port) => `127.0.0.1:${port}`);
  }

  async start(nth: number): Promise<void> {
    const PORT = String(this.#ports[nth]);
    const env = { ...this.#env, PORT };
    this.#running[nth] = await startServerOn(this.#databaseUrl, env);
  }

  async stop(nth: number): Promise<void> {
    const server = this.#running[nth];
    await server?.stop();
    await server?.[Symbol.asyncDispose]();
  }

  async sockets(): Promise<string> {
    const counts = await Promise.all(
      this.#running.map(async (server) =>
        (await metrics(server)).get("rollcall_sockets")
      ),
    );
    return `sockets of the nodes: ${counts.join(" / ")}`;
  }

  /** Seconds until each node is ready. */
  async ready(): Promise<string> {
    const times = await Promise.all(
      this.#running.map(({ url }) =>
        timed(() =>
          until(
            "the node is ready",
            async () => await statusCode(`${url}readyz`) === 200,
            WAIT_MS,
          )
        )
      ),
    );
    return times.join(" / ");
  }

  async stopAll(): Promise<void> {
    await Promise.all([0, 1, 2].map((nth) => this.stop(nth)));
  }
}

async function main(name: string, offlineGraceMs: string): Promise<void> {
  const kind = KINDS[name];
  if (kind === undefined) throw new TypeError(`no proxy: ${name}`);
  await using pair = await startPair();
  const { primary, standby } = pair;
  await migrateDatabase(primary.url);
  await query(
    primary.url,
    `insert into users (id, username) select n, 'user' || n from generate_series(1, ${CLIENTS}) n`,
  );
  const { host } = new URL(primary.url);
  const databaseUrl = primary.url
    .replace(host, `${host},${new URL(standby.url).host}`);
  const nodes = new Nodes(databaseUrl, offlineGraceMs);
  for (const nth of [0, 1, 2]) await nodes.start(nth);
  const options = { port: freePort(), socketsMax: 10 * CLIENTS };
  let proxy = await startFrontProxy(kind, nodes.hosts, options);
  const crowd = new Crowd();
  await crowd.open(proxy.url);
  const transitions = transitionsIn(primary.url);
  printLine(
    `${name}, OFFLINE_GRACE_MS=${offlineGraceMs}: ${await transitions()}`,
  );
  printLine(await nodes.sockets());
  crowd.report();

  for (const nth of [0, 1, 2]) {
    const stop = await timed(() => nodes.stop(nth));
    const start = await timed(() => nodes.start(nth));
    printLine(`node ${nth + 1} stopped in ${stop} and started in ${start}`);
    await pause(4_000);
  }
  await crowd.settled();
  printLine(`rolling restart: ${crowd.report()}; ${await transitions()}`);
  printLine(await nodes.sockets());

  await proxy[Symbol.asyncDispose]();
  proxy = await startFrontProxy(kind, nodes.hosts, options);
  await pause(6_000);
  await crowd.settled();
  printLine(`restart of the proxy: ${crowd.report()}; ${await transitions()}`);

  await primary.stop();
  await pause(2_000);
  printLine(`promotion: ${await timed(() => pair.promote())}`);
  printLine(`until each node was ready after it: ${await nodes.ready()}`);
  printLine(`failover: ${crowd.report()}`);

  crowd.close();
  await proxy[Symbol.asyncDispose]();
  await nodes.stopAll();
}

if (import.meta.main) {
  const [name = "haproxy", offlineGraceMs = "5000"] = Deno.args;
  await main(name, offlineGraceMs);
  Deno.exit();
}
