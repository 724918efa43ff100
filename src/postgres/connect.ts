/**
 * The options of every connection to Postgres, and the first connection.
 *
 * @module
 */
import pg from "pg";
import { hostsOf, hostUrls } from "./hosts.ts";
import { DATABASE_CONNECT_MS } from "./limits.ts";
import { messageOf } from "../base/message_of.ts";
import { StartError } from "../base/start_error.ts";

/** A connection to a host that takes no writes, such as a standby before its promotion. */
export class ReadOnlyError extends Error {
  override readonly name = "ReadOnlyError";
}

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
  const clients = url === undefined
    ? [createClient(url)]
    : hostUrls(url).map((one) => createClient(one));
  return clients.map(describe).join(" or ");
}

/** The files of the Unix sockets that a database is on. */
export function socketPaths(url: string | undefined): string[] {
  const urls = url === undefined ? [url] : hostUrls(url);
  return urls.flatMap((one) => {
    try {
      return socketOf(new pg.Client(clientOptions(one))) ?? [];
    } catch {
      // The first connection reports it.
      return [];
    }
  });
}

/** A host that is a path is a folder with a socket in it, as in libpq. */
function socketOf({ host, port }: pg.Client): string | undefined {
  return host.startsWith("/") ? `${host}/.s.PGSQL.${port}` : undefined;
}

/**
 * Opens a connection to the host that takes writes. Each host is tried once.
 *
 * @param options Added to those of every connection.
 * @throws {StartError} that says what the database answered, and its address without the password.
 */
export async function connect(
  url: string | undefined,
  options: pg.ClientConfig = {},
): Promise<pg.Client> {
  const hosts = hostsOf(url);
  const faults: StartError[] = [];
  while (faults.length < hosts.count) {
    const host = hosts.current;
    const client = createClient(host, options);
    try {
      client.on("error", () => {});
      await client.connect();
      await refuseReadOnly(client);
      return client;
    } catch (cause) {
      client.connection.stream.destroy();
      hosts.leave(host);
      faults.push(
        new StartError(
          `Cannot connect to ${describe(client)}: ${messageOf(cause)}${
            adviceOn(client, cause)
          }`,
          { cause },
        ),
      );
    }
  }
  const [fault] = faults;
  if (fault !== undefined && faults.length === 1) throw fault;
  throw new StartError(faults.map(({ message }) => message).join(". "), {
    cause: new AggregateError(faults),
  });
}

/**
 * A new connection leads to a standby if the URL names the wrong host, or during a failover.
 *
 * @throws {ReadOnlyError} when the host takes no writes.
 */
export async function refuseReadOnly(client: pg.ClientBase): Promise<void> {
  const { rows: [state] } = await client.query(
    `select pg_catalog.current_setting('transaction_read_only') as "readOnly",
            pg_catalog.pg_is_in_recovery() as "isStandby"`,
  );
  if (state.readOnly !== "on") return;
  throw new ReadOnlyError(
    state.isStandby
      ? "this host is a standby, which takes no writes"
      : "this host takes no writes, because default_transaction_read_only is on",
  );
}

function createClient(
  url: string | undefined,
  options: pg.ClientConfig = {},
): pg.Client {
  try {
    return new pg.Client({ ...clientOptions(url), ...options });
  } catch (cause) {
    const isUnreadable = cause instanceof URIError ||
      messageOf(cause).startsWith("Invalid URL");
    // Without the cause: a file of a certificate that is missing does not come by itself.
    throw new StartError(
      isUnreadable
        // The error itself quotes the URL with the password.
        ? "Cannot parse DATABASE_URL: expected a URL such as postgres://user:password@host/database; percent-encode the password"
        : `Cannot use DATABASE_URL or the PG* variables: ${messageOf(cause)}`,
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

/** What to do about an answer, by its text: TLS faults have no code of their own. */
const ADVICE: readonly (readonly [RegExp, string])[] = [
  [
    /takes no writes/,
    "expected the primary: check DATABASE_URL, which may name all hosts, separated by commas",
  ],
  [
    /does not support SSL/,
    "DATABASE_URL (or PGSSLMODE) asks for TLS: turn it on in Postgres, or set sslmode=disable",
  ],
  [
    /pg_hba\.conf.* no encryption$/,
    "it wants TLS: add ?sslmode=verify-full to DATABASE_URL",
  ],
  [
    /certificate/i,
    "its certificate is not trusted: set sslrootcert in DATABASE_URL to the file of its authority",
  ],
  [/ does not exist$/, "check DATABASE_URL (or the PG* variables)"],
  [/./, "check DATABASE_URL (or the PG* variables) and that Postgres runs"],
];

function adviceOn(client: pg.Client, cause: unknown): string {
  if (
    socketOf(client) !== undefined && cause instanceof Deno.errors.NotCapable
  ) {
    return "; Deno demands the permissions to read and to write the socket, see docs/deployment.md";
  }
  const message = messageOf(cause);
  const [, advice] = ADVICE.find(([text]) => text.test(message)) ?? [];
  return `; ${advice}`;
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
