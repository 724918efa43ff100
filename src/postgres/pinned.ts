/**
 * Transactions in which names mean what they mean in Postgres.
 *
 * Another role may have made a function or an operator in a schema on this role's search path, such
 * as `public`, whose parameters fit better than those of Postgres' own. A statement would execute it
 * with this role's rights. So statements run with a search path that has no other schema, except
 * those that look an application's table up by its name.
 *
 * @module
 */
import type pg from "pg";

const PIN = "set local search_path = pg_catalog, pg_temp";

/**
 * Runs the work in one transaction with a pinned search path. Nothing outlives it, because the
 * connection may be one of a pooler, which gives it to the application next.
 */
export async function pinned<Result>(
  client: pg.ClientBase,
  work: () => Promise<Result>,
  mode: "read only" | "read write" = "read write",
): Promise<Result> {
  await client.query(`begin ${mode}`);
  try {
    await client.query(PIN);
    const result = await work();
    await client.query("commit");
    return result;
  } catch (err) {
    await client.query("rollback").catch(() => {});
    throw err;
  }
}

/**
 * Inside of `pinned`: runs one statement with the role's own search path. It must name the schema of
 * every function and operator.
 *
 * @param path Another search path, quoted.
 */
export async function unpinned(
  client: pg.ClientBase,
  sql: string,
  values: unknown[] = [],
  path = "default",
): Promise<pg.QueryResult["rows"]> {
  await client.query(`set local search_path to ${path}`);
  const { rows } = await client.query(sql, values);
  await client.query(PIN);
  return rows;
}
