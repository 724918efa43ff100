/**
 * The system user that the embedded Postgres runs as.
 *
 * Postgres refuses to run as root. If the server is root, Postgres runs as a system user that
 * nothing else runs as, without any capability, so that what breaks into Postgres can reach the
 * data and nothing more. Its environment has none of the server's variables: the processes of a
 * user can read each other's.
 *
 * @module
 */
import { messageOf } from "../base/message_of.ts";
import { StartError } from "../base/start_error.ts";

export interface Owner {
  /** Prepares a program to run as this user, in a session of its own, with piped error output. */
  command(program: string, args: readonly string[]): Deno.Command;
  /** Gives a file, or a folder with all that is in it, to this user. */
  own(path: string): Promise<void>;
}

/** Not `postgres`: a Postgres of the system runs as that user, and `peer` lets it in as a superuser. */
const ACCOUNT = "rollcall-postgres";

/** Variables of the server that the programs of Postgres need on some systems. */
const KEPT_VARIABLES = [
  ...["PATH", "TZ", "LD_LIBRARY_PATH", "SystemRoot", "TEMP", "TMP"],
];

interface Ids {
  readonly uid: number;
  readonly gid: number;
}

/**
 * The server's own user, or `rollcall-postgres` if that is root.
 *
 * @param paths What Postgres must be able to enter.
 * @throws {StartError} when the user cannot be created, or cannot enter one of the paths.
 */
export async function ownerFor(paths: readonly string[]): Promise<Owner> {
  if (Deno.build.os === "windows" || Deno.uid() !== 0) {
    return { command, own: async () => {} };
  }
  const ids = await accountIds() ?? await createAccount();
  for (const path of paths) await requireAccess(ids, path);
  return {
    command: (program, args) => command(program, args, ids),
    own: (path) => own(path, ids),
  };
}

function command(
  program: string,
  args: readonly string[],
  ids?: Ids,
  stdout: "null" | "piped" = "null",
): Deno.Command {
  const env = KEPT_VARIABLES.map((name) => [name, Deno.env.get(name)])
    .filter(([, value]) => value !== undefined);
  return new Deno.Command(program, {
    args: [...args],
    // The user may not have the right to enter the server's working directory.
    cwd: "/",
    stdin: "null",
    stdout,
    stderr: "piped",
    detached: true,
    clearEnv: true,
    env: { ...Object.fromEntries(env), LC_MESSAGES: "C" },
    ...ids,
  });
}

/** Links stay as they are: what a link leads to may belong to others. */
async function own(path: string, { uid, gid }: Ids): Promise<void> {
  const args = ["-hR", `${uid}:${gid}`, path];
  const { success, stderr } = await command("chown", args).output();
  if (success) return;
  throw new StartError(
    `Cannot give ${path} to the system user ${ACCOUNT}: ${textOf(stderr)}`,
  );
}

/** The ids of the account, or `undefined` if there is no such user. */
async function accountIds(): Promise<Ids | undefined> {
  const [uid, gid] = await Promise.all(["-u", "-g"].map(async (flag) => {
    const id = command("id", [flag, ACCOUNT], undefined, "piped");
    const { success, stdout } = await id.output();
    return success ? Number(textOf(stdout)) : undefined;
  }));
  return uid === undefined || gid === undefined ? undefined : { uid, gid };
}

async function createAccount(): Promise<Ids> {
  const reason = await command("useradd", [
    ...["--system", "--user-group", "--no-create-home"],
    ...["--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", ACCOUNT],
  ]).output().then(({ stderr }) => textOf(stderr), messageOf);
  const ids = await accountIds();
  if (ids !== undefined) return ids;
  throw new StartError(
    `Cannot start the embedded Postgres as root: the user ${ACCOUNT} is missing and useradd says: ${reason}; start the server as an ordinary user, or set DATABASE_URL`,
  );
}

/** @throws {StartError} when the user cannot enter the folder, or run the program. */
async function requireAccess(ids: Ids, path: string): Promise<void> {
  if (await mayEnter(ids, path)) return;
  const above = path.split("/").map((_, nth, names) =>
    names.slice(0, nth + 1).join("/") || "/"
  );
  for (const folder of above) {
    if (await mayEnter(ids, folder)) continue;
    throw new StartError(
      `Cannot start the embedded Postgres: its system user ${ACCOUNT} may not enter ${folder}; move the project to a folder that every user may enter, such as /srv/rollcall, start the server as an ordinary user, or set DATABASE_URL`,
    );
  }
}

async function mayEnter(ids: Ids, path: string): Promise<boolean> {
  return (await command("test", ["-x", path], ids).output()).success;
}

function textOf(output: Uint8Array): string {
  return new TextDecoder().decode(output).trim();
}
