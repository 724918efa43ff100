/**
 * The system user that the embedded Postgres runs as.
 *
 * Postgres refuses to run as root. If the server is root, Postgres runs as the system user
 * `postgres` and its data belongs to that user, who may not have the right to enter every parent
 * folder.
 *
 * @module
 */
import { StartError } from "../base/start_error.ts";

export interface Owner {
  /** Prepares a program to run as this user, in a session of its own, with piped error output. */
  command(program: string, args: readonly string[]): Deno.Command;
  /** Gives a file or folder to this user. */
  own(path: string): Promise<void>;
}

const ACCOUNT = "postgres";

/**
 * The server's own user, or `postgres` if that is root.
 *
 * @param paths What Postgres must be able to enter.
 * @throws {StartError} when `postgres` cannot be created, or cannot be given access to the paths.
 */
export async function ownerFor(paths: readonly string[]): Promise<Owner> {
  if (Deno.build.os === "windows" || Deno.uid() !== 0) {
    return { command, own: async () => {} };
  }
  const ids = await accountIds() ?? await createAccount();
  const own = (path: string) => Deno.chown(path, ids.uid, ids.gid);
  if (await reachesAll(ids, paths)) {
    return { command: (program, args) => command(program, args, ids), own };
  }
  await requireSetpriv(paths);
  return {
    command: (program, args) =>
      command("setpriv", [...readEverything(ids), program, ...args]),
    own,
  };
}

interface Ids {
  readonly uid: number;
  readonly gid: number;
}

function command(
  program: string,
  args: readonly string[],
  ids?: Ids,
): Deno.Command {
  return new Deno.Command(program, {
    args: [...args],
    // The user may not have the right to enter the server's working directory.
    cwd: "/",
    stdin: "null",
    stdout: "null",
    stderr: "piped",
    detached: true,
    env: { LC_MESSAGES: "C" },
    ...ids,
  });
}

/**
 * Arguments of setpriv to run a program as the user with one capability: to read files and enter
 * folders whatever their modes say. Without `no_setuid_fixup`, access(2) would ignore it.
 */
function readEverything({ uid, gid }: Ids): string[] {
  const capability = "-all,+dac_read_search";
  return [
    `--reuid=${uid}`,
    `--regid=${gid}`,
    "--clear-groups",
    "--securebits=+no_setuid_fixup",
    `--inh-caps=${capability}`,
    `--ambient-caps=${capability}`,
    `--bounding-set=${capability}`,
    "--",
  ];
}

/** The ids of `postgres`, or `undefined` if there is no such user. */
async function accountIds(): Promise<Ids | undefined> {
  const [uid, gid] = await Promise.all(["-u", "-g"].map(async (flag) => {
    const { success, stdout } = await new Deno.Command("id", {
      args: [flag, ACCOUNT],
      stdout: "piped",
      stderr: "null",
    }).output();
    return success ? Number(new TextDecoder().decode(stdout)) : undefined;
  }));
  return uid === undefined || gid === undefined ? undefined : { uid, gid };
}

async function createAccount(): Promise<Ids> {
  const { stderr } = await new Deno.Command("useradd", {
    args: [
      "--system",
      "--user-group",
      "--no-create-home",
      "--shell",
      "/usr/sbin/nologin",
      ACCOUNT,
    ],
    stdout: "null",
    stderr: "piped",
  }).output();
  const ids = await accountIds();
  if (ids !== undefined) return ids;
  throw new StartError(
    `Cannot start the embedded Postgres as root: the user ${ACCOUNT} is missing and useradd says: ${
      new TextDecoder().decode(stderr).trim()
    }; start the server as an ordinary user, or set DATABASE_URL`,
  );
}

/** Whether the user can enter all paths without more rights. */
async function reachesAll(
  ids: Ids,
  paths: readonly string[],
): Promise<boolean> {
  for (const path of paths) {
    const { success } = await command("test", ["-x", path], ids).output();
    if (!success) return false;
  }
  return true;
}

/** @throws {StartError} when setpriv is not installed. */
async function requireSetpriv(paths: readonly string[]): Promise<void> {
  try {
    await new Deno.Command("setpriv", { args: ["--version"], stdout: "null" })
      .output();
  } catch (cause) {
    throw new StartError(
      `Cannot start the embedded Postgres: the user ${ACCOUNT} cannot enter ${
        paths.join(" or ")
      }; move the project to a folder that others may enter, start the server as an ordinary user, or set DATABASE_URL`,
      { cause },
    );
  }
}
