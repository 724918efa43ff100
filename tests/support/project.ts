/**
 * A copy of the project in a folder of its own, and `deno task start` in it.
 *
 * @module
 */
import { openFolder } from "./scratch_folder.ts";
import { ROOT } from "./server.ts";
import { until } from "./until.ts";

export interface User {
  readonly uid: number;
  readonly gid: number;
}

/** `nobody`: a user that every system has, without special rights. */
export const ORDINARY_USER: User = { uid: 65_534, gid: 65_534 };

export interface Project extends AsyncDisposable {
  readonly directory: string;
  giveTo(user: User): Promise<void>;
}

const PARTS = [
  "deno.json",
  "deno.start.json",
  "deno.start.lock",
  "main.ts",
  "src",
  "migrations",
  "node_modules",
];

/** Copies the files that a start needs, and the running Deno. */
export async function copyProject(): Promise<Project> {
  const directory = await openFolder("rollcall-project-");
  const paths = PARTS.map((name) => `${ROOT}${name}`);
  await run("cp", ["-r", "--preserve=links,mode", ...paths, directory]);
  await run("cp", [Deno.execPath(), `${directory}/deno`]);
  return {
    directory,
    giveTo: ({ uid, gid }) => run("chown", ["-R", `${uid}:${gid}`, directory]),
    [Symbol.asyncDispose]: () => Deno.remove(directory, { recursive: true }),
  };
}

export interface Task extends AsyncDisposable {
  readonly url: string;
  readonly output: string;
  /** Sends the signal to the task's process alone, and resolves with its exit code. */
  stop(signal: Deno.Signal): Promise<number>;
}

/** `deno task start` with nothing in its environment but a port. */
export async function startTask(directory: string, user?: User): Promise<Task> {
  const process = new Deno.Command(`${directory}/deno`, {
    args: ["task", "start"],
    cwd: directory,
    clearEnv: true,
    env: { PATH: Deno.env.get("PATH") ?? "", HOME: directory, PORT: "0" },
    stdin: "null",
    stdout: "piped",
    stderr: "piped",
    ...user,
  }).spawn();
  let output = "";
  const collect = async (stream: ReadableStream<Uint8Array>) => {
    for await (const text of stream.pipeThrough(new TextDecoderStream())) {
      output += text;
    }
  };
  const collecting = Promise.all([
    collect(process.stdout),
    collect(process.stderr),
  ]);
  let code: number | undefined;
  const ended = process.status.then((status) => code = status.code);
  const stop = async (signal: Deno.Signal) => {
    if (code === undefined) process.kill(signal);
    await collecting;
    return await ended;
  };
  const url = await until("the server prints its URL", () => {
    if (code !== undefined) {
      throw new Error(`The task ended with ${code}: ${output}`);
    }
    return /"url":"([^"]+)"/.exec(output)?.[1];
  }, 60_000);
  return {
    url,
    get output() {
      return output;
    },
    stop,
    [Symbol.asyncDispose]: async () => void await stop("SIGTERM"),
  };
}

async function run(program: string, args: readonly string[]): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, {
    args: [...args],
  }).output();
  if (!success) {
    throw new Error(`${program}: ${new TextDecoder().decode(stderr)}`);
  }
}
