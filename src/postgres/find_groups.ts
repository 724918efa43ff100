/**
 * Finds the application's table with the groups of users, and says in one sentence what does not fit.
 *
 * It has the columns `user_id` and `group_id`; a table with other names is read through a view. Two
 * rows may say the same, and a row with a null says nothing.
 *
 * @module
 */
import type pg from "pg";
import { StartError } from "../base/start_error.ts";
import type { UserIdType } from "../client/protocol/user_id.ts";
import {
  type Groups,
  type GroupsConfig,
  TOKEN_MEMBERSHIPS,
} from "./groups_table.ts";
import { refuseHiddenRows, tryToRead } from "./readable.ts";
import {
  type Column,
  findRelation,
  LackingRightsError,
  type Relation,
} from "./users_catalog.ts";
import { bypass } from "./users_rights.ts";

/** What the table is called in messages. */
const GROUPS_SOUGHT = { noun: "groups", variable: "GROUPS_TABLE" } as const;

/** Types whose values are compared without a cast, by the type of the users' ids. */
const INTEGERS = ["smallint", "integer", "bigint"];
const TEXTS = ["text", "character varying"];

/**
 * @param known The table that an earlier start found: see `findRelation`.
 * @throws {StartError} in one sentence: what is wrong, and what to set or to grant.
 */
export async function findGroups(
  client: pg.ClientBase,
  config: GroupsConfig | undefined,
  idType: UserIdType,
  known?: string,
): Promise<Groups | undefined> {
  if (config === undefined) return undefined;
  const relation = await findGroupsRelation(client, config, known);
  const groups = mapGroups(relation, config, idType);
  if (relation === undefined) return groups;
  refuseWithoutRights(relation);
  const columns = ["user_id", "group_id"];
  await tryToRead(client, relation.table, columns, GROUPS_SOUGHT);
  return groups;
}

/**
 * `undefined`: the groups are in tokens.
 *
 * @throws {StartError} when there is no such table.
 */
export async function findGroupsRelation(
  client: pg.ClientBase,
  { source }: GroupsConfig,
  known?: string,
): Promise<Relation | undefined> {
  if (source.kind === "claim") return undefined;
  const relation = await findRelation(
    client,
    source.name,
    known,
    GROUPS_SOUGHT,
  );
  if (relation !== undefined) return relation;
  throw new StartError(
    `Cannot find the groups table ${source.name}: this role sees no such table or view; check GROUPS_TABLE, or grant usage on its schema`,
  );
}

/**
 * What is read. Reads nothing of the table itself.
 *
 * @throws {StartError} when a column is missing or has a type that does not fit.
 */
export function mapGroups(
  relation: Relation | undefined,
  config: GroupsConfig,
  idType: UserIdType,
): Groups {
  if (relation === undefined) {
    return {
      ...config,
      ...{ table: TOKEN_MEMBERSHIPS, userIdType: idType, groupIdType: "text" },
    };
  }
  const user = columnOf(relation, "user_id");
  const group = columnOf(relation, "group_id");
  refuseOtherType(relation, user, idType);
  return {
    ...config,
    table: relation.table,
    userIdType: user.declared,
    groupIdType: group.declared,
  };
}

function columnOf({ table, columns }: Relation, name: string): Column {
  const column = columns.get(name);
  if (column !== undefined) return column;
  throw new StartError(
    `Cannot read groups from ${table}: it has no column ${name}; expected the columns user_id and group_id: set GROUPS_TABLE to a view that has them`,
  );
}

function refuseOtherType(
  { table }: Relation,
  { type, declared, isDeterministic }: Column,
  idType: UserIdType,
): void {
  const fitting = INTEGERS.includes(idType)
    ? INTEGERS
    : idType === "text"
    ? TEXTS
    : [idType];
  if (!fitting.includes(type)) {
    throw new StartError(
      `Cannot read groups from ${table}: the column user_id is ${declared}, and the ids of users are ${idType}; expected ${
        fitting.join(" or ")
      }: set GROUPS_TABLE to a view that casts it`,
    );
  }
  if (isDeterministic) return;
  throw new StartError(
    `Cannot read groups from ${table}: different ids can be equal by the collation of the column user_id; expected a deterministic collation`,
  );
}

/** The statements that let the role read the groups, without those whose rights it has. */
export function missingGroupsGrants(relation: Relation): string[] {
  return grants(relation, (isThere) => !isThere);
}

/** All of these statements. */
export function neededGroupsGrants(relation: Relation): string[] {
  const needed = grants(relation, () => true);
  return relation.hasRowSecurity ? [...needed, bypass(relation)] : needed;
}

function grants(
  { table, role, schema, canUseSchema, columns }: Relation,
  isWanted: (isThere: boolean) => boolean,
): string[] {
  const canSelect = ["user_id", "group_id"].every((name) =>
    columns.get(name)?.canSelect === true
  );
  return [
    ...isWanted(canUseSchema)
      ? [`grant usage on schema ${schema} to ${role}`]
      : [],
    ...isWanted(canSelect)
      ? [`grant select (user_id, group_id) on ${table} to ${role}`]
      : [],
  ];
}

function refuseWithoutRights(relation: Relation): void {
  const { table, role } = relation;
  if (missingGroupsGrants(relation).length > 0) {
    throw new LackingRightsError(
      `Cannot read groups from ${table}: the role ${role} lacks rights`,
    );
  }
  refuseHiddenRows(relation, GROUPS_SOUGHT);
}
