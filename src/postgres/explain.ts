/**
 * Says what a start would read, write and make in a database, and which rights it needs, without
 * doing any of it.
 *
 * @module
 */
import type pg from "pg";
import { connect } from "./connect.ts";
import {
  findGroupsRelation,
  mapGroups,
  neededGroupsGrants,
} from "./find_groups.ts";
import { describeGroups } from "./groups_table.ts";
import { checkWords, mapColumns, refuseMissing } from "./find_users.ts";
import { pinned } from "./pinned.ts";
import { lackingStatements } from "./rights.ts";
import { readSettled, refuseOtherTable, type Settled } from "./settled.ts";
import {
  findRelation,
  type Relation,
  schemaForTables,
} from "./users_catalog.ts";
import { missingGrants, neededGrants } from "./users_rights.ts";
import {
  describeUsers,
  type UsersConfig,
  type UsersTable,
} from "./users_table.ts";

/** What the catalog says about the current role and Rollcall's own schemas. Names are quoted as SQL needs them. */
interface Place {
  readonly role: string;
  readonly database: string;
  readonly schema: string;
  readonly ours: readonly string[];
}

const READ_PLACE = `
  select quote_ident(current_user) as "role", quote_ident(current_database()) as "database",
         $1 as "schema",
         array(select nspname::text from pg_namespace where nspname in ('rollcall', 'rollcall_internal')) as "ours"`;

export interface Explanation {
  /** In lines. */
  readonly text: string;
  /** The statements that give the role what it lacks: a start would fail. */
  readonly lacking: readonly string[];
}

/**
 * @throws {StartError} when the database cannot be reached, or the users table does not fit.
 */
export async function explainMigration(
  url: string | undefined,
  config: UsersConfig,
): Promise<Explanation> {
  const client = await connect(url);
  try {
    return await pinned(client, () => explain(client, config), "read only");
  } finally {
    await client.end();
  }
}

async function explain(
  client: pg.ClientBase,
  config: UsersConfig,
): Promise<Explanation> {
  const { rows: [place] } = await client.query<Place>(READ_PLACE, [
    await schemaForTables(client),
  ]);
  if (place === undefined) throw new Error("Cannot read the catalog");
  const { table = "users" } = config;
  const settled = await readSettled(client);
  const relation = await findRelation(client, table, settled?.table);
  if (relation === undefined) await refuseMissing(client, config, settled);
  const users = relation &&
    await mapUsers(client, relation, config, settled);
  const groupsRelation = config.groups && await findGroupsRelation(
    ...[client, config.groups, settled?.groupsTable ?? undefined] as const,
  );
  const groups = config.groups &&
    mapGroups(groupsRelation, config.groups, users?.idType ?? config.idType);
  const lacking = await lackingStatements(client, config);
  const text = [
    `As ${place.role} in the database ${place.database}:`,
    `  reads   ${users ? readsOf(users) : "nothing of the application"}`,
    ...groupsRelation
      ? [`          ${groupsRelation.table}: user_id, group_id`]
      : [],
    `  writes  ${writesOf(users, config)}`,
    `  makes   ${makesOf(place, config, relation)}`,
    ...users ? [`  log     ${describeUsers(users)}`] : [],
    `  ${users ? "     " : "log  "}   ${describeGroups(groups)}`,
    "A role of its own needs:",
    ...new Set([
      ...neededOf(place, config, relation, users),
      ...groupsRelation ? neededGroupsGrants(groupsRelation) : [],
    ].map((grant) => `  ${grant};`)),
    lacking.length === 0
      ? "The current role lacks nothing."
      : "The current role lacks:",
    ...lacking.map((statement) => `  ${statement};`),
  ].join("\n");
  return { text, lacking };
}

/** As a start would map them. Which words are in the status column is left out if it cannot be read. */
async function mapUsers(
  client: pg.ClientBase,
  relation: Relation,
  config: UsersConfig,
  settled: Settled | undefined,
): Promise<UsersTable> {
  const users = mapColumns(relation, config);
  refuseOtherTable(users, settled);
  const isReadable = !relation.hidesRows &&
    missingGrants(relation, users, config).length === 0;
  return isReadable ? await checkWords(client, users, config, settled) : users;
}

function readsOf({ table, idColumn, idType, nameColumn }: UsersTable): string {
  const name = nameColumn === undefined ? "" : `, ${nameColumn} as the name`;
  return `${table}: ${idColumn} (${idType})${name}`;
}

function writesOf(
  users: UsersTable | undefined,
  { autoProvision }: UsersConfig,
): string {
  const written: string[] = [];
  if (users?.statusColumn !== undefined) {
    written.push(
      `${users.table}.${users.statusColumn}, the copy of the status`,
    );
  }
  if (autoProvision) written.push("a row for each new user (AUTO_PROVISION)");
  return written.length === 0
    ? "nothing of the application"
    : written.join("; ");
}

function makesOf(
  { schema, ours }: Place,
  { table, idType }: UsersConfig,
  relation: Relation | undefined,
): string {
  const made = ["rollcall_internal", "rollcall"]
    .filter((name) => !ours.includes(name)).map((name) => `schema ${name}`);
  if (relation === undefined) {
    made.push(`table ${table ?? `${schema}.users`} with ids of type ${idType}`);
  }
  return made.length === 0 ? "nothing, the schemas are there" : made.join(", ");
}

function neededOf(
  place: Place,
  config: UsersConfig,
  relation: Relation | undefined,
  users: UsersTable | undefined,
): string[] {
  return [
    `grant create on database ${place.database} to ${place.role}`,
    ...relation && users ? neededGrants(relation, users, config) : [
      `grant create on schema ${place.schema} to ${place.role}`,
    ],
  ];
}
