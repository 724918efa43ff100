/**
 * Which users table this database's presence belongs to: found or made by the first start, and the
 * same for all later ones.
 *
 * @module
 */
import type pg from "pg";
import { messageOf } from "../base/message_of.ts";
import { StartError } from "../base/start_error.ts";
import { findUsersTable } from "./find_users.ts";
import { SCHEMA_FOR_TABLES } from "./users_catalog.ts";
import {
  literal,
  quote,
  type UsersConfig,
  type UsersTable,
} from "./users_table.ts";

/**
 * Finds the users table, or makes it where there is none. Part of the transaction of a migration.
 *
 * @throws {StartError} as `findUsersTable` does, and when presence belongs to another table.
 */
export async function settleUsersTable(
  client: pg.ClientBase,
  config: UsersConfig,
): Promise<{ users: UsersTable; madeUsers: boolean }> {
  const { rows: [settings] } = await client.query(
    "select users_table, users_id, id_type, made_users from rollcall_internal.settings",
  );
  const isOurs = settings?.made_users === true;
  let users = await findUsersTable(client, config, isOurs);
  const madeUsers = users === undefined;
  if (users === undefined) {
    await makeUsersTable(client, config);
    users = await findUsersTable(client, config, true);
    if (users === undefined) throw new Error("Cannot find the table just made");
  }
  if (settings === undefined) {
    await client.query(
      `insert into rollcall_internal.settings (users_table, users_id, id_type, made_users)
       values ($1, $2, $3, $4)`,
      [users.table, users.idColumn, users.idType, madeUsers],
    );
    return { users, madeUsers };
  }
  const before =
    `${settings.users_table}(${settings.users_id} ${settings.id_type})`;
  const now = `${users.table}(${users.idColumn} ${users.idType})`;
  if (before !== now) {
    throw new StartError(
      `Cannot use the users table ${now}: presence in this database belongs to ${before}; set USERS_TABLE and USERS_ID back, use another database, or forget what Rollcall remembers: stop all servers and run "drop schema rollcall_internal, rollcall cascade"`,
    );
  }
  return { users, madeUsers };
}

/** Makes the plan's table. Other roles get no rights on it. */
async function makeUsersTable(
  client: pg.ClientBase,
  { table = "users", id, name = "username", idType, status }: UsersConfig,
): Promise<void> {
  const isInteger = idType !== "uuid" && idType !== "text";
  const columns = [
    `${quote(id)} ${idType} primary key${
      isInteger ? ` check (${quote(id)} > 0)` : ""
    }`,
    `${quote(name)} text not null`,
    ...status === "none"
      ? []
      : [`${quote(status ?? "status")} text not null default 'offline'`],
  ];
  try {
    await client.query(
      `select pg_catalog.set_config('search_path', ${SCHEMA_FOR_TABLES}, true)`,
    );
    await client.query(`create table ${table} (${columns.join(", ")})`);
    // Default privileges of the database may give other roles rights on it.
    await client.query(`
      do $$
      declare
        other text;
      begin
        for other in
          select distinct case when acl.grantee = 0 then 'public' else acl.grantee::regrole::text end
            from pg_class c, aclexplode(c.relacl) acl
           where c.oid = ${
      literal(table)
    }::regclass and acl.grantee <> c.relowner
        loop
          execute format('revoke all on %s from %s', ${
      literal(table)
    }::regclass, other);
        end loop;
      end
      $$`);
  } catch (cause) {
    throw new StartError(
      `Cannot make the users table ${table}: ${messageOf(cause)}`,
      { cause },
    );
  }
}
