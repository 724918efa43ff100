/**
 * A cluster of real server processes, each with a connection to Postgres that can fail.
 *
 * @module
 */
import { freePort } from "../support/ports.ts";
import { type Proxy, startProxy } from "../support/proxy.ts";
import {
  startServer,
  TEST_SECRET,
  type TestServer,
} from "../support/server.ts";

/** Short, so that leases end within a test. */
export const TIMES = {
  LEASE_MS: "2000",
  HEARTBEAT_MS: "500",
  DRAIN_MS: "300",
  DRAIN_GRACE_MS: "1500",
} as const;

/** One server after another at the same address, as on a machine that is restarted. */
export class Machine implements AsyncDisposable {
  readonly name: string;
  readonly proxy: Proxy;
  readonly #env: Record<string, string>;
  #server: TestServer | undefined;
  /** The logs of all servers that ran here. */
  readonly logs: string[] = [];

  constructor(
    name: string,
    databaseUrl: string,
    env: Record<string, string> = {},
  ) {
    this.name = name;
    this.proxy = startProxy(databaseUrl);
    this.#env = {
      ...TIMES,
      DATABASE_URL: this.proxy.url,
      JWT_SECRET: TEST_SECRET,
      ROSTER_ACCESS: "public",
      // Clients that reconnect by themselves find the next server at the same place.
      PORT: String(freePort()),
      ...env,
    };
  }

  get url(): string | undefined {
    return this.#server?.url;
  }

  async start(): Promise<void> {
    this.#server = await startServer({ env: this.#env });
  }

  signal(signal: Deno.Signal): void {
    if (this.#server !== undefined) Deno.kill(this.#server.pid, signal);
  }

  /** Ends the server with a signal, and resolves with its exit code. */
  async end(signal: "SIGTERM" | "SIGKILL"): Promise<number> {
    const server = this.#server;
    if (server === undefined) return 0;
    this.#server = undefined;
    const code = await server.stop(signal);
    this.logs.push(...server.log);
    await server[Symbol.asyncDispose]();
    return code;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.end("SIGTERM");
    await this.proxy[Symbol.asyncDispose]();
  }
}
