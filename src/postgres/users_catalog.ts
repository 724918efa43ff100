/**
 * What the database's catalog says about a table: its columns, their types, and this role's rights.
 *
 * Reads the catalog alone, so that it works without any right on the table. Inside of `pinned`.
 *
 * @module
 */
import type pg from "pg";
import { messageOf } from "../base/message_of.ts";
import { StartError } from "../base/start_error.ts";
import { unpinned } from "./pinned.ts";

/** The role lacks rights. Which statements give them is added to the message by `rights.ts`. */
export class LackingRightsError extends StartError {}

export interface Column {
  readonly name: string;
  /** As SQL needs it. */
  readonly quoted: string;
  readonly type: string;
  readonly declared: string;
  readonly defaultValue: string | null;
  readonly isGenerated: boolean;
  readonly isUnique: boolean;
  /** False in a view that Postgres cannot write through. */
  readonly isUpdatable: boolean;
  /** By the column's collation, only the same texts are equal. */
  readonly isDeterministic: boolean;
  readonly canSelect: boolean;
  readonly canUpdate: boolean;
  readonly canInsert: boolean;
  /** Of an enum. */
  readonly labels: readonly string[] | null;
}

export interface Relation {
  readonly oid: number;
  readonly table: string;
  readonly kind: string;
  /** Quoted, as `role` is: for the statements that a message shows. */
  readonly schema: string;
  readonly canUseSchema: boolean;
  /** The table has row level security, which applies to all roles but its owner and those that bypass it. */
  readonly hasRowSecurity: boolean;
  /** It applies to this role. */
  readonly hidesRows: boolean;
  readonly role: string;
  readonly columns: ReadonlyMap<string, Column>;
}

/** Names of tables that hold users in well-known frameworks. */
const LIKELY_NAMES = [
  ...["user", "users", "account", "accounts", "member", "members"],
  ...["auth_user", "app_user", "app_users", "user_entity", "profile"],
  ...[
    "profiles",
    "customer",
    "customers",
    "people",
    "person",
    "nextauth_users",
  ],
];

/**
 * Where a table without a schema's name is made, quoted: in the first schema of the role's search path
 * that is not ours. The path begins with the role's own name, which is often "rollcall".
 */
export async function schemaForTables(client: pg.ClientBase): Promise<string> {
  const [{ path }] = await unpinned(
    client,
    "select pg_catalog.current_schemas(false)::pg_catalog.text[] as path",
  );
  const { rows: [{ schema }] } = await client.query(
    `select coalesce((
       select quote_ident(path.schema) from unnest($1::text[]) with ordinality as path (schema, position)
        where path.schema not in ('rollcall', 'rollcall_internal')
        order by path.position limit 1
     ), 'public') as schema`,
    [path],
  );
  return schema;
}

const COLUMNS = `
  with recursive base (oid, type, next) as (
    select a.atttypid, a.atttypid, a.atttypid from pg_catalog.pg_attribute a where a.attrelid = $1
    union
    select b.oid, t.typbasetype, t.typbasetype from base b
      join pg_catalog.pg_type t on t.oid = b.next and t.typtype = 'd'
  )
  select a.attname as name, pg_catalog.quote_ident(a.attname) as quoted, pg_catalog.format_type(a.atttypid, null) as declared,
         (select t.typname from pg_catalog.pg_type t where t.oid = real.type) as typname,
         pg_catalog.format_type(real.type, null) as type,
         pg_catalog.pg_get_expr(d.adbin, d.adrelid) as "defaultValue",
         a.attgenerated <> '' as "isGenerated",
         coalesce((select l.collisdeterministic from pg_catalog.pg_collation l where l.oid = a.attcollation), true)
           as "isDeterministic",
         exists (
           select from pg_catalog.pg_index i
            where i.indrelid = $1 and i.indisunique and i.indisvalid and i.indnkeyatts = 1
              and i.indpred is null and i.indkey[0] = a.attnum
         ) as "isUnique",
         pg_catalog.pg_column_is_updatable($1, a.attnum, true) as "isUpdatable",
         pg_catalog.has_column_privilege($1::oid, a.attnum, 'select') as "canSelect",
         pg_catalog.has_column_privilege($1::oid, a.attnum, 'update') as "canUpdate",
         pg_catalog.has_column_privilege($1::oid, a.attnum, 'insert') as "canInsert",
         (select pg_catalog.array_agg(e.enumlabel::text) from pg_catalog.pg_enum e where e.enumtypid = real.type) as labels
    from pg_catalog.pg_attribute a
    join lateral (
      select b.type from base b join pg_catalog.pg_type t on t.oid = b.type
       where b.oid = a.atttypid and t.typtype <> 'd' limit 1
    ) real on true
    left join pg_catalog.pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
   where a.attrelid = $1 and a.attnum > 0 and not a.attisdropped
   order by a.attnum`;

