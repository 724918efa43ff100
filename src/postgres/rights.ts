/**
 * Which rights a role lacks, as the statements that give them: all at once, so that nobody has to
 * start a server once for each.
 *
 * For a migration this is asked only after Postgres has denied something. So a role whose rights
 * are unusual is never refused what would have worked. To serve, the rights are checked at the
 * start: most of them are needed only later, when the node has joined and its users come online.
 *
 * A role that makes the schema needs to create the schemas rollcall_internal and rollcall, or to use
 * and create in ones that were prepared. To make a users table it also needs to create in the first
 * schema of its search path: since Postgres 15, `create` on the database does not include the schema
 * public. It never needs to own the application's tables; which rights it needs there is in
 * `users_rights.ts`.
 *
 * A role that only serves needs none of these, but rights on Rollcall's tables and functions.
 *
 * @module
 */
import type pg from "pg";
import { StartError } from "../base/start_error.ts";
import { findGroupsRelation, missingGroupsGrants } from "./find_groups.ts";
import { mapColumns } from "./find_users.ts";
import { readSettled } from "./settled.ts";
import {
  findRelation,
  LackingRightsError,
  type Relation,
  schemaForTables,
} from "./users_catalog.ts";
import { bypass, missingGrants } from "./users_rights.ts";
import type { UsersConfig } from "./users_table.ts";

/** What the catalog says about the current role. Names are quoted as SQL needs them. */
interface Rights {
  readonly role: string;
  readonly database: string;
  /** Where tables without a schema's name are created. */
  readonly schema: string;
  readonly createsSchemas: boolean;
  readonly createsTables: boolean;
  /** There is no users table, and one is to be made. */
  readonly needsTable: boolean;
  /** Schemas of ours that are there, and in which the role may not create. */
  readonly closedSchemas: readonly string[];
  readonly missingSchemas: number;
  /** Of the tables in rollcall_internal; null if there are none. */
  readonly internalOwner: string | null;
  readonly ownsInternal: boolean | null;
  /** Whether all of our tables and functions are within reach. */
  readonly serves: boolean;
}

/** Objects of ours on which the current role lacks a right that serving may need. */
const OUT_OF_REACH = `
  select c.relname::text as name
    from pg_class c
   where c.relnamespace = to_regnamespace('rollcall_internal') and c.relkind in ('r', 'v')
     and not (has_any_column_privilege(c.oid, 'select')
              and (c.relkind = 'v' or has_any_column_privilege(c.oid, 'insert')
                   and has_any_column_privilege(c.oid, 'update') and has_table_privilege(c.oid, 'delete')))
   union all
  select p.proname::text
    from pg_proc p
   where p.pronamespace = to_regnamespace('rollcall_internal') and not has_function_privilege(p.oid, 'execute')
   order by 1`;

const READ_RIGHTS = `
  select quote_ident(current_user) as "role",
         quote_ident(current_database()) as "database",
         $1::text as "schema",
         has_database_privilege(current_database(), 'create') as "createsSchemas",
         coalesce(has_schema_privilege(to_regnamespace($1::text), 'create'), false) as "createsTables",
         $2::boolean as "needsTable",
         array(
           select n.nspname::text from pg_namespace n
            where n.nspname in ('rollcall', 'rollcall_internal')
              and not (has_schema_privilege(n.oid, 'usage') and has_schema_privilege(n.oid, 'create'))
            order by 1
         ) as "closedSchemas",
         2 - (select count(*)::int from pg_namespace n where n.nspname in ('rollcall', 'rollcall_internal'))
           as "missingSchemas",
         quote_ident(pg_get_userbyid(migrations.relowner)) as "internalOwner",
         pg_has_role(migrations.relowner, 'usage') as "ownsInternal",
         coalesce(has_schema_privilege(internal.oid, 'usage'), false) and not exists (${OUT_OF_REACH}) as "serves"
    from (values (1)) one
    left join pg_namespace internal on internal.nspname = 'rollcall_internal'
    left join pg_class migrations on migrations.relnamespace = internal.oid and migrations.relname = 'migrations'`;

/**
 * Inside of `pinned`, after the migration.
 *
 * @throws {LackingRightsError} when the role may not use all of our tables and functions: so it is
 *   after a migration by another role that made new ones.
 */
