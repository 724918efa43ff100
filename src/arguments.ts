/**
 * The arguments of `main.ts`: `--help`, `--version`, and nothing else. The configuration is in the
 * environment.
 *
 * @module
 */
import project from "../deno.json" with { type: "json" };
import { StartError } from "./base/start_error.ts";

/** For `--version`, here and in `cli.ts`. */
export const VERSION_LINE =
  `rollcall ${project.version} (deno ${Deno.version.deno})`;

const HELP =
  `Rollcall ${project.version}, a presence server: it says who is online.

Usage:
  deno task start                       run the server; without configuration: the demo
  deno task start --help | --version    print this, or the version
  deno task dev                         run the server, start it again when a file changes
  deno task migrate                     bring the database's schema up to date, and exit
  deno task migrate --explain           say what that would read, write, make and need
  deno task token <userId> [--ttl 1h]   print a token for a user

Environment variables are the only configuration. The first ones:
  DATABASE_URL    postgres://user:password@host/database; none: an embedded database
  JWT_SECRET      the secret that your backend signs tokens with; or JWT_JWKS_URL
  USERS_TABLE     the table or view with your users, as in SQL (default: users)
  PORT            (default: 8000)

docs/configuration.md has all of them.`;

/**
 * Returns what to print instead of running the server, if anything.
 *
 * @throws {StartError} for an argument that does not exist.
 */
export function readArguments(args: readonly string[]): string | undefined {
  const [arg] = args;
  if (arg === undefined) return undefined;
  if (arg === "--help" || arg === "-h") return HELP;
  if (arg === "--version") return VERSION_LINE;
  throw new StartError(
    `Unknown argument "${arg}": expected --help, --version, or environment variables (docs/configuration.md)`,
  );
}
