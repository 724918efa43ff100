-- What an operator asks of the whole cluster. Nothing here changes anything.

-- Every node, oldest first. `lease_seconds` is negative for one whose lease has ended.
create or replace function rollcall_internal.list_nodes()
returns table (
  id uuid, host text, pid integer, connections integer, cordoned boolean, leaving boolean, joined_at timestamptz,
  lease_seconds double precision
)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select n.id, n.host, n.pid, n.connections, n.cordoned, n.leaving, n.joined_at,
         extract(epoch from n.expires_at - clock_timestamp())::double precision
    from rollcall_internal.nodes n
   order by n.joined_at, n.id;
$$;

-- A user, and the nodes that hold a connection of the user. No row: the user was never online.
create or replace function rollcall_internal.find_user(wanted :ID_TYPE)
returns table (username text, nodes uuid[], changed_at timestamptz)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select p.username, p.nodes, p.changed_at from rollcall_internal.presence p where p.user_id = wanted;
$$;

-- How many copies are due. Counts up to `most`.
create or replace function rollcall_internal.count_due(most integer) returns bigint
language sql stable set search_path = pg_catalog, pg_temp as $$
  select count(*) from (select from rollcall_internal.presence p where p.copy_due limit most) due;
$$;

-- What keeps Postgres from removing old versions of our rows: transactions and replication slots, each with
-- the oldest transaction that it may still see. Of other roles' transactions, Postgres shows the start only to
-- a member of pg_read_all_stats: then `seconds` is null. A vacuum keeps nothing.
create or replace function rollcall_internal.list_snapshots()
returns table (holder text, sees text, seconds double precision)
language sql stable set search_path = pg_catalog, pg_temp as $$
  select format('process %s of %s (%s)', a.pid, a.usesysid::regrole, coalesce(nullif(a.application_name, ''), 'no name')),
         coalesce(a.backend_xid, a.backend_xmin)::text,
         extract(epoch from clock_timestamp() - a.xact_start)::double precision
    from pg_stat_activity a
   where a.datid = (select d.oid from pg_database d where d.datname = current_database())
     and coalesce(a.backend_xid, a.backend_xmin) is not null
     and a.pid <> pg_backend_pid()
     and a.pid not in (select v.pid from pg_stat_progress_vacuum v)
  union all
  select format('replication slot %s', s.slot_name), s.xmin::text, null
    from pg_replication_slots s where s.xmin is not null
  union all
  select format('prepared transaction %s', x.gid), x.transaction::text,
         extract(epoch from clock_timestamp() - x.prepared)::double precision
    from pg_prepared_xacts x where x.database = current_database();
$$;
