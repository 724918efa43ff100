/**
 * The pool of database connections of a node.
 *
 * It owns the connections, their deadlines, the notices that the database sends, and the
 * translation of SQLSTATEs into errors of the store. It knows no table and no function.
 *
 * No query waits without a bound: connecting, the statement in the database, and the answer
 * each have a deadline in `limits.ts`.
 *
 * @module
 */
import pg from "pg";
import type { Log } from "../base/log.ts";
import { FencedError } from "../core/store/store.ts";
import { clientOptions, refuseReadOnly } from "./connect.ts";
import { type Hosts, hostsOf } from "./hosts.ts";
import {
  DATABASE_ANSWER_MS,
  DATABASE_CONNECT_MS,
  DATABASE_STATEMENT_MS,
  POOL_CONNECTIONS_MAX,
} from "./limits.ts";

/** The functions in `migrations/` raise it when a node's lease has ended. */
const FENCED_SQLSTATE = "RC001";

/** Whether the database cancelled the statement because its time was over. */
export function isTimeout(err: unknown): boolean {
  return err instanceof pg.DatabaseError && err.code === "57014";
}

/**
 * For the whole connection, which a transaction pooler would give to the application next: the start
 * has made sure that there is none (`listen.ts`). They are no parameters of the connection because a
 * pooler in session mode refuses or ignores these.
 *
 * The functions in migrations/ rely on "read committed": each of their statements must see what was
 * committed before it began.
 */
const SETTINGS = `
  select pg_catalog.set_config('statement_timeout', '${DATABASE_STATEMENT_MS}', false),
         pg_catalog.set_config('default_transaction_isolation', 'read committed', false)`;

export class Pool {
  readonly #pool: pg.Pool;
  readonly #hosts: Hosts;

  /**
   * Opens no connection before the first query.
   *
   * @param connectionsMax Further queries wait for one of these connections.
   */
  constructor(
    url: string | undefined,
    log: Log,
    connectionsMax = POOL_CONNECTIONS_MAX,
  ) {
    const hosts = hostsOf(url);
    this.#hosts = hosts;
    this.#pool = new pg.Pool({
      max: connectionsMax,
      connectionTimeoutMillis: DATABASE_CONNECT_MS,
      Client: class extends pg.Client {
        constructor() {
          super({
            ...clientOptions(hosts.current),
            query_timeout: DATABASE_ANSWER_MS,
          });
        }
      },
      onConnect: (client) => prepare(client, log),
    });
    // The pool replaces an idle connection that broke at the next query.
    this.#pool.on(
      "error",
      (err) => log.debug({ err }, "an idle database connection ended"),
    );
  }

  /**
   * Runs one statement in a transaction of its own, and returns its rows.
   *
   * @throws {FencedError} when the database says that the node's lease has ended.
   */
  async query<Row extends pg.QueryResultRow>(
    sql: string,
    values: unknown[] = [],
  ): Promise<Row[]> {
    const client = await this.#connect();
    let fault: unknown;
    try {
      return (await client.query<Row>(sql, values)).rows;
    } catch (err) {
      fault = err;
      if (err instanceof pg.DatabaseError && err.code === FENCED_SQLSTATE) {
        throw new FencedError(err.message, { cause: err });
      }
      throw err;
    } finally {
      // After a fault the connection is not used again: it may lead to a host that became a standby.
      client.release(fault !== undefined);
    }
  }

  /** Takes an idle connection, or opens one to the first host that takes writes. */
  async #connect(): Promise<pg.PoolClient> {
    for (let tries = 1;; tries++) {
      const host = this.#hosts.current;
      try {
        return await this.#pool.connect();
      } catch (err) {
        this.#hosts.leave(host);
        if (tries >= this.#hosts.count) throw err;
      }
    }
  }

  /** Waits for running queries, then closes all connections. */
  async close(): Promise<void> {
    await this.#pool.end();
  }
}

/** Before a new connection is used. */
async function prepare(client: pg.ClientBase, log: Log): Promise<void> {
  // The pool removes its own listener while it closes a connection, which may still break.
  client.on("error", () => {});
  client.on(
    "notice",
    ({ message }) => log.warn({ notice: message }, "the database warns"),
  );
  await refuseReadOnly(client);
  await client.query(SETTINGS);
}
