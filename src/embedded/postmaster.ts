/**
 * A running Postgres process: started again when it dies, stopped when we stop.
 *
 * @module
 */
import pg from "pg";
import {
  EMBEDDED_RESTART_MS,
  EMBEDDED_START_MS,
  EMBEDDED_STOP_MS,
  EMBEDDED_TAKEOVER_MS,
} from "./limits.ts";
import type { Log } from "../base/log.ts";
import { StartError } from "../base/start_error.ts";
import type { Owner } from "./owner.ts";

/** The cluster's superuser, and the database that it has from the start. */
export const CLUSTER_USER = "rollcall";
const DATABASE = "postgres";

const POLL_MS = 100;

/** Its log goes to files of its own, one per weekday: a pipe would break when we are killed. */
const SETTINGS = [
  "listen_addresses=127.0.0.1",
  "unix_socket_directories=",
  "logging_collector=on",
  "log_directory=log",
  "log_filename=postgres-%a.log",
  "log_rotation_age=1d",
  "log_rotation_size=0",
  "log_truncate_on_rotation=on",
  "log_checkpoints=off",
];

export class Postmaster {
  readonly url: string;
  readonly #binary: string;
  readonly #owner: Owner;
  readonly #args: readonly string[];
  readonly #log: Log;
  readonly #killOnExit = () => this.#process?.kill("SIGQUIT");
  #process: Deno.ChildProcess | undefined;
  /** What it said before its log was open: why it did not start. */
  #lastOutput = "";
  #stopping = false;
  #watching: Promise<void> | undefined;

  constructor(
    binary: string,
    owner: Owner,
    cluster: string,
    password: string,
    log: Log,
  ) {
    const port = freePort();
    this.url = urlFor(port, password);
    this.#binary = binary;
    this.#owner = owner;
    this.#log = log;
    this.#args = [
      "-D",
      cluster,
      "-p",
      String(port),
      ...SETTINGS.flatMap((item) => ["-c", item]),
    ];
  }

  async start(): Promise<void> {
    globalThis.addEventListener("unload", this.#killOnExit);
    const startedAt = Date.now();
    this.#spawn();
    while (!await answers(this.url)) {
      const elapsed = Date.now() - startedAt;
      if (
        this.#process === undefined && this.#isStillHeld() &&
        elapsed < EMBEDDED_TAKEOVER_MS
      ) {
        this.#spawn();
      } else if (this.#process === undefined || elapsed > EMBEDDED_START_MS) {
        await this.stop();
        throw new StartError(
          `Cannot start the embedded Postgres: ${this.#lastOutput.trim()}`,
        );
      }
      await pause(POLL_MS);
    }
    this.#watching = this.#watch();
  }

  /** The cluster's lock file names a process that was killed and is not quite gone. */
  #isStillHeld(): boolean {
    return this.#lastOutput.includes("postmaster.pid");
  }

  async stop(): Promise<void> {
    this.#stopping = true;
    for (const signal of ["SIGINT", "SIGQUIT", "SIGKILL"] as const) {
      const process = this.#process;
      if (process === undefined) break;
      process.kill(signal);
      const timer = Promise.withResolvers<void>();
      const timeout = setTimeout(timer.resolve, EMBEDDED_STOP_MS);
      await Promise.race([process.status, timer.promise]);
      clearTimeout(timeout);
    }
    await this.#watching;
    globalThis.removeEventListener("unload", this.#killOnExit);
  }

  #spawn(): void {
    const process = this.#owner.command(this.#binary, this.#args).spawn();
    this.#process = process;
    void this.#relay(process.stderr);
    void process.status.then(() => {
      if (this.#process === process) this.#process = undefined;
    });
  }

  /** Brings a Postgres that was killed back on the same port; its clients only have to reconnect. */
  async #watch(): Promise<void> {
    while (true) {
      await this.#process?.status;
      if (this.#stopping) return;
      this.#log.error({}, "the embedded Postgres died, starting it again");
      await pause(EMBEDDED_RESTART_MS);
      if (this.#stopping) return;
      this.#spawn();
    }
  }

  async #relay(output: ReadableStream<Uint8Array>): Promise<void> {
    for await (const text of output.pipeThrough(new TextDecoderStream())) {
      this.#lastOutput = text;
    }
  }
}

/** Where a cluster of ours is, once it listens on a port. */
export function urlFor(port: number, password: string): string {
  return `postgres://${CLUSTER_USER}:${password}@127.0.0.1:${port}/${DATABASE}`;
}

/** Whether somebody who takes the password listens there. */
export async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: 2_000,
  });
  client.on("error", () => {});
  try {
    await client.connect();
    await client.end();
    return true;
  } catch {
    return false;
  }
}

function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  return port;
}

function pause(ms: number): Promise<void> {
  return new Promise((resolve) => setTimeout(resolve, ms));
}
