/**
 * The command line: `token` prints a token for a user, `migrate` updates the database's schema.
 *
 * Both read the same environment variables as the server. `token` writes the token alone to standard
 * output, so that a script can use it. Errors and warnings go to standard error.
 *
 * @module
 */
import { parseArgs } from "node:util";
import { VERSION_LINE } from "./arguments.ts";
import { signToken } from "./access/token/sign_token.ts";
import { readDatabaseConfig, readTokenConfig } from "./config/config.ts";
import { misspelt } from "./config/environment.ts";
import { readDemoSecret } from "./demo/demo_secret.ts";
import { DATA_DIRECTORY } from "./embedded/data_directory.ts";
import { createLog } from "./telemetry/log_writer.ts";
import { START_ERROR_EXIT_CODE, StartError } from "./base/start_error.ts";
import { keepInspectorClosed } from "./signals.ts";

const USAGE = `Usage:
  deno task token <userId> [--ttl 1h]   print a token for a user (ttl: 30s, 15m, 1h, 7d)
    [--group <id>]...                   in these groups, if JWT_GROUPS_CLAIM is set
  deno task migrate                     bring the database's schema up to date
  deno task migrate --explain           say what that would read, write, make and need, and do nothing; 2 if a right is missing`;

const SECONDS_PER_UNIT: Readonly<Record<string, number>> = {
  s: 1,
  m: 60,
  h: 3_600,
  d: 86_400,
};

/**
 * Reads a time to live such as `15m`.
 *
 * @throws {StartError} if it is not a positive number with a unit.
 */
export function parseTtlSeconds(ttl: string): number {
  const [, count, unit] = /^([1-9]\d{0,5})([smhd])$/.exec(ttl) ?? [];
  const secondsPerUnit = SECONDS_PER_UNIT[unit ?? ""];
  if (count === undefined || secondsPerUnit === undefined) {
    throw new StartError(
      `Cannot read --ttl "${ttl}": expected a number and s, m, h or d, as in 1h`,
    );
  }
  return Number(count) * secondsPerUnit;
}

const DEMO_TOKEN_WARNING =
  "Warning: JWT_SECRET is not set, so this token is for demo mode: only a demo server that was started in this folder accepts it.";

async function printToken(
  args: readonly string[],
  ttl: string,
  groups: readonly string[],
): Promise<void> {
  const { token: config, demo, ids } = readTokenConfig(
    Deno.env.toObject(),
    readDemoSecret,
  );
  const userId = ids.parse(args[0]);
  if (args.length !== 1 || userId === undefined) {
    throw new StartError(
      `Cannot sign a token for "${
        args.join(" ")
      }": expected ${ids.expected}\n${USAGE}`,
    );
  }
  const ttlSeconds = parseTtlSeconds(ttl);
  const { key } = config;
  if (key.kind !== "secret") {
    throw new StartError(
      "Cannot sign a token: JWT_JWKS_URL is set, so only its issuer can sign; expected JWT_SECRET",
    );
  }
  if (groups.length > 0 && config.groupsClaim === undefined) {
    throw new StartError(
      "Cannot put groups into a token: JWT_GROUPS_CLAIM is not set; expected the name of their claim",
    );
  }
  const token = await signToken({ ...config, key }, userId, ttlSeconds, groups);
  warnOfMisspelt();
  if (demo) writeLine(Deno.stderr, DEMO_TOKEN_WARNING);
  writeLine(Deno.stdout, token);
}

/** Resolves with the exit code. */
async function migrateOnce(isExplained: boolean): Promise<number> {
  const { database, users, log: { level, format } } = readDatabaseConfig(
    Deno.env.toObject(),
    Deno.stdout.isTerminal(),
  );
  const log = createLog(level, format);
  warnOfMisspelt();
  keepInspectorClosed(log);
  const { logMigration, migrateDatabase } = await import(
    "./postgres/migrate.ts"
  );
  await using stack = new AsyncDisposableStack();
  let url: string | undefined;
  if (database.kind === "embedded") {
    const { startEmbedded } = await import("./embedded/embedded.ts");
    const embedded = await startEmbedded(DATA_DIRECTORY, log);
    stack.defer(() => embedded.stop());
    url = embedded.url;
  } else {
    url = database.url;
  }
  if (isExplained) {
    const { explainMigration } = await import("./postgres/explain.ts");
    const { text, lacking } = await explainMigration(url, users);
    writeLine(Deno.stdout, text);
    return lacking.length === 0 ? 0 : START_ERROR_EXIT_CODE;
  }
  const migrated = await migrateDatabase(url, users, log);
  if (migrated.applied.length === 0) log.info({}, "schema is up to date");
  logMigration(migrated, log);
  return 0;
}

function writeLine(
  stream: { writeSync(bytes: Uint8Array): number },
  line: string,
): void {
  stream.writeSync(new TextEncoder().encode(`${line}\n`));
}

function warnOfMisspelt(): void {
  for (const { variable, meant } of misspelt(Deno.env.toObject())) {
    writeLine(
      Deno.stderr,
      `Warning: ${variable} is not known: is it ${meant}?`,
    );
  }
}

async function run(args: string[]): Promise<number> {
  try {
    const { values, positionals: [command, ...rest] } = parseArgs({
      args,
      allowPositionals: true,
      options: {
        ttl: { type: "string", default: "1h" },
        group: { type: "string", multiple: true, default: [] },
        explain: { type: "boolean", default: false },
        help: { type: "boolean", short: "h", default: false },
        version: { type: "boolean", default: false },
      },
    });
    if (values.help) writeLine(Deno.stdout, USAGE);
    else if (values.version) writeLine(Deno.stdout, VERSION_LINE);
    else if (command === "token") {
      await printToken(rest, values.ttl, values.group);
    } else if (command === "migrate" && rest.length === 0) {
      return await migrateOnce(values.explain);
    } else throw new StartError(USAGE);
    return 0;
  } catch (err) {
    const isUsage = err instanceof TypeError && "code" in err;
    if (!(err instanceof StartError) && !isUsage) throw err;
    writeLine(Deno.stderr, isUsage ? `${err.message}\n${USAGE}` : err.message);
    return START_ERROR_EXIT_CODE;
  }
}

if (import.meta.main) Deno.exit(await run(Deno.args));
