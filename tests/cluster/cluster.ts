/**
 * A cluster of real server processes, each with a link to Postgres that can break.
 *
 * @module
 */
import { type Proxy, startProxy } from "../support/proxy.ts";
import {
  startServer,
  TEST_SECRET,
  type TestServer,
} from "../support/server.ts";

/** Short, so that a test sees many leases end. */
export const TIMES = {
  LEASE_MS: "2000",
  HEARTBEAT_MS: "500",
  DRAIN_MS: "300",
  DRAIN_GRACE_MS: "1500",
} as const;

/** A place for one server after another, as a machine has. */
export class Slot implements AsyncDisposable {
  readonly name: string;
  readonly proxy: Proxy;
  readonly #env: Record<string, string>;
  #server: TestServer | undefined;
  /** Logs of all servers that ran here. */
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
      ...env,
    };
  }

  get url(): string | undefined {
    return this.#server?.url;
  }

  async start(): Promise<void> {
    const server = await startServer({ env: this.#env });
    this.#server = server;
    // Clients that come back by themselves come back to the same place.
    this.#env.PORT = new URL(server.url).port;
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
