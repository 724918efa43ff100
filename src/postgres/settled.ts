/**
 * What the first start settled: to which users table presence in this database belongs.
 *
 * Another table is refused here, whether it is there or not, because its ids are those of other
 * users. `find_users.ts` finds the table, and `mapping.ts` writes what is settled.
 *
 * @module
 */
import type pg from "pg";
import { StartError } from "../base/start_error.ts";
import { inShell, type UsersConfig, type UsersTable } from "./users_table.ts";

/** What earlier starts found in this database. */
export interface Settled {
  /** The table that presence belongs to, with its schema. */
  readonly table: string;
  readonly idColumn: string;
  readonly idType: string;
  /** The column into which the status is copied already. Other words in it are the application's since. */
  readonly statusColumn: string | null;
  /** The application's table with the groups, with its schema. */
  readonly groupsTable: string | null;
}

/** `undefined`: no start has settled anything, or this role may not read what. */
export async function readSettled(
  client: pg.ClientBase,
): Promise<Settled | undefined> {
  const { rows: [found] } = await client.query(
    `select from pg_class
      where relnamespace = to_regnamespace('rollcall_internal') and relname = 'settings'
        and has_schema_privilege(relnamespace, 'usage') and has_table_privilege(oid, 'select')`,
  );
  if (found === undefined) return undefined;
  const { rows: [settled] } = await client.query<Settled>(
    `select users_table as table, users_id as "idColumn", id_type as "idType",
            status_column as "statusColumn", groups_table as "groupsTable"
       from rollcall_internal.settings`,
  );
  return settled;
}

/** @throws {StartError} when the table that was found is not the settled one. */
export function refuseOtherTable(
  users: UsersTable,
  settled: Settled | undefined,
): void {
  if (settled === undefined) return;
  const before = `${settled.table}(${settled.idColumn} ${settled.idType})`;
  const now = `${users.table}(${users.idColumn} ${users.idType})`;
  if (before === now) return;
  throw new StartError(
    `Cannot use the users table ${now}: presence in this database belongs to ${before}; set USERS_TABLE and USERS_ID back, use another database, or forget what Rollcall remembers: stop all servers and run "drop schema rollcall_internal, rollcall cascade"`,
  );
}

/**
 * For a table that is missing. To make it would help nobody where presence belongs to another one.
 *
 * @throws {StartError} when the name that is configured cannot mean the settled table.
 */
export async function refuseOtherName(
  client: pg.ClientBase,
  { table }: UsersConfig,
  settled: Settled | undefined,
): Promise<void> {
  if (settled === undefined) return;
  const { rows: [{ isSame }] } = await client.query(
    `select pg_catalog.parse_ident($1)
              in (pg_catalog.parse_ident($2), (pg_catalog.parse_ident($2))[2:]) as "isSame"`,
    [table ?? "users", settled.table],
  );
  if (isSame) return;
  const now = table === undefined
    ? "USERS_TABLE is not set"
    : `USERS_TABLE is ${table}, which is not there`;
  throw new StartError(
    `Cannot find the users table: presence in this database belongs to ${settled.table}, and ${now}: set ${
      inShell("USERS_TABLE", settled.table)
    }`,
  );
}
