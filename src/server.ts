/**
 * The server: a database, and a node on top of it.
 *
 * The start has four steps: start the embedded database if there is no other, bring the schema up
 * to date, add the demo's users in demo mode, and start the node (`node.ts`). When `startServer`
 * resolves, the server accepts requests. When a step fails, the embedded database is stopped and
 * the error is thrown.
 *
 * The stop is the opposite: the node drains (`drain.ts`) and stops its parts, then the embedded
 * database stops. Every part has a time limit (`limits.ts`). A part that exceeds it is logged, and
 * the stop goes on without it.
 *
 * @module
 */
import { type Log, rateLimited } from "./base/log.ts";
import type { Config } from "./config/config.ts";
import { DEMO_USERS } from "./demo/demo.ts";
import { addUsers } from "./demo/demo_users.ts";
import { DATA_DIRECTORY } from "./embedded/data_directory.ts";
import { NODE_STOP_MS } from "./limits.ts";
import { startNode } from "./node.ts";
import { databaseAddress, startFault } from "./postgres/connect.ts";
import { logMigration, migrateDatabase } from "./postgres/migrate.ts";
import { userIds } from "./client/protocol/user_id.ts";
import { PostgresStore } from "./postgres/postgres_store.ts";
import { stopWithin } from "./stop_within.ts";

export interface Server {
  /** Where it listens, with a slash at the end. */
  readonly url: string;
  /** Drains and stops. Resolves within ten seconds, whatever a peer or the database does. */
  stop(): Promise<void>;
}

/** The server's database. `url` is undefined where the `PG*` variables say where it is. */
interface Database {
  readonly url: string | undefined;
  /** Stops the embedded database. Does nothing for an external one. */
  stop(): Promise<void>;
}

/** @throws {StartError} when the configuration, or something that it names, is wrong. */
export async function startServer(config: Config, log: Log): Promise<Server> {
  const database = await openDatabase(config, log);
  try {
    const { url } = database;
    const migrated = await migrateDatabase(url, config.users, log);
    logMigration(migrated, log);
    const ids = userIds(migrated.users.idType, config.userIdJson);
    if (config.demo) await addUsers(url, ids, DEMO_USERS);
    const limitedLog = rateLimited(log);
    const store = new PostgresStore(url, limitedLog, ids);
    const node = await startNode(config, store, limitedLog, ids, url);
    return {
      url: node.url,
      stop: async () => {
        await stopWithin(NODE_STOP_MS, "node", node.stop(), log);
        await database.stop();
      },
    };
  } catch (err) {
    await database.stop();
    throw startFault(err);
  }
}

async function openDatabase(config: Config, log: Log): Promise<Database> {
  if (config.database.kind === "external") {
    const { url } = config.database;
    log.info({}, `database: ${databaseAddress(url)}`);
    return { url, stop: async () => {} };
  }
  // A forgotten DATABASE_URL would otherwise look like an application without users.
  log.info(
    {},
    `database: embedded in ${DATA_DIRECTORY}/, because DATABASE_URL is not set`,
  );
  // Loaded only here: the package takes 60 MB, and needs permission to write and to run programs.
  const { startEmbedded } = await import("./embedded/embedded.ts");
  return await startEmbedded(DATA_DIRECTORY, log);
}
