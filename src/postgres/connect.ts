/**
 * The options of every connection to Postgres, and the first connection.
 *
 * @module
 */
import pg from "pg";
import { DATABASE_CONNECT_MS } from "./limits.ts";
import { messageOf } from "../base/message_of.ts";
import { StartError } from "../base/start_error.ts";

/** Options of every connection. A pool adds its own. */
export function clientOptions(url: string | undefined): pg.ClientConfig {
  return {
    // Without a URL, pg reads the PG* environment variables.
    ...(url === undefined ? {} : { connectionString: url }),
    application_name: "rollcall",
    connectionTimeoutMillis: DATABASE_CONNECT_MS,
    keepAlive: true,
  };
}

/**
 * Where a database is, without the password.
 *
 * @throws {StartError} when the URL cannot be parsed.
 */
export function databaseAddress(url: string | undefined): string {
  return describe(createClient(url));
}

/** The file of the Unix socket of a database. `undefined` if the database is not on one. */
export function socketPath(url: string | undefined): string | undefined {
  try {
    return socketOf(new pg.Client(clientOptions(url)));
  } catch {
    // The first connection reports it.
    return undefined;
  }
}

/** A host that is a path is a folder with a socket in it, as in libpq. */
function socketOf({ host, port }: pg.Client): string | undefined {
  return host.startsWith("/") ? `${host}/.s.PGSQL.${port}` : undefined;
}

/**
 * Opens a connection at start, when a failure is a fault of the configuration.
 *
 * @throws {StartError} that says what the database answered, and its address without the password.
 */
export async function connect(url: string | undefined): Promise<pg.Client> {
  const client = createClient(url);
  try {
    client.on("error", () => {});
    await client.connect();
    return client;
  } catch (cause) {
    throw new StartError(
      `Cannot connect to ${describe(client)}: ${messageOf(cause)}${
        adviceOn(client, cause)
      }`,
      { cause },
    );
  }
}

function createClient(url: string | undefined): pg.Client {
  try {
    return new pg.Client(clientOptions(url));
  } catch (cause) {
    const isUnreadable = cause instanceof URIError ||
      messageOf(cause).startsWith("Invalid URL");
    if (!isUnreadable) {
      throw new StartError(
        `Cannot use DATABASE_URL or the PG* variables: ${messageOf(cause)}`,
        { cause },
      );
    }
    // The error itself quotes the URL with the password.
    throw new StartError(
      "Cannot parse DATABASE_URL: expected a URL such as postgres://user:password@host/database; percent-encode the password",
    );
  }
}

function describe(client: pg.Client): string {
  const { user, host, port, database } = client;
  const socket = socketOf(client);
  return socket === undefined
    ? `postgres://${user}@${host}:${port}/${database}`
    : `the socket ${socket} (user ${user}, database ${database})`;
}

function adviceOn(client: pg.Client, cause: unknown): string {
  const socket = socketOf(client);
  if (socket !== undefined && cause instanceof Deno.errors.NotCapable) {
    return "; Deno demands the permissions to read and to write the socket, see docs/deployment.md";
  }
  return "; check DATABASE_URL (or the PG* variables) and that Postgres runs";
}

/**
 * What to throw when the database refuses something at the start: one sentence for its refusal, and
 * any other fault as it is.
 */
export function startFault(err: unknown): unknown {
  if (!(err instanceof pg.DatabaseError)) return err;
  return new StartError(
    `Cannot start: the database answers "${messageOf(err)}"`,
    { cause: err },
  );
}
