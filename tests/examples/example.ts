/**
 * Starts the examples with the commands of their README files, in a copy of `examples/`.
 *
 * @module
 */
import { equal, ok } from "node:assert/strict";
import { connect, type Rollcall } from "../../src/client/client.ts";
import { codeBlocks, readDocument } from "../support/documents.ts";
import { freePort } from "../support/ports.ts";
import { openFolder } from "../support/scratch_folder.ts";
import { ROOT, TEST_SECRET } from "../support/server.ts";
import { until } from "../support/until.ts";

/** Enough for an empty cache of npm on a busy machine. */
const READY_MS = 180_000;

/** A copy of `examples/` in which some texts, such as the addresses of servers, are others. */
export async function copyExamples(
  changes: Readonly<Record<string, string>>,
): Promise<string> {
  const folder = await openFolder("rollcall-examples-");
  const edits = Object.entries(changes)
    .flatMap(([text, other]) => ["-e", `s|${text}|${other}|g`]);
  const script = `cp -r "${ROOT}examples/." . && rm -rf */node_modules &&
    find . -type f -exec sed -i "$@" {} +`;
  const { success } = await new Deno.Command("sh", {
    args: ["-c", script, "sh", ...edits],
    cwd: folder,
  }).output();
  ok(success);
  return folder;
}

/** The commands of an example's README: its first block for a shell. */
export async function commandsOf(example: string): Promise<string> {
  const readme = await readDocument(`examples/${example}/README.md`);
  const [commands] = codeBlocks(readme, "sh");
  ok(commands !== undefined, `${example} has no commands`);
  return commands;
}

export interface Example extends AsyncDisposable {
  /** Without a slash at the end. */
  readonly url: string;
  readonly output: string;
  /** Sends a signal to each of its processes, and resolves when the first one has ended. */
  stop(signal: Deno.Signal): Promise<number>;
}

/**
 * Starts an example, with the Python of Debian before any other.
 *
 * @param isReady Default: it answers requests at its URL.
 */
export async function startExample(
  folder: string,
  commands: string,
  env: Readonly<Record<string, string>> = {},
  isReady?: (output: string) => boolean,
): Promise<Example> {
  const log = await Deno.makeTempFile({ prefix: "rollcall-example-" });
  const { PORT = String(freePort()) } = env;
  // A session of its own, so that a signal reaches all that the commands started.
  const child = new Deno.Command("setsid", {
    args: ["bash", "-ec", `exec >>"${log}" 2>&1\n${commands}`],
    cwd: folder,
    env: {
      ...{ JWT_SECRET: TEST_SECRET, PORT, NO_COLOR: "1" },
      ...{ PATH: `/usr/bin:${Deno.env.get("PATH")}`, PYTHONUNBUFFERED: "1" },
      ...env,
    },
    stdin: "null",
  }).spawn();
  let code: number | undefined;
  const ended = child.status.then((status) => code = status.code);
  const output = () => Deno.readTextFileSync(log);
  const stop = async (signal: Deno.Signal) => {
    if (code === undefined) Deno.kill(-child.pid, signal);
    return await ended;
  };
  const url = `http://127.0.0.1:${PORT}`;
  const answers = async () => {
    const response = await fetch(url).catch(() => undefined);
    await response?.body?.cancel();
    return response?.ok === true;
  };
  const example: Example = {
    ...{ url, stop },
    get output() {
      return output();
    },
    [Symbol.asyncDispose]: async () => {
      await stop("SIGTERM");
      await Deno.remove(log);
    },
  };
  await until(`${folder} is ready`, () => {
    if (code !== undefined) throw new Error(`It ended: ${output()}`);
    return isReady === undefined ? answers() : isReady(output());
  }, READY_MS).catch(async (err) => {
    await stop("SIGKILL");
    throw err;
  });
  return example;
}

/** A browser with a session at an example's backend. */
export interface Visitor {
  /** The header of the session's cookie, as the backend set it. */
  readonly setCookie: string;
  getToken(): Promise<string>;
}

export async function logIn(url: string, user: string): Promise<Visitor> {
  const response = await fetch(`${url}/login`, {
    method: "POST",
    body: new URLSearchParams({ user }),
    redirect: "manual",
  });
  await response.body?.cancel();
  equal(response.status, 303);
  const headers = response.headers.getSetCookie();
  const cookie = headers.map((header) => header.split(";")[0]).join("; ");
  return {
    setCookie: headers.join("\n"),
    getToken: async () => {
      const answer = await fetch(`${url}/rollcall-token`, {
        method: "POST",
        headers: { cookie },
      });
      equal(answer.status, 200);
      return await answer.text();
    },
  };
}

/** Connects the user of a session, and waits for the first message. */
export async function join(
  serverUrl: string,
  { getToken }: Visitor,
): Promise<Rollcall> {
  const rollcall = connect(`${serverUrl}ws`, { token: getToken });
  await until(
    "the client is connected",
    () => rollcall.connection.state === "connected",
  );
  return rollcall;
}

/** The names that a client sees, in the order of the alphabet. */
export function namesSeen(rollcall: Rollcall): string[] {
  return [...rollcall.users.values()].map(({ username }) => username).sort();
}