/** What a relation is looked for as, in messages. */
export interface Sought {
  readonly noun: "users" | "groups";
  readonly variable: string;
}

export const USERS_SOUGHT: Sought = { noun: "users", variable: "USERS_TABLE" };

/**
 * Finds a table or a view by its name. `undefined`: there is none that the role can see.
 *
 * @param known A name with its schema that is preferred if a name without a schema may mean it.
 *   Another role may have made a table in a schema that comes first on the search path.
 * @throws {StartError} when the name is no name, or that of something else.
 */
export async function findRelation(
  client: pg.ClientBase,
  name: string,
  known?: string,
  { noun, variable }: Sought = USERS_SOUGHT,
): Promise<Relation | undefined> {
  const found = await lookUp(client, name, known).catch((cause) => {
    throw new StartError(
      `Cannot look for the ${noun} table ${name}: ${
        messageOf(cause)
      }; expected ${variable} as in SQL, for example auth.users or public."User"`,
      { cause },
    );
  });
  if (found === undefined) return undefined;
  if (!["r", "p", "v", "m", "f"].includes(found.kind)) {
    throw new StartError(
      `Cannot read ${noun} from ${found.table}: expected a table or a view`,
    );
  }
  const { rows } = await client.query<Column & { typname: string }>(COLUMNS, [
    found.oid,
  ]);
  const columns = new Map(rows.map((row) => [
    row.name,
    // An extension's type is shown with its schema where that is not on the search path.
    { ...row, type: row.typname === "citext" ? "citext" : row.type },
  ]));
  return { ...found, columns };
}

type Found = Omit<Relation, "columns">;

async function lookUp(
  client: pg.ClientBase,
  name: string,
  known?: string,
): Promise<Found | undefined> {
  const { rows: [{ parts, isKnown }] } = await client.query(
    `select pg_catalog.parse_ident($1) as parts,
            pg_catalog.parse_ident($1) = (pg_catalog.parse_ident($2))[2:] as "isKnown"`,
    [name, known ?? null],
  );
  if (known !== undefined && isKnown) {
    const found = await lookUp(client, known);
    if (found !== undefined) return found;
  }
  // With a schema's name, to_regclass wants usage of the schema. Which right is missing is said later.
  const [{ oid }] = parts.length > 1 ? [{ oid: null }] : await unpinned(
    client,
    "select cast(pg_catalog.to_regclass($1) as pg_catalog.oid) as oid",
    [name],
  );
  const { rows: [found] } = await client.query<Found>(
    `select c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname) as table, c.relkind as kind,
            pg_catalog.quote_ident(n.nspname) as schema,
            pg_catalog.has_schema_privilege(n.oid, 'usage') as "canUseSchema",
            c.relrowsecurity as "hasRowSecurity", pg_catalog.row_security_active(c.oid) as "hidesRows",
            pg_catalog.quote_ident(current_user) as role
       from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      where case when $1::oid is null then n.nspname = $2 and c.relname = $3 else c.oid = $1 end`,
    [oid, parts.at(-2), parts.at(-1)],
  );
  return found;
}

/** Tables that hold users by their names, at most ten. */
export async function likelyUsersTables(
  client: pg.ClientBase,
): Promise<string[]> {
  const { rows } = await client.query(
    `select pg_catalog.format('%I.%I', n.nspname, c.relname) as table
       from pg_catalog.pg_class c join pg_catalog.pg_namespace n on n.oid = c.relnamespace
      where c.relkind in ('r', 'p') and pg_catalog.lower(c.relname) = any ($1)
        and n.nspname not in ('pg_catalog', 'information_schema', 'rollcall', 'rollcall_internal')
        and n.nspname not like 'pg\\_%'
      order by 1 limit 10`,
    [LIKELY_NAMES],
  );
  return rows.map((row) => row.table);
}
