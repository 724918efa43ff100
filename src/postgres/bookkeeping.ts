/**
 * What migrations keep about themselves: which files were applied, which users table they were
 * applied for, and the row that one start at a time holds.
 *
 * @module
 */
import type pg from "pg";

/** The schema is not named "rollcall": "$user" comes first on the default search path. */
export const BOOKKEEPING = `
  begin;
  create schema if not exists rollcall_internal;
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
    made_users boolean not null
  );
  commit`;

/**
 * Takes away what default privileges of the database gave other roles on the new objects. Later
 * grants stay: this runs once.
 */
export const REVOKE_DEFAULT_GRANTS = `
  do $$
  declare
    grants record;
  begin
    for grants in
      select 'table' as kind, c.oid::regclass::text as object, acl.grantee
        from pg_class c, aclexplode(c.relacl) acl
       where c.relnamespace in ('rollcall'::regnamespace, 'rollcall_internal'::regnamespace)
         and c.relkind in ('r', 'v') and acl.grantee <> c.relowner
      union
      select 'function', p.oid::regprocedure::text, acl.grantee
        from pg_proc p, aclexplode(coalesce(p.proacl, acldefault('f', p.proowner))) acl
       where p.pronamespace in ('rollcall'::regnamespace, 'rollcall_internal'::regnamespace)
         and acl.grantee <> p.proowner
      union
      select 'schema', n.oid::regnamespace::text, acl.grantee
        from pg_namespace n, aclexplode(n.nspacl) acl
       where n.nspname in ('rollcall', 'rollcall_internal') and acl.grantee <> n.nspowner
    loop
      execute format('revoke all on %s %s from %s', grants.kind, grants.object,
        case when grants.grantee = 0 then 'public' else grants.grantee::regrole::text end);
    end loop;
  end
  $$`;

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
