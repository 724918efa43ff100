/**
 * Says what gives a role the rights that it lacks.
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
import pg from "pg";
import { StartError } from "../base/start_error.ts";
import { unpinned } from "./pinned.ts";
import { schemaForTables } from "./users_catalog.ts";

const INSUFFICIENT_PRIVILEGE = "42501";

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
}

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
         pg_has_role(migrations.relowner, 'usage') as "ownsInternal"
    from (values (1)) one
    left join pg_namespace internal on internal.nspname = 'rollcall_internal'
    left join pg_class migrations on migrations.relnamespace = internal.oid and migrations.relname = 'migrations'`;

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

/**
 * Inside of `pinned`, after the migration.
 *
 * @throws {StartError} that names the grants, when the role may not use all of our tables and
 *   functions: so it is after a migration by another role that made new ones.
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
  throw new StartError(
    `Cannot serve: the role ${role} lacks rights in rollcall_internal (${names}); ${role} needs: ${
      grantsToServe(role)
    }`,
  );
}

/**
 * The end of an error message: the statements to run if the fault is a right that the role lacks,
 * and nothing if it is another fault. Inside of `pinned`.
 *
 * @param makesTable The users table that is made if there is none. `undefined`: none is made.
 */
export async function adviceOnRights(
  client: pg.Client,
  fault: unknown,
  makesTable: string | undefined,
): Promise<string> {
  const isDenied = fault instanceof pg.DatabaseError &&
    fault.code === INSUFFICIENT_PRIVILEGE;
  if (!isDenied) return "";
  const [{ needs_table }] = await unpinned(
    client,
    `select $1::pg_catalog.text is not null and pg_catalog.to_regclass($1::pg_catalog.text) is null as needs_table`,
    [makesTable],
  );
  const { rows: [rights] } = await client.query<Rights>(READ_RIGHTS, [
    await schemaForTables(client),
    needs_table,
  ]);
  if (rights === undefined) return "";
  return rights.ownsInternal === false
    ? adviceToServe(rights)
    : adviceToMigrate(rights);
}

/** Another role has migrated the database. */
function adviceToServe({ role, internalOwner }: Rights): string {
  return `; run deno task migrate as ${internalOwner}, the owner of its tables; to serve, ${role} needs: ${
    grantsToServe(role)
  }`;
}

function grantsToServe(role: string): string {
  return [
    `grant usage on schema rollcall_internal to ${role}`,
    `grant select, insert, update, delete on all tables in schema rollcall_internal to ${role}`,
    `grant execute on all functions in schema rollcall_internal to ${role}`,
  ].join("; ");
}

function adviceToMigrate(rights: Rights): string {
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
  if (statements.length === 0) return "";
  return `; as an owner or a superuser, run: ${statements.join("; ")}`;
}
