/**
 * Says what gives a role the rights that it lacked for a migration.
 *
 * Asked only after Postgres has denied something. So a role whose rights are unusual is never
 * refused what would have worked.
 *
 * A role that makes the schema needs:
 * - to create the schema rollcall_internal, or to use and create in one that was prepared;
 * - to create tables in the first schema of its search path, for the table users and the view
 *   online_users. Since Postgres 15, `create` on the database does not include the schema public;
 * - to own the table users, if it exists, because columns and triggers are added to it.
 *
 * A role that only serves needs none of these, but rights on the tables.
 *
 * @module
 */
import pg from "pg";

const INSUFFICIENT_PRIVILEGE = "42501";

/** What the catalog says about the current role. Names are quoted as SQL needs them. */
interface Rights {
  readonly role: string;
  readonly database: string;
  /** Where tables without a schema's name are created. */
  readonly schema: string;
  readonly createsSchemas: boolean;
  readonly createsTables: boolean;
  /** Of the schema rollcall_internal; null if there is none. */
  readonly createsInInternal: boolean | null;
  /** Of the tables in rollcall_internal; null if there are none. */
  readonly internalOwner: string | null;
  readonly ownsInternal: boolean | null;
  /** The table users as the role finds it; null if there is none. */
  readonly users: string | null;
  readonly usersOwner: string | null;
  readonly ownsUsers: boolean | null;
}

const READ_RIGHTS = `
  select quote_ident(current_user) as "role",
         quote_ident(current_database()) as "database",
         quote_ident(current_schema()) as "schema",
         has_database_privilege(current_database(), 'create') as "createsSchemas",
         coalesce(has_schema_privilege(current_schema(), 'create'), false) as "createsTables",
         has_schema_privilege(internal.oid, 'usage')
           and has_schema_privilege(internal.oid, 'create') as "createsInInternal",
         quote_ident(pg_get_userbyid(migrations.relowner)) as "internalOwner",
         pg_has_role(migrations.relowner, 'usage') as "ownsInternal",
         users.oid::regclass::text as "users",
         quote_ident(pg_get_userbyid(users.relowner)) as "usersOwner",
         pg_has_role(users.relowner, 'usage') as "ownsUsers"
    from (values (1)) one
    left join pg_namespace internal on internal.nspname = 'rollcall_internal'
    left join pg_class migrations on migrations.relnamespace = internal.oid and migrations.relname = 'migrations'
    left join pg_class users on users.oid = to_regclass('users')`;

/**
 * The end of an error message: the statements to run if the fault is a right that the role lacks,
 * and nothing if it is another fault. The client must not be in a failed transaction.
 */
export async function adviceOnRights(
  client: pg.Client,
  fault: unknown,
): Promise<string> {
  const isDenied = fault instanceof pg.DatabaseError &&
    fault.code === INSUFFICIENT_PRIVILEGE;
  if (!isDenied) return "";
  const { rows: [rights] } = await client.query<Rights>(READ_RIGHTS);
  if (rights === undefined) return "";
  return rights.ownsInternal === false
    ? adviceToServe(rights)
    : adviceToMigrate(rights);
}

/** Another role has migrated the database. */
function adviceToServe({ role, internalOwner, users }: Rights): string {
  const grants = [
    `grant usage on schema rollcall_internal to ${role}`,
    `grant select, insert, update, delete on all tables in schema rollcall_internal to ${role}`,
    `grant select, update on ${users ?? "users"} to ${role}`,
  ].join("; ");
  return `; run deno task migrate as ${internalOwner}, the owner of its tables; to serve, ${role} needs: ${grants}`;
}

function adviceToMigrate(rights: Rights): string {
  const { role, database, schema, users, usersOwner } = rights;
  const statements: string[] = [];
  if (rights.createsInInternal === null && !rights.createsSchemas) {
    statements.push(`grant create on database ${database} to ${role}`);
  }
  if (rights.createsInInternal === false) {
    statements.push(
      `grant usage, create on schema rollcall_internal to ${role}`,
    );
  }
  if (!rights.createsTables) {
    statements.push(`grant create on schema ${schema} to ${role}`);
  }
  if (rights.ownsUsers === false) {
    statements.push(`alter table ${users} owner to ${role}`);
  }
  if (statements.length === 0) return "";
  const orOwner = rights.ownsUsers === false
    ? `, or run deno task migrate as ${usersOwner}, the owner of the table`
    : "";
  return `; as an owner or a superuser, run: ${
    statements.join("; ")
  }${orOwner}`;
}
