/**
 * Which users table this database's presence belongs to: found or made by the first start, and the
 * same for all later ones.
 *
 * @module
 */
import type pg from "pg";
import { messageOf } from "../base/message_of.ts";
import { StartError } from "../base/start_error.ts";
import { findGroups } from "./find_groups.ts";
import type { Groups } from "./groups_table.ts";
import { findUsersTable } from "./find_users.ts";
import { unpinned } from "./pinned.ts";
import { readSettled } from "./settled.ts";
import { schemaForTables } from "./users_catalog.ts";
import { quote, type UsersConfig, type UsersTable } from "./users_table.ts";

export interface Mapping {
  readonly users: UsersTable;
  /** Whether the users table was made now. */
  readonly madeUsers: boolean;
  /** `undefined`: everybody sees everybody. */
  readonly groups: Groups | undefined;
}

/**
 * Finds the users table, or makes it where there is none, and the groups. Part of the transaction of a migration.
 *
 * @throws {StartError} as `findUsersTable` and `findGroups` do.
 */
export async function settleUsersTable(
  client: pg.ClientBase,
  config: UsersConfig,
): Promise<Mapping> {
  const settled = await readSettled(client);
  let users = await findUsersTable(client, config, settled);
  const madeUsers = users === undefined;
  if (users === undefined) {
    await makeUsersTable(client, config);
    users = await findUsersTable(client, config, settled);
    if (users === undefined) throw new Error("Cannot find the table just made");
    await revokeDefaultGrants(client, users);
  }
  const known = settled?.groupsTable ?? undefined;
  const groups = await findGroups(client, config.groups, users.idType, known);
  const changeable = [
    users.statusColumn ?? null,
    groups?.source.kind === "table" ? groups.table : null,
  ];
  if (settled === undefined) {
    await client.query(
      `insert into rollcall_internal.settings (status_column, groups_table, users_table, users_id, id_type)
       values ($1, $2, $3, $4, $5)`,
      [...changeable, users.table, users.idColumn, users.idType],
    );
  } else {
    await client.query(
      `update rollcall_internal.settings set status_column = $1, groups_table = $2
        where (status_column, groups_table) is distinct from ($1, $2)`,
      changeable,
    );
  }
  return { users, madeUsers, groups };
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
    const create = `create table ${table} (${columns.join(", ")})`;
    await unpinned(client, create, [], await schemaForTables(client));
  } catch (cause) {
    throw new StartError(
      `Cannot make the users table ${table}: ${messageOf(cause)}`,
      { cause },
    );
  }
}

/** Default privileges of the database may give other roles rights on a new table. */
async function revokeDefaultGrants(
  client: pg.ClientBase,
  { table }: UsersTable,
): Promise<void> {
  const { rows } = await client.query<{ revoke: string }>(
    `select format('revoke all on %s from %s', c.oid::regclass,
              case when acl.grantee = 0 then 'public' else acl.grantee::regrole::text end) as revoke
       from pg_class c, aclexplode(c.relacl) acl
      where c.oid = to_regclass($1) and acl.grantee <> c.relowner`,
    [table],
  );
  for (const { revoke } of rows) await client.query(revoke);
}
