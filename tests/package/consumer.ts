/**
 * An application with the client library, installed as from npm, in a temporary folder.
 *
 * Its files and its other packages are in `consumer/`.
 *
 * @module
 */
import { ROOT } from "../support/server.ts";
import { packClient } from "./pack.ts";

const SOURCE = `${ROOT}tests/package/consumer`;

/** Enough for an empty cache of npm on a busy machine. */
const RUN_MS = 300_000;

export interface Consumer extends AsyncDisposable {
  readonly folder: string;
  /** The package as npm installed it. */
  readonly installed: string;
  /** Runs a program in the folder. Returns its output, or throws if it fails. */
  run(
    command: readonly string[],
    env?: Readonly<Record<string, string>>,
  ): Promise<string>;
}

/** Installs it. Where there is no npm, or no network, it says so, and returns nothing. */
export async function installConsumer(): Promise<Consumer | undefined> {
  const folder = await Deno.makeTempDir({ prefix: "rollcall-consumer-" });
  const run: Consumer["run"] = (command, env) => execute(command, folder, env);
  const remove = () => Deno.remove(folder, { recursive: true });
  await execute(["cp", "-R", `${SOURCE}/.`, folder], "/");
  const tarball = await packClient(folder);
  const options = ["--ignore-scripts", "--no-audit", "--no-fund", "--no-save"];
  try {
    await run(["npm", "install", "--prefer-offline", ...options, tarball]);
  } catch (err) {
    const text = `skipping tests of the package: npm cannot install it: ${err}`;
    await Deno.stderr.write(new TextEncoder().encode(`${text}\n`));
    await remove();
    return undefined;
  }
  const installed = `${folder}/node_modules/@rollcall/client`;
  return { folder, installed, run, [Symbol.asyncDispose]: remove };
}

async function execute(
  [program = "", ...args]: readonly string[],
  cwd: string,
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const { success, stdout, stderr } = await new Deno.Command(program, {
    args,
    cwd,
    env: { NO_COLOR: "1", ...env },
    stdin: "null",
    signal: AbortSignal.timeout(RUN_MS),
  }).output();
  const [output, errors] = [stdout, stderr].map((bytes) =>
    new TextDecoder().decode(bytes)
  );
  if (success) return output ?? "";
  throw new Error(`${program} ${args.join(" ")} failed:\n${output}${errors}`);
}
