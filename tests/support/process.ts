/**
 * Looking at processes from outside.
 *
 * @module
 */

/** The process id of the embedded Postgres below a working directory. */
export async function postmasterPid(cwd: string): Promise<number> {
  const file = await Deno.readTextFile(`${cwd}/.data/postgres/postmaster.pid`);
  return Number(file.split("\n")[0]);
}

/** Whether a process is there and not merely waiting for its parent to notice its end. */
export async function isRunning(pid: number): Promise<boolean> {
  const state = await Deno.readTextFile(`/proc/${pid}/stat`).catch(() => "");
  return state !== "" && !/\) Z /.test(state);
}

/** Memory that a process holds. Only on Linux. */
export function residentBytes(pid: number): number {
  const status = Deno.readTextFileSync(`/proc/${pid}/status`);
  return Number(/^VmRSS:\s+(\d+) kB$/m.exec(status)?.[1]) * 1_024;
}

/** How many files and sockets a process has open. Only on Linux. */
export function openDescriptors(pid: number): number {
  return [...Deno.readDirSync(`/proc/${pid}/fd`)].length;
}
