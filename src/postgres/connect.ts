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
 * Opens a connection at start, when a failure is a fault of the configuration.
 *
 * @throws {StartError} that says what the database answered, and its address without the password.
 */
export async function connect(url: string | undefined): Promise<pg.Client> {
  let client: pg.Client | undefined;
  try {
    client = new pg.Client(clientOptions(url));
    client.on("error", () => {});
    await client.connect();
    return client;
  } catch (cause) {
    const where = client === undefined
      ? "the database"
      : `postgres://${client.user}@${client.host}:${client.port}/${client.database}`;
    throw new StartError(
      `Cannot connect to ${where}: ${
        messageOf(cause)
      }; check DATABASE_URL (or the PG* variables) and that Postgres runs`,
      { cause },
    );
  }
}
