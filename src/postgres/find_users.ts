/**
 * Finds the users table and the columns that are read and written, and says in one sentence what
 * does not fit.
 *
 * @module
 */
import type pg from "pg";
import { StartError } from "../base/start_error.ts";
import { USER_ID_TYPES, type UserIdType } from "../client/protocol/user_id.ts";
import { refuseOtherName, refuseOtherTable, type Settled } from "./settled.ts";
import {
  type Column,
  findRelation,
  LackingRightsError,
  likelyUsersTables,
  type Relation,
  USERS_SOUGHT,
} from "./users_catalog.ts";
import {
  inShell,
  quote,
  type UsersConfig,
  type UsersTable,
} from "./users_table.ts";
import { refuseHiddenRows, tryToRead } from "./readable.ts";
import { missingGrants } from "./users_rights.ts";

const NAME_TYPES = ["text", "character varying", "citext", "character"];
const STATUS_TYPES = ["text", "character varying"];

/**
 * Finds the table. `undefined`: there is none, and one may be made.
 *
 * @throws {StartError} in one sentence: what is wrong, and what to set or to grant.
 */
export async function findUsersTable(
  client: pg.ClientBase,
  config: UsersConfig,
  settled?: Settled,
): Promise<UsersTable | undefined> {
  const { table = "users" } = config;
  const relation = await findRelation(client, table, settled?.table);
  if (relation === undefined) {
    await refuseMissing(client, config, settled);
    return undefined;
  }
  const users = mapColumns(relation, config);
  refuseOtherTable(users, settled);
  refuseWithoutRights(relation, users, config);
  const { idColumn, nameColumn = idColumn } = users;
  const columns = [quote(idColumn), quote(nameColumn)];
  await tryToRead(client, users.table, columns, USERS_SOUGHT);
  return await checkWords(client, users, config, settled);
}

/**
 * Which columns are read and written. Reads nothing of the table itself.
 *
 * @throws {StartError} when a column is missing or has a type that does not fit.
 */
export function mapColumns(
  relation: Relation,
  config: UsersConfig,
): UsersTable {
  const id = checkId(relation, config.id);
  const name = checkName(relation, config.name);
  const status = checkStatus(relation, config.status);
  return {
    table: relation.table,
    idColumn: id.name,
    idType: idTypeOf(id.type) ?? "integer",
    isUnique: id.isUnique,
    nameColumn: name?.name,
    canWriteName: name !== undefined && !name.isGenerated,
    statusColumn: status?.name,
  };
}

/**
 * A table that was there at an earlier start is not made again: the application may be about to do
 * that, and an empty table would take all users offline.
 *
 * @throws {StartError} when there is no table and none may be made, or presence belongs to another.
 */
export async function refuseMissing(
  client: pg.ClientBase,
  config: UsersConfig,
  settled: Settled | undefined,
): Promise<void> {
  await refuseOtherName(client, config, settled);
  const { table, create } = config;
  if (create) return;
  const tables = await likelyUsersTables(client);
  if (table !== undefined) {
    const others = tables.length === 0 ? "" : `; there is ${tables.join(", ")}`;
    const quoted = tables.find((name) => name.includes('"'));
    const hint = quoted === undefined
      ? ""
      : ` (a name with capitals needs its double quotes, in a shell as ${
        inShell("USERS_TABLE", quoted)
      })`;
    throw new StartError(
      `Cannot find the users table ${table}: this role sees no such table or view${others}; check USERS_TABLE${hint}, or grant usage on its schema, or set CREATE_USERS=true to have Rollcall make it`,
    );
  }
  if (settled !== undefined) {
    throw new StartError(
      `Cannot find the users table ${settled.table}: it was there at an earlier start, and presence in this database belongs to it; make it again, or grant usage on its schema, or set CREATE_USERS=true to have Rollcall make an empty one`,
    );
  }
  if (tables.length === 0) return;
  throw new StartError(
    `Cannot find a table named users; there is ${tables.join(", ")}: set ${
      inShell("USERS_TABLE", tables[0] ?? "")
    } and, where its columns have other names, USERS_ID, USERS_NAME and USERS_STATUS; or set CREATE_USERS=true to have Rollcall make a table users of its own`,
  );
}

function refuseWithoutRights(
  relation: Relation,
  users: UsersTable,
  config: UsersConfig,
): void {
  const { table, role } = relation;
  if (missingGrants(relation, users, config).length > 0) {
    throw new LackingRightsError(
      `Cannot use the users table ${table}: the role ${role} lacks rights`,
    );
  }
  refuseHiddenRows(relation, USERS_SOUGHT);
}

