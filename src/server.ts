/**
 * The server: a database, and a node on top of it.
 *
 * The start has five steps: take the port (`listening.ts`), start the embedded database if there is
 * no other, bring the schema up to date, add the demo's users in demo mode, and start the node
 * (`node.ts`). When `startServer` resolves, the server accepts clients. While the database cannot be
 * used for a reason that passes by itself (`transient.ts`), the last three steps are tried again,
 * and `/readyz` says why. When a step fails otherwise, what was started is stopped and the error is
 * thrown.
 *
 * The stop is the opposite: the node drains (`drain.ts`) and stops its parts, then the embedded
 * database stops. Every part has a time limit (`limits.ts`). A part that exceeds it is logged, and
 * the stop goes on without it.
 *
 * @module
 */
import { type Clock, retryMs, systemClock } from "./base/clock.ts";
import { type Log, rateLimited } from "./base/log.ts";
import { messageOf } from "./base/message_of.ts";
import type { Config } from "./config/config.ts";
import { DEMO_USERS } from "./demo/demo.ts";
import { makeTeams } from "./demo/demo_teams.ts";
import { addUsers } from "./demo/demo_users.ts";
import { DATA_DIRECTORY } from "./embedded/data_directory.ts";
import { HTTP_STOP_MS, NODE_STOP_MS } from "./limits.ts";
import { listen, type Listening } from "./listening.ts";
import { type Node, startNode } from "./node.ts";
import { databaseAddress, startFault } from "./postgres/connect.ts";
import { requireSessions } from "./postgres/listen.ts";
import { logMigration, migrateDatabase } from "./postgres/migrate.ts";
import { userIds } from "./client/protocol/user_id.ts";
import { PostgresStore } from "./postgres/postgres_store.ts";
import { transientReason } from "./postgres/transient.ts";
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

/**
 * @param stop Ends the wait for a database: the start then fails.
 * @throws {StartError} when the configuration, or something that it names, is wrong.
 */
export async function startServer(
  config: Config,
  log: Log,
  stop: AbortSignal,
): Promise<Server> {
  const listening = await listen(config, rateLimited(log));
  let database: Database | undefined;
  try {
    database = await openDatabase(config, log);
    const { url } = database;
    const start = () => startOn(config, listening, url, log);
    const node = await untilStarted(start, listening, log, stop);
    return {
      url: listening.url,
      stop: async () => {
        await stopWithin(NODE_STOP_MS, "node", node.stop(), log);
        await database?.stop();
      },
    };
  } catch (err) {
    await stopWithin(HTTP_STOP_MS, "HTTP server", listening.stop(), log);
    await database?.stop();
    throw startFault(err);
  }
}

/** Starts the node on a database that answers. */
async function startOn(
  config: Config,
  listening: Listening,
  url: string | undefined,
  log: Log,
): Promise<Node> {
  if (config.demoTeams) await makeTeams(url, config.users.idType);
  const migrated = await migrateDatabase(url, config.users, log);
  logMigration(migrated, log);
  const ids = userIds(migrated.users.idType, config.userIdJson);
  await requireSessions(url);
  if (config.demo) await addUsers(url, ids, DEMO_USERS);
  const limitedLog = rateLimited(log);
  const hasGroups = migrated.groups !== undefined;
  const store = new PostgresStore(url, limitedLog, ids, hasGroups);
  return await startNode(config, listening, store, limitedLog, ids, url);
}

/** Repeats a start that failed for a reason that passes by itself. */
async function untilStarted(
  start: () => Promise<Node>,
  listening: Listening,
  log: Log,
  stop: AbortSignal,
  clock: Clock = systemClock,
): Promise<Node> {
  for (let failures = 0;; failures++) {
    try {
      return await start();
    } catch (err) {
      const reason = transientReason(err);
      if (reason === undefined || stop.aborted) throw err;
      listening.waitFor(reason);
      log.warn(
        { reason: messageOf(err) },
        "cannot use the database yet, trying again",
      );
      await clock.sleep(retryMs(failures, Math.random), stop);
      if (stop.aborted) throw err;
    }
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
