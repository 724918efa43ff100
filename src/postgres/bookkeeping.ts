/**
 * What migrations keep about themselves: which files were applied, which users table they were
 * applied for, and the row that one start at a time holds.
 *
 * @module
 */
import type pg from "pg";

/**
 * `rollcall` is for other applications, everything else is in `rollcall_internal`: "$user" comes first
 * on the default search path, and a role may be named "rollcall". Both may have been prepared for a
 * role that may not create schemas, and "if not exists" needs that right too.
 */
export const BOOKKEEPING = `
  do $$
  declare
    name text;
  begin
    foreach name in array array['rollcall_internal', 'rollcall'] loop
      if to_regnamespace(name) is null then
        execute format('create schema %I', name);
      end if;
    end loop;
  end
  $$;
  create table rollcall_internal.migrations (
    name text primary key,
    sha256 text not null,
    breaking boolean not null,
    applied_at timestamptz not null default now()
  );
  create table rollcall_internal.migration_lock (one_row boolean primary key default true check (one_row));
  insert into rollcall_internal.migration_lock default values;
  create table rollcall_internal.locks (name text primary key);
  create table rollcall_internal.settings (
    one_row boolean primary key default true check (one_row),
    users_table text not null,
    users_id text not null,
    id_type text not null,
    -- The column that gets the copy of the status. Null: none.
    status_column text,
    -- The table with the groups that the last start found. Null: none.
    groups_table text
  )`;

const OUR_OBJECTS = `
  with ours as (
    select oid, nspname from pg_catalog.pg_namespace where nspname in ('rollcall', 'rollcall_internal')
  )
  select 'schema' as kind, n.oid, pg_catalog.quote_ident(n.nspname) as object, n.nspowner as owner, n.nspacl as rights
    from pg_catalog.pg_namespace n where n.oid in (select oid from ours)
  union all
  select 'table', c.oid, pg_catalog.format('%I.%I', n.nspname, c.relname), c.relowner, c.relacl
    from pg_catalog.pg_class c join ours n on n.oid = c.relnamespace where c.relkind in ('r', 'v', 'S')
  union all
  select 'function', p.oid, p.oid::pg_catalog.regprocedure::text, p.proowner,
         coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))
    from pg_catalog.pg_proc p join ours n on n.oid = p.pronamespace`;

/** Schemas, tables, views and functions of Rollcall that are there, each by its kind and its oid. */
export async function readOurObjects(
  client: pg.ClientBase,
): Promise<ReadonlySet<string>> {
  const { rows } = await client.query(
    `select kind || ' ' || oid as object from (${OUR_OBJECTS}) ours`,
  );
  return new Set(rows.map(({ object }) => object));
}

/**
 * Takes away what default privileges of the database gave other roles on new objects, before the
 * transaction that made them is committed. What was granted on older objects stays.
 *
 * @param known What was there before, from `readOurObjects`.
 */
export async function revokeDefaultGrants(
  client: pg.ClientBase,
  known: ReadonlySet<string>,
): Promise<void> {
  const { rows } = await client.query(
    `select distinct ours.kind, ours.kind || ' ' || ours.oid as key, ours.object,
            case acl.grantee when 0 then 'public' else acl.grantee::pg_catalog.regrole::text end as role
       from (${OUR_OBJECTS}) ours, pg_catalog.aclexplode(ours.rights) acl
      where acl.grantee <> ours.owner`,
  );
  for (const { kind, key, object, role } of rows) {
    if (known.has(key)) continue;
    await client.query(`revoke all on ${kind} ${object} from ${role}`);
  }
}

/** The transaction that holds the lock of migrations, for a message. */
export async function describeHolder(client: pg.ClientBase): Promise<string> {
  const { rows: [holder] } = await client.query(
    `select a.pid, a.usename, a.application_name, coalesce(host(a.client_addr), 'this machine') as host,
            a.xact_start::timestamptz(0)::text as since
       from pg_catalog.pg_locks l join pg_catalog.pg_stat_activity a on a.pid = l.pid
      where l.relation = pg_catalog.to_regclass('rollcall_internal.migration_lock')
        and l.granted and l.pid <> pg_catalog.pg_backend_pid()
      order by a.xact_start limit 1`,
  );
  return holder === undefined
    ? "a transaction of the application that uses one of the tables"
    : `${holder.application_name} of ${holder.usename} on ${holder.host}, process ${holder.pid}, since ${holder.since}`;
}