export async function requireRightsToServe(
  client: pg.ClientBase,
): Promise<void> {
  const { rows: lacking } = await client.query(OUT_OF_REACH);
  if (lacking.length === 0) return;
  const { rows: [{ role }] } = await client.query(
    `select quote_ident(current_user) as "role"`,
  );
  const names = lacking.map(({ name }) => name).join(", ");
  throw new LackingRightsError(
    `Cannot serve: the role ${role} lacks rights in rollcall_internal (${names})`,
  );
}

/**
 * The statements that give the role everything that it lacks. Inside of `pinned`, and without any
 * right.
 */
export async function lackingStatements(
  client: pg.ClientBase,
  config: UsersConfig,
): Promise<string[]> {
  return lacking(await readRights(client, config), config);
}

/**
 * The end of an error message: who has to run what. Inside of `pinned`.
 *
 * @param isMigrating Whether the right was lacking while the schema was brought up to date.
 */
export async function adviceOnRights(
  client: pg.ClientBase,
  config: UsersConfig,
  isMigrating: boolean,
): Promise<string> {
  const found = await readRights(client, config);
  const { internalOwner, ownsInternal } = found.rights;
  const statements = lacking(found, config);
  return [
    ...isMigrating && ownsInternal === false
      ? [`run deno task migrate as ${internalOwner}, the owner of its tables`]
      : [],
    ...statements.length > 0
      ? [`as an owner or a superuser, run: ${statements.join("; ")}`]
      : [],
  ].map((advice) => `; ${advice}`).join("");
}

interface Found {
  readonly rights: Rights;
  /** The users table. `undefined`: there is none that the role can see. */
  readonly relation: Relation | undefined;
  /** The table with the groups. `undefined`: none is configured, or the role sees no such table. */
  readonly groups: Relation | undefined;
}

async function readRights(
  client: pg.ClientBase,
  config: UsersConfig,
): Promise<Found> {
  const { table = "users", create } = config;
  const settled = await readSettled(client);
  const relation = await findRelation(client, table, settled?.table);
  const isMade = relation === undefined &&
    (config.table === undefined || create);
  const { rows: [rights] } = await client.query<Rights>(READ_RIGHTS, [
    await schemaForTables(client),
    isMade,
  ]);
  if (rights === undefined) throw new Error("Cannot read the catalog");
  const groups = config.groups && await findGroupsRelation(
    ...[client, config.groups, settled?.groupsTable ?? undefined] as const,
  ).catch((err) => {
    // The next start says that there is none.
    if (err instanceof StartError) return undefined;
    throw err;
  });
  return { rights, relation, groups };
}

function lacking(
  { rights, relation, groups }: Found,
  config: UsersConfig,
): string[] {
  const ours = rights.ownsInternal === false
    ? rights.serves ? [] : grantsToServe(rights)
    : grantsToMigrate(rights);
  return [
    ...ours,
    ...relation === undefined ? [] : lackingOnUsers(relation, config),
    ...groups === undefined ? [] : lackingOnGroups(groups),
  ].filter((grant, index, all) => all.indexOf(grant) === index);
}

function lackingOnGroups(groups: Relation): string[] {
  const missing = missingGroupsGrants(groups);
  return groups.hidesRows ? [...missing, bypass(groups)] : missing;
}

function lackingOnUsers(relation: Relation, config: UsersConfig): string[] {
  try {
    const grants = missingGrants(
      relation,
      mapColumns(relation, config),
      config,
    );
    return relation.hidesRows ? [...grants, bypass(relation)] : grants;
  } catch (err) {
    // A column does not fit. The next start says so.
    if (err instanceof StartError) return [];
    throw err;
  }
}

/** Another role has migrated the database. */
function grantsToServe({ role }: Rights): string[] {
  return [
    `grant usage on schema rollcall_internal to ${role}`,
    `grant select, insert, update, delete on all tables in schema rollcall_internal to ${role}`,
    `grant execute on all functions in schema rollcall_internal to ${role}`,
  ];
}

function grantsToMigrate(rights: Rights): string[] {
  const { role, database, schema } = rights;
  const statements: string[] = [];
  if (rights.missingSchemas > 0 && !rights.createsSchemas) {
    statements.push(`grant create on database ${database} to ${role}`);
  }
  for (const closed of rights.closedSchemas) {
    statements.push(`grant usage, create on schema ${closed} to ${role}`);
  }
  if (rights.needsTable && !rights.createsTables) {
    statements.push(`grant create on schema ${schema} to ${role}`);
  }
  return statements;
}
