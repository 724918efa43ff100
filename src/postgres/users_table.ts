/**
 * The application's users table: what the operator says about it, and what is read and written.
 *
 * Where it is looked for is in `find_users.ts`, and which rights are needed in `users_rights.ts`. The
 * functions in `migrations/functions/` get the names as placeholders.
 *
 * @module
 */
import {
  COPY_LOCK_MS,
  COPY_PAUSE_MS,
  LEAVE_COPY_MS,
  PROVISION_LOCK_MS,
  REGROUP_LOCK_MS,
  SWEEP_COPY_MS,
  SWEEP_LOCK_MS,
  USERS_READ_LOCK_MS,
  WRITE_COPY_MS,
} from "./limits.ts";
import {
  type Groups,
  type GroupsConfig,
  groupsPlaceholders,
} from "./groups_table.ts";
import type { UserIdType } from "../client/protocol/user_id.ts";

/** What the operator set; `undefined` is the default of the variable. */
export interface UsersConfig {
  /** `USERS_TABLE`: as in SQL, found by the role's search path. */
  readonly table: string | undefined;
  /** `USERS_ID` */
  readonly id: string;
  /** `USERS_NAME` */
  readonly name: string | undefined;
  /** `USERS_STATUS` */
  readonly status: string | undefined;
  /** `USER_ID_TYPE`, for a table that Rollcall makes. */
  readonly idType: UserIdType;
  /** `CREATE_USERS`: make the table even beside tables that look like users. */
  readonly create: boolean;
  /** `AUTO_PROVISION` needs the right to insert. */
  readonly autoProvision: boolean;
  /** `undefined`: everybody sees everybody. */
  readonly groups: GroupsConfig | undefined;
}

/** The plan's table: made by Rollcall if it is missing. */
export const DEFAULT_USERS: UsersConfig = {
  table: undefined,
  id: "id",
  name: undefined,
  status: undefined,
  idType: "integer",
  create: false,
  autoProvision: false,
  groups: undefined,
};

/** What is read and written. Names are unquoted, except `table`. */
export interface UsersTable {
  /** With its schema, quoted: `public.users`, `public."User"`. */
  readonly table: string;
  readonly idColumn: string;
  readonly idType: UserIdType;
  /** An index keeps each id in one row. A view has none, and may return an id in several. */
  readonly isUnique: boolean;
  /** `undefined`: the id is shown. */
  readonly nameColumn: string | undefined;
  /** Whether `AUTO_PROVISION` may write names: a generated column takes none. */
  readonly canWriteName: boolean;
  /** `undefined`: no copy of the status. */
  readonly statusColumn: string | undefined;
}

/** Bounds of the functions in `migrations/`, by the names of their placeholders. */
const BOUNDS: Readonly<Record<string, string>> = Object.fromEntries(
  Object.entries({
    USERS_READ_LOCK_MS,
    COPY_LOCK_MS,
    COPY_PAUSE_MS,
    WRITE_COPY_MS,
    SWEEP_COPY_MS,
    SWEEP_LOCK_MS,
    LEAVE_COPY_MS,
    PROVISION_LOCK_MS,
    REGROUP_LOCK_MS,
  }).map(([name, ms]) => [name, String(ms)]),
);

/** The values of the placeholders in `migrations/`. */
export function placeholders(
  users: UsersTable,
  groups: Groups | undefined,
  nameLengthMax: number,
): Record<string, string> {
  const { idType, idColumn, nameColumn, statusColumn } = users;
  return {
    ID_COLUMN: idType === "text" ? 'text collate "C"' : idType,
    ID_TYPE: idType,
    USERS: users.table,
    ONE_ROW_EACH: users.isUnique ? "" : `distinct on (u.${quote(idColumn)})`,
    USER_ID: quote(idColumn),
    USER_NAME: quote(nameColumn ?? idColumn),
    NAME_TO_WRITE: quote(nameColumn ?? idColumn),
    CAN_NAME: String(users.canWriteName),
    HAS_STATUS: String(statusColumn !== undefined),
    STATUS: quote(statusColumn ?? idColumn),
    NAME_MAX: String(nameLengthMax),
    ...BOUNDS,
    ...groupsPlaceholders(groups, idType),
  };
}

/** For the start log: `auth.users(id uuid, name from email), the status is copied to none`. */
export function describeUsers(users: UsersTable): string {
  const { table, idColumn, idType, nameColumn, statusColumn } = users;
  const name = nameColumn === undefined
    ? "name is the id"
    : `name from ${nameColumn}`;
  const status = statusColumn === undefined
    ? "the status is kept in rollcall.presence"
    : `the status is kept in rollcall.presence and copied to ${table}.${statusColumn}`;
  return `users: ${table}(${idColumn} ${idType}, ${name}), ${status}`;
}

/** An identifier for SQL. */
export function quote(name: string): string {
  return `"${name.replaceAll('"', '""')}"`;
}

/** A setting as one types it into a shell, which would take the double quotes of a name away. */
export function inShell(variable: string, value: string): string {
  return `${variable}=${value.includes('"') ? `'${value}'` : value}`;
}
