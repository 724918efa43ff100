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

/** A process, and all that it started and they started. Some may have ended meanwhile. Linux only. */
export async function processTree(pid: number): Promise<number[]> {
  const path = `/proc/${pid}/task/${pid}/children`;
  const text = await Deno.readTextFile(path).catch(() => "");
  const children = text.split(" ").filter((id) => id !== "").map(Number);
  return [pid, ...(await Promise.all(children.map(processTree))).flat()];
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
  return descriptorTargets(pid).filter((target) => !outgoing.has(target))
    .length;
}

/** The ports that a process listens on, ascending. Linux only. */
export function listeningPorts(pid: number): number[] {
  const own = new Set(descriptorTargets(pid));
  return tcpSockets(pid)
    .filter(({ state, target }) => state === LISTEN && own.has(target))
    .map(({ port }) => port)
    .sort((a, b) => a - b);
}

/** Connections from a port that no socket on this machine listens on. */
function outgoingSockets(pid: number): Set<string> {
  const sockets = tcpSockets(pid);
  const listening = new Set(
    sockets.filter(({ state }) => state === LISTEN).map(({ port }) => port),
  );
  return new Set(
    sockets.filter(({ port }) => !listening.has(port))
      .map(({ target }) => target),
  );
}

/** The state of a socket that listens, in the tables of the kernel. */
const LISTEN = "0A";

interface TcpSocket {
  readonly port: number;
  readonly state: string;
  /** What the link of its descriptor says. */
  readonly target: string;
}

/** All of the machine, or of the container, that the process is in. */
function tcpSockets(pid: number): TcpSocket[] {
  return ["tcp", "tcp6"].flatMap((table) =>
    Deno.readTextFileSync(`/proc/${pid}/net/${table}`).trim().split("\n")
      .slice(1).map((line) => {
        const [, local = "", , state = "", , , , , , inode] = line.trim()
          .split(/\s+/);
        const port = parseInt(local.split(":")[1] ?? "", 16);
        return { port, state, target: `socket:[${inode}]` };
      })
  );
}

/** What each descriptor of a process is, without those that were closed meanwhile. */
function descriptorTargets(pid: number): string[] {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].flatMap(({ name }) => {
    try {
      return [Deno.readLinkSync(`/proc/${pid}/fd/${name}`)];
    } catch (err) {
      if (err instanceof Deno.errors.NotFound) return [];
      throw err;
    }
  });
}
