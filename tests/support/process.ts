/**
 * Reads the state of processes from outside.
 *
 * @module
 */

/** The process id of the embedded Postgres below a working directory. */
export async function postmasterPid(cwd: string): Promise<number> {
  const file = await Deno.readTextFile(`${cwd}/.data/postgres/postmaster.pid`);
  return Number(file.split("\n")[0]);
}

/** The URL of the embedded database below a working directory. */
export async function embeddedUrl(cwd: string): Promise<string> {
  return (await Deno.readTextFile(`${cwd}/.data/url`)).trim();
}

/** Whether a process runs. One that has ended and was not waited for does not. */
export async function isRunning(pid: number): Promise<boolean> {
  const state = await Deno.readTextFile(`/proc/${pid}/stat`).catch(() => "");
  return state !== "" && !/\) Z /.test(state);
}

/** Resident memory of a process. Linux only. */
export function residentBytes(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1_024;
}

/** Open files and sockets of a process. Linux only. */
export function openDescriptors(pid: number): number {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].length;
}

/**
 * Open files and sockets of a server, without the connections that it opened itself: those to its
 * database come and go with the pool. A socket that stays open after its peer has reset it counts.
 * Linux only.
 */
export function servedDescriptors(pid: number): number {
  const outgoing = outgoingSockets(pid);
  let count = 0;
  for (const { name } of Deno.readDirSync(`/proc/${pid}/fd`)) {
    const target = linkTarget(`/proc/${pid}/fd/${name}`);
    if (target !== undefined && !outgoing.has(target)) count += 1;
  }
  return count;
}

/** Connections from a port that no socket on this machine listens on. */
function outgoingSockets(pid: number): Set<string> {
  const LISTEN = "0A";
  const rows = ["tcp", "tcp6"].flatMap((table) =>
    Deno.readTextFileSync(`/proc/${pid}/net/${table}`).trim().split("\n")
      .slice(1).map((line) => {
        const [, local = "", , state, , , , , , inode] = line.trim()
          .split(/\s+/);
        return { port: local.split(":")[1], state, inode };
      })
  );
  const listening = new Set(
    rows.filter(({ state }) => state === LISTEN).map(({ port }) => port),
  );
  return new Set(
    rows.filter(({ port }) => !listening.has(port))
      .map(({ inode }) => `socket:[${inode}]`),
  );
}

/** `undefined` for a descriptor that was closed meanwhile. */
function linkTarget(path: string): string | undefined {
  try {
    return Deno.readLinkSync(path);
  } catch (err) {
    if (err instanceof Deno.errors.NotFound) return undefined;
    throw err;
  }
}
