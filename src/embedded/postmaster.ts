/**
 * The process of the embedded Postgres. It is started again when it dies, until it is stopped.
 *
 * What is in the database, and how its data was created, is not known here.
 *
 * @module
 */
import pg from "pg";
import { systemClock, within } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { StartError } from "../base/start_error.ts";
import {
  EMBEDDED_CONNECT_MS,
  EMBEDDED_POLL_MS,
  EMBEDDED_RESTART_MS,
  EMBEDDED_START_MS,
  EMBEDDED_STOP_MS,
  EMBEDDED_TAKEOVER_MS,
} from "./limits.ts";
import type { Owner } from "./owner.ts";

/** The database's superuser, and the name of the database, which initdb creates. */
export const DATABASE_USER = "rollcall";
const DATABASE = "postgres";

/** The log goes to files, one for each weekday: a pipe would break when the server is killed. */
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
  // Without "$user": the schema of the user's name is Rollcall's own, not where tables of others belong.
  "search_path=public",
];

export class Postmaster {
  readonly url: string;
  readonly #program: string;
  readonly #owner: Owner;
  readonly #args: readonly string[];
  readonly #log: Log;
  readonly #killOnExit = () => this.#process?.kill("SIGQUIT");
  #process: Deno.ChildProcess | undefined;
  /** What Postgres wrote before it opened its log, which says why it did not start. */
  #lastOutput = "";
  #isStopping = false;
  #watching: Promise<void> | undefined;

  constructor(
    program: string,
    owner: Owner,
    dataDirectory: string,
    password: string,
    log: Log,
  ) {
    const port = freePort();
    this.url = urlFor(port, password);
    this.#program = program;
    this.#owner = owner;
    this.#log = log;
    this.#args = [
      "-D",
      dataDirectory,
      "-p",
      String(port),
      ...SETTINGS.flatMap((item) => ["-c", item]),
    ];
  }

  /**
   * Starts Postgres, and resolves when it accepts connections.
   *
   * @throws {StartError} with what Postgres wrote, when it ends or takes too long.
   */
  async start(): Promise<void> {
    globalThis.addEventListener("unload", this.#killOnExit);
    const startedAt = Date.now();
    this.#spawn();
    while (!await answers(this.url)) {
      const elapsed = Date.now() - startedAt;
      if (
        this.#process === undefined && this.#isLocked() &&
        elapsed < EMBEDDED_TAKEOVER_MS
      ) {
        this.#spawn();
      } else if (this.#process === undefined || elapsed > EMBEDDED_START_MS) {
        await this.stop();
        throw new StartError(
          `Cannot start the embedded Postgres: ${this.#lastOutput.trim()}`,
        );
      }
      await systemClock.sleep(EMBEDDED_POLL_MS);
    }
    this.#watching = this.#watch();
  }

  /** Whether Postgres refused to start because the data's lock file names a process that still exists. */
  #isLocked(): boolean {
    return this.#lastOutput.includes("postmaster.pid");
  }

  /** Stops Postgres: first orderly, then at once, then by force. */
  async stop(): Promise<void> {
    this.#isStopping = true;
    for (const signal of ["SIGINT", "SIGQUIT", "SIGKILL"] as const) {
      const process = this.#process;
      if (process === undefined) break;
      process.kill(signal);
      await within(EMBEDDED_STOP_MS, "stopping Postgres", process.status)
        .catch(() => {});
    }
    await this.#watching;
    globalThis.removeEventListener("unload", this.#killOnExit);
  }

  #spawn(): void {
    const process = this.#owner.command(this.#program, this.#args).spawn();
    this.#process = process;
    void this.#readOutput(process.stderr);
    void process.status.then(() => {
      if (this.#process === process) this.#process = undefined;
    });
  }

  /** Starts a Postgres that died again, on the same port, so that its clients only have to reconnect. */
  async #watch(): Promise<void> {
    while (true) {
      await this.#process?.status;
      if (this.#isStopping) return;
      this.#log.error({}, "the embedded Postgres died, starting it again");
      await systemClock.sleep(EMBEDDED_RESTART_MS);
      if (this.#isStopping) return;
      this.#spawn();
    }
  }

  /** Keeps what Postgres writes to its error output. */
  async #readOutput(output: ReadableStream<Uint8Array>): Promise<void> {
    for await (const text of output.pipeThrough(new TextDecoderStream())) {
      this.#lastOutput = text;
    }
  }
}

/** The URL of the database on a port. */
export function urlFor(port: number, password: string): string {
  return `postgres://${DATABASE_USER}:${password}@127.0.0.1:${port}/${DATABASE}`;
}

/** Whether a Postgres that accepts the URL's password listens there. */
export async function answers(url: string): Promise<boolean> {
  const client = new pg.Client({
    connectionString: url,
    connectionTimeoutMillis: EMBEDDED_CONNECT_MS,
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
