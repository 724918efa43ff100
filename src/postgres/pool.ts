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
import { clientOptions } from "./connect.ts";
import {
  DATABASE_ANSWER_MS,
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
 * The functions in migrations/ rely on it: each of their statements must see what was committed before
 * it began. Nothing is set where it is so already, because the connection may be one of a pooler,
 * which gives it to the application next.
 */
const USE_READ_COMMITTED = `
  select pg_catalog.set_config('default_transaction_isolation', 'read committed', false)
   where pg_catalog.current_setting('default_transaction_isolation') operator(pg_catalog.<>) 'read committed'`;

export class Pool {
  readonly #pool: pg.Pool;

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
    this.#pool = new pg.Pool({
      ...clientOptions(url),
      max: connectionsMax,
      statement_timeout: DATABASE_STATEMENT_MS,
      query_timeout: DATABASE_ANSWER_MS,
    });
    this.#pool.on("connect", (client) => {
      // The pool removes its own listener while it closes a connection, which may still break.
      client.on("error", () => {});
      client.on(
        "notice",
        ({ message }) => log.warn({ notice: message }, "the database warns"),
      );
      client.query(USE_READ_COMMITTED).catch(() => {});
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
    try {
      return (await this.#pool.query<Row>(sql, values)).rows;
    } catch (err) {
      if (err instanceof pg.DatabaseError && err.code === FENCED_SQLSTATE) {
        throw new FencedError(err.message, { cause: err });
      }
      throw err;
    }
  }

  /** Waits for running queries, then closes all connections. */
  async close(): Promise<void> {
    await this.#pool.end();
  }
}
