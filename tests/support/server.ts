/**
 * A real server process for a test.
 *
 * @module
 */
import { openFolder } from "./scratch_folder.ts";
import { until } from "./until.ts";

export const ROOT = new URL("../../", import.meta.url).pathname;

/** Long enough for HS256. */
export const TEST_SECRET = "a-secret-that-every-test-knows-0123456789";

export interface TestServer extends AsyncDisposable {
  /** Ends with a slash. */
  readonly url: string;
  readonly pid: number;
  /** Lines of its output so far; JSON unless the process failed. */
  readonly log: readonly string[];
  /** Sends SIGTERM (or another signal) and resolves with the exit code. */
  stop(signal?: Deno.Signal): Promise<number>;
  /** Sends SIGKILL. Its child processes may live on. */
  kill(): Promise<void>;
}

export interface ServerOptions {
  /** The whole configuration. Default: none, which is demo mode. */
  readonly env?: Record<string, string>;
  /** The working directory, which holds `.data/`. Default: a new folder. */
  readonly cwd?: string;
  /** Permission flags. Default: all. */
  readonly permissions?: string;
}

const ALL = "--allow-all";
const COMMAND = [
  "run",
  "--no-prompt",
  "--config",
  `${ROOT}deno.json`,
];

/** Time after which a program that should end by itself is killed. */
const FILE_MS = 60_000;

/** Runs a file of the project in its own process, and waits until it has ended. */
export async function runFile(
  file: string,
  args: readonly string[],
  { env = {}, cwd, permissions = ALL }: ServerOptions = {},
  meanwhile: (process: Deno.ChildProcess) => Promise<void> = async () => {},
): Promise<{ code: number; stdout: string; stderr: string }> {
  const directory = cwd ?? await openFolder("rollcall-test-");
  const values = { PORT: "0", ...env };
  const process = command(file, args, values, directory, permissions).spawn();
  const timer = setTimeout(() => process.kill("SIGKILL"), FILE_MS);
  const [output] = await Promise.all([process.output(), meanwhile(process)]);
  clearTimeout(timer);
  const decoder = new TextDecoder();
  return {
    code: output.code,
    stdout: decoder.decode(output.stdout),
    stderr: decoder.decode(output.stderr),
  };
}

export async function startServer(
  { env = {}, cwd, permissions = ALL }: ServerOptions = {},
): Promise<TestServer> {
  const directory = cwd ?? await openFolder("rollcall-test-");
  const output = await Deno.makeTempFile({ prefix: "rollcall-log-" });
  const process = command(
    "main.ts",
    [],
    { PORT: "0", ...env },
    directory,
    permissions,
    output,
  ).spawn();
  let code: number | undefined;
  const ended = process.status.then((status) => code = status.code);
  /** Whole lines: the last one may be half written. */
  const readLog = () =>
    Deno.readTextFileSync(output).split("\n").slice(0, -1)
      .filter((line) => line !== "");
  const listening = await until("the server listens", () => {
    if (code !== undefined) {
      throw new Error(
        `The server ended with ${code}:\n${readLog().join("\n")}`,
      );
    }
    return readLog().find((line) => line.includes('"msg":"listening"'));
  }, 60_000).catch(async (err) => {
    if (code === undefined) process.kill("SIGKILL");
    await ended;
    throw err;
  });
  const signal = async (name: Deno.Signal) => {
    if (code === undefined) process.kill(name);
    return await ended;
  };
  return {
    url: JSON.parse(listening).url,
    pid: process.pid,
    get log() {
      return readLog();
    },
    stop: (name = "SIGTERM") => signal(name),
    kill: async () => void await signal("SIGKILL"),
    [Symbol.asyncDispose]: async () => {
      await signal("SIGTERM");
      await Deno.remove(output);
      if (cwd === undefined) await Deno.remove(directory, { recursive: true });
    },
  };
}

export interface DatabaseServer extends TestServer {
  readonly databaseUrl: string;
}

/** A server on a database, with the tests' secret and a list that needs no token. */
export async function startServerOn(
  database: string | Promise<string>,
  env: Record<string, string> = {},
  options: Omit<ServerOptions, "env"> = {},
): Promise<DatabaseServer> {
  const databaseUrl = await database;
  const defaults = {
    DATABASE_URL: databaseUrl,
    JWT_SECRET: TEST_SECRET,
    ROSTER_ACCESS: "public",
  };
  const server = await startServer({
    ...options,
    env: { ...defaults, ...env },
  });
  // The object itself: a copy would read the getter `log` once, and not again.
  return Object.assign(server, { databaseUrl });
}

/** One server for all tests of a file: started before the first test, stopped after the last. */
export function sharedServer<Server extends TestServer>(
  start: () => Promise<Server>,
): Omit<Server, typeof Symbol.asyncDispose> {
  let server: Server | undefined;
  Deno.test.beforeAll(async () => void (server = await start()));
  Deno.test.afterAll(async () => await server?.[Symbol.asyncDispose]());
  return new Proxy({} as Server, {
    get: (_target, name) => {
      if (server === undefined) throw new Error("The server is not started");
      return Reflect.get(server, name);
    },
  });
}

/**
 * With an output file, both streams go there and not through a pipe. Reading a pipe of a server
 * that several tests share would be an operation that outlives each of them.
 */
function command(
  file: string,
  args: readonly string[],
  env: Record<string, string>,
  cwd: string,
  permissions: string,
  output?: string,
): Deno.Command {
  const kept = ["PATH", "HOME", "DENO_DIR", "XDG_CACHE_HOME", "SOCKET_ENGINE"]
    .map((name) => [name, Deno.env.get(name)] as const)
    .filter((entry): entry is [string, string] => entry[1] !== undefined);
  const words = [
    ...[Deno.execPath(), ...COMMAND, ...permissions.split(" ")],
    ...[`${ROOT}${file}`, ...args],
  ];
  const redirect = output === undefined ? "" : ` >>"${output}" 2>&1`;
  return new Deno.Command("sh", {
    args: ["-c", `exec "$@"${redirect}`, "sh", ...words],
    cwd,
    clearEnv: true,
    env: { ...Object.fromEntries(kept), ...env },
    stdin: "null",
    stdout: output === undefined ? "piped" : "null",
    stderr: output === undefined ? "piped" : "null",
  });
}
