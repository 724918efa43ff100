/**
 * Real tools of other projects that make and change schemas, run as programs of their own.
 *
 * Those from npm are in `tools/package.json`, apart from the project's own packages, and are installed
 * into a temporary folder. Django is the one of Debian.
 *
 * @module
 */
import { query } from "../support/database.ts";
import { ROOT } from "../support/server.ts";

const SOURCE = `${ROOT}tests/frameworks/tools`;

/** Enough for an empty cache of npm on a busy machine. */
const INSTALL_MS = 300_000;
/** A tool that has not ended by then is killed. */
const RUN_MS = 60_000;

/** A copy of `tools/` with all packages. */
export interface Tools {
  readonly folder: string;
}

/** Installs the tools. Where that is not possible, it says so, and returns nothing. */
export async function installTools(): Promise<Tools | undefined> {
  const folder = await Deno.makeTempDir({ prefix: "rollcall-tools-" });
  await copy(SOURCE, folder);
  const options = ["--ignore-scripts", "--no-audit", "--no-fund"];
  const installed = await execute(
    "npm",
    ["install", "--prefer-offline", ...options],
    folder,
    {},
    INSTALL_MS,
  ).catch((err) => ({ success: false, output: String(err) }));
  if (installed.success) return { folder };
  await Deno.remove(folder, { recursive: true });
  skip("npm cannot install them", installed.output);
  return undefined;
}

/** Whether Django and its driver are there, for the python of the system. */
export async function hasDjango(): Promise<boolean> {
  const found = await execute(
    "/usr/bin/python3",
    ["-c", "import django, psycopg2"],
    "/",
  ).catch((err) => ({ success: false, output: String(err) }));
  if (!found.success) {
    skip("python3-django or python3-psycopg2 is missing", found.output);
  }
  return found.success;
}

function skip(why: string, output: string): void {
  const text = `skipping tests of schema tools: ${why}\n${output}\n`;
  Deno.stderr.writeSync(new TextEncoder().encode(text));
}

/**
 * Runs a program of `tools/` on a database, and returns what it wrote.
 *
 * @param env For example which models it has.
 */
export async function runTool(
  { folder }: Tools,
  command: readonly string[],
  databaseUrl: string,
  env: Readonly<Record<string, string>> = {},
): Promise<string> {
  const [program = "", ...args] = command;
  const { success, output } = await execute(program, args, folder, {
    DATABASE_URL: databaseUrl,
    CHECKPOINT_DISABLE: "1",
    PRISMA_HIDE_UPDATE_MESSAGE: "1",
    PYTHONDONTWRITEBYTECODE: "1",
    NO_COLOR: "1",
    ...env,
  });
  if (!success) throw new Error(`${command.join(" ")} failed:\n${output}`);
  return output;
}

async function execute(
  program: string,
  args: readonly string[],
  cwd: string,
  env: Record<string, string> = {},
  withinMs = RUN_MS,
): Promise<{ success: boolean; output: string }> {
  const { success, stdout, stderr } = await new Deno.Command(program, {
    args: [...args],
    cwd,
    env,
    stdin: "null",
    signal: AbortSignal.timeout(withinMs),
  }).output();
  const decoder = new TextDecoder();
  return {
    success,
    output: `${decoder.decode(stderr)}${decoder.decode(stdout)}`,
  };
}

async function copy(from: string, to: string): Promise<void> {
  for await (const { name, isDirectory } of Deno.readDir(from)) {
    if (isDirectory) {
      await Deno.mkdir(`${to}/${name}`);
      await copy(`${from}/${name}`, `${to}/${name}`);
    } else await Deno.copyFile(`${from}/${name}`, `${to}/${name}`);
  }
}

/** Writes down each value that is written into the status column of a table, in order. */
export async function recordStatus(url: string, table: string): Promise<void> {
  await query(
    url,
    `create schema audit;
     create table audit.written (status text, by text default session_user, at timestamptz default clock_timestamp());
     create function audit.record() returns trigger language plpgsql security definer as $$
     begin
       insert into audit.written (status) values (new.status);
       return new;
     end
     $$;
     create trigger record_status after update on ${table} for each row execute function audit.record()`,
  );
}
