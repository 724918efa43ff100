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