/**
 * A status column with other words in it has another meaning. That is a fault where the column was
 * named, and no copy otherwise.
 */
export async function checkWords(
  client: pg.ClientBase,
  users: UsersTable,
  config: UsersConfig,
  settled: Settled | undefined,
): Promise<UsersTable> {
  const { table, statusColumn } = users;
  if (statusColumn === undefined) return users;
  // The sweep corrects what the application has written since.
  if (statusColumn === settled?.statusColumn) return users;
  const column = quote(statusColumn);
  const { rows: [row] } = await client.query(
    `select ${column}::text as word from ${table}
      where ${column}::text not in ('online', 'offline') limit 1`,
  );
  if (row === undefined) return users;
  if (config.status === undefined) {
    return { ...users, statusColumn: undefined };
  }
  throw new StartError(
    `Cannot copy the status into ${table}.${statusColumn}: it holds ${
      JSON.stringify(row.word)
    }; expected 'online' and 'offline' only: set USERS_STATUS to another column, or to none`,
  );
}

function idTypeOf(type: string): UserIdType | undefined {
  if (type === "character varying") return "text";
  return USER_ID_TYPES.find((known) => known === type);
}

function checkId(relation: Relation, wanted: string): Column {
  const { table, columns } = relation;
  const column = columns.get(wanted);
  const problem = column === undefined
    ? `it has no column ${wanted}`
    : problemOfId(relation, column);
  if (column !== undefined && problem === undefined) return column;
  const fitting = [...columns.values()]
    .filter((one) => problemOfId(relation, one) === undefined)
    .map(({ name }) => name);
  const advice = fitting.length === 0
    ? "no other column fits"
    : `set USERS_ID to ${fitting.join(" or ")}`;
  throw new StartError(
    `Cannot read users from ${table}: ${problem}; ${advice}`,
  );
}

/** Why a column cannot hold the ids. */
function problemOfId({ kind }: Relation, column: Column): string | undefined {
  const { name, type, declared, isDeterministic, isUnique } = column;
  if (idTypeOf(type) === undefined) {
    return `the column ${name} is ${declared}; expected ${
      USER_ID_TYPES.join(", ")
    }, character varying, or a domain over one`;
  }
  if (!isDeterministic) {
    return `different ids can be equal by the collation of the column ${name}; expected a deterministic collation`;
  }
  // A view has no index to show it.
  if (isUnique || (kind !== "r" && kind !== "p")) return undefined;
  return `the column ${name} is not unique; expected a primary key or a unique index on it alone`;
}

function checkName(
  { table, columns }: Relation,
  wanted: string | undefined,
): Column | undefined {
  if (wanted === undefined) {
    return ["username", "name"].map((name) => columns.get(name)).find((one) =>
      one !== undefined && NAME_TYPES.includes(one.type)
    );
  }
  const column = columns.get(wanted);
  if (column === undefined) {
    throw new StartError(
      `Cannot read names from ${table}: it has no column ${wanted}; set USERS_NAME to one of ${
        [...columns.keys()].join(", ")
      }`,
    );
  }
  if (!NAME_TYPES.includes(column.type)) {
    throw new StartError(
      `Cannot read names from ${table}: the column ${wanted} is ${column.declared}; expected text, character varying or citext: set USERS_NAME to another column`,
    );
  }
  return column;
}

function checkStatus(
  { table, columns }: Relation,
  wanted: string | undefined,
): Column | undefined {
  if (wanted === "none") return undefined;
  if (wanted === undefined) {
    const column = columns.get("status");
    const isOfThePlan = column !== undefined &&
      STATUS_TYPES.includes(column.type) && !column.isGenerated &&
      /^'offline'(::|$)/.test(column.defaultValue ?? "");
    return isOfThePlan ? column : undefined;
  }
  const column = columns.get(wanted);
  if (column === undefined) {
    throw new StartError(
      `Cannot copy the status into ${table}: it has no column ${wanted}; set USERS_STATUS to one of ${
        [...columns.keys()].join(", ")
      }, or to none`,
    );
  }
  if (!column.isUpdatable) {
    throw new StartError(
      `Cannot copy the status into ${table}.${wanted}: the view cannot be updated; set USERS_STATUS to none`,
    );
  }
  const isEnum = column.labels?.includes("online") &&
    column.labels.includes("offline");
  if (column.isGenerated || !(STATUS_TYPES.includes(column.type) || isEnum)) {
    throw new StartError(
      `Cannot copy the status into ${table}.${wanted}: it is ${
        column.isGenerated ? "a generated column" : column.declared
      }; expected text, character varying, or an enum with 'online' and 'offline': set USERS_STATUS to another column, or to none`,
    );
  }
  return column;
}
