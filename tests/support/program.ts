/**
 * A program that runs beside the tests.
 *
 * @module
 */
import { until } from "./until.ts";

export interface Program<Ready> {
  /** What it said when it was ready. */
  readonly ready: Ready;
  readonly ended: Promise<unknown>;
  /** Sends SIGTERM, and resolves when it has ended. */
  stop(): Promise<void>;
}

/**
 * Resolves when `isReady` finds what it looks for, given the output so far. The output goes to a
 * file: a pipe would be an operation that outlives each test.
 */
export async function startProgram<Ready>(
  command: readonly string[],
  env: Readonly<Record<string, string>>,
  isReady: (
    output: string,
  ) => Ready | undefined | Promise<Ready | undefined>,
  deadlineMs?: number,
): Promise<Program<Ready>> {
  const file = await Deno.makeTempFile({ prefix: "rollcall-program-" });
  const process = new Deno.Command("sh", {
    args: ["-c", `exec "$@" >>"${file}" 2>&1`, "sh", ...command],
    ...{ env, stdin: "null", stdout: "null", stderr: "null" },
  }).spawn();
  let hasEnded = false;
  const ended = process.status.finally(() => hasEnded = true);
  const stop = async () => {
    if (!hasEnded) process.kill("SIGTERM");
    await ended;
  };
  try {
    const ready = await until(`${command[0]} is ready`, () => {
      const output = Deno.readTextFileSync(file);
      if (hasEnded) throw new Error(`${command[0]} has ended: ${output}`);
      return isReady(output);
    }, deadlineMs);
    return { ready, ended, stop };
  } catch (err) {
    await stop();
    throw err;
  } finally {
    await Deno.remove(file);
  }
}
