-- The functions that decide transitions. Each is called in a transaction of its own at READ COMMITTED,
-- where every statement sees what was committed before it began.
--
-- Their plans are kept for as long as a connection lives, perhaps from a time when the tables were nearly
-- empty, and must not read a table as a whole: each statement names its ids in one array, which is the
-- condition of an index, and sequential scans are off. Without "jit = off" Postgres before 18 would
-- compile such a plan at each call.

-- Claims the arriving users for a node and releases the leaving ones. Returns
--   a row with a seq for each transition,
--   'unknown' for an arriving id that is not in the users table,
--   'deferred' for an arriving id that was never seen while the users table cannot be read,
--   'ungrouped' for an arriving id that is not online while the groups cannot be read,
--   'overgrouped' for an arriving id that is in too many groups,
--   'unreadable' once if the groups cannot be read.
-- Raises RC001 if the node holds no lease, and RC002 if a later write of the node was committed before.
--
-- A node that does not know what became of its last write, or that made none, sets `is_barrier`. Then all
-- of its earlier writes are over, or will be refused. Other writes leave the node's row as it is: see the
-- counter in 0001_presence.sql.
create or replace function rollcall_internal.apply(
  node uuid, arriving :ID_TYPE[], leaving :ID_TYPE[], write_number bigint, is_barrier boolean
)
returns table (
  seq bigint, user_id :ID_TYPE, username text, status text, groups text[], groups_before text[]
)
language plpgsql set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
declare
  known :ID_TYPE[];
  names text[];
  missing :ID_TYPE[] := '{}';
  is_readable boolean := true;
  ungrouped :ID_TYPE[] := '{}';
  overgrouped :ID_TYPE[] := '{}';
  moved :ID_TYPE[] := '{}';
  moved_names text[] := '{}';
  befores text[] := '{}';
begin
  perform rollcall_internal.require_lease(node);
  if is_barrier then
    update rollcall_internal.writes w set last = write_number where w.node_id = node and w.last < write_number;
  else
    perform from rollcall_internal.writes w where w.node_id = node and w.last <= write_number for share;
  end if;
  if not found then
    raise exception 'write % of node % was overtaken', write_number, node using errcode = 'RC002';
  end if;

  if cardinality(arriving) > 0 then
    begin
      select coalesce(array_agg(u.user_id), '{}'), coalesce(array_agg(u.username), '{}') into known, names
        from rollcall_internal.read_users(arriving) u;
      -- Not by their number: a view may have a user twice.
      missing := array(select unnest(arriving) except select unnest(known));
    exception when others or assert_failure or query_canceled then
      -- The table is locked, is being replaced, or is gone. Users that were seen before come in as they were.
      is_readable := false;
      raise warning 'cannot read the users table: %', sqlerrm;
      select coalesce(array_agg(p.user_id), '{}'), coalesce(array_agg(p.username), '{}') into known, names
        from rollcall_internal.presence p
       where p.user_id = any (arriving) and p.changed_at is not null;
      missing := array(select unnest(arriving) except select unnest(known));
    end;
    if cardinality(missing) > 0 then
      return query
        select null::bigint, m.id, null::text, case when is_readable then 'unknown' else 'deferred' end,
               null::text[], null::text[]
          from unnest(missing) m (id);
      -- A claim of a user who is gone is released like that of one who left.
      if is_readable then
        leaving := leaving || missing;
      end if;
    end if;
  end if;

  -- Without groups, a batch that only claims or only releases is locked in id order as it is written.
  if cardinality(known) > 0 and (:HAS_GROUPS or cardinality(leaving) > 0) then
    perform rollcall_internal.lock_presence(known, names, leaving);
  end if;
  if :HAS_GROUPS and cardinality(known) > 0 then
    begin
      select g.* into overgrouped, moved, moved_names, befores from rollcall_internal.group_users(known) g;
    exception when others or assert_failure or query_canceled then
      -- Nobody comes in. Users who are online stay in the groups that they have.
      raise warning 'cannot read the groups: %', sqlerrm;
      ungrouped := array(
        select p.user_id from rollcall_internal.presence p where p.user_id = any (known) and p.nodes = '{}'
      );
      return query select null::bigint, cast(null as :ID_TYPE), null::text, 'unreadable', null::text[], null::text[];
    end;
    missing := ungrouped || overgrouped;
    if cardinality(missing) > 0 then
      return query
        select null::bigint, m.id, null::text, case when m.id = any (ungrouped) then 'ungrouped' else 'overgrouped' end,
               null::text[], null::text[]
          from unnest(missing) m (id);
      delete from rollcall_internal.presence p
       where p.user_id = any (missing) and p.nodes = '{}' and p.changed_at is null and not p.copy_due;
      leaving := leaving || overgrouped;
      select coalesce(array_agg(k.id), '{}'), coalesce(array_agg(k.name), '{}') into known, names
        from unnest(known, names) k (id, name)
       where k.id <> all (missing);
    end if;
  end if;
  return query
    select * from rollcall_internal.write_claims(
      node, known, names, leaving, array[node], case when is_readable then :WRITE_COPY_MS else 0 end,
      moved, moved_names, befores
    );
end
$$;

-- Makes rows of presence for coming users without one, and locks them and the others, all in id order. Rows
-- that were locked first and made later would be locked out of order.
create or replace function rollcall_internal.lock_presence(coming :ID_TYPE[], names text[], going :ID_TYPE[])
returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  insert into rollcall_internal.presence as p (user_id, username)
  select distinct on (k.id) k.id, k.name
    from (
      select c.id, c.name from unnest(coming, names) as c (id, name)
      union all
      select q.user_id, q.username from rollcall_internal.presence q where q.user_id = any (going)
    ) k
   order by k.id
      -- Locks a row, and writes none.
      on conflict on constraint presence_pkey do update set username = p.username where false;
end
$$;

-- Adds `node` to the claims of `coming` users and removes `gone` nodes from those of `going` users, copies
-- the status of each user whose first claim came or last claim went, for at most `copy_ms`, and appends the
-- transitions, with those of `moved` users: see `group_users`.
-- Locks the users' rows of presence in id order: an index scan over an array visits the ids in order,
-- a bitmap scan would not. Where users come and go, the caller has locked the rows of both.
create or replace function rollcall_internal.write_claims(
  node uuid, coming :ID_TYPE[], names text[], going :ID_TYPE[], gone uuid[], copy_ms integer,
  moved :ID_TYPE[] default '{}', moved_names text[] default '{}', befores text[] default '{}'
)
returns table (
  seq bigint, user_id :ID_TYPE, username text, status text, groups text[], groups_before text[]
)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  arrived :ID_TYPE[] := '{}';
  arrived_names text[] := '{}';
  departed :ID_TYPE[] := '{}';
  departed_names text[] := '{}';
  -- Whether any of them has groups. Without groups, nothing is read for them.
  is_grouped boolean := cardinality(moved) > 0;
  any_grouped boolean;
begin
  if coalesce(cardinality(coming), 0) > 0 then
    with claimed as (
      insert into rollcall_internal.presence as p (user_id, username, nodes, changed_at)
      select distinct on (k.id) k.id, k.name, array[node], clock_timestamp()
        from unnest(coming, names) as k (id, name)
       order by k.id
          on conflict on constraint presence_pkey do update
             -- A new name of a user who is online is the sweep's to find, which notifies the nodes of it.
             set username = case when p.nodes = '{}' then excluded.username else p.username end,
                 nodes = p.nodes || node,
                 groups = case when :HAS_GROUPS or p.nodes <> '{}' then p.groups end,
                 changed_at = case when p.nodes = '{}' then excluded.changed_at else p.changed_at end
           where node <> all (p.nodes)
      returning p.user_id as id, p.username as name, cardinality(p.nodes) = 1 as is_first, p.groups is not null as is_grouped
    )
    select coalesce(array_agg(c.id order by c.id), '{}'), coalesce(array_agg(c.name order by c.id), '{}'),
           bool_or(c.is_grouped)
      into arrived, arrived_names, any_grouped
      from claimed c where c.is_first;
    is_grouped := is_grouped or coalesce(any_grouped, false);
  end if;

  if cardinality(going) > 0 then
    with released as (
      update rollcall_internal.presence p
         set nodes = case when cardinality(gone) = 1 then array_remove(p.nodes, gone[1])
                          else array(select unnest(p.nodes) except select unnest(gone)) end,
             changed_at = case when p.nodes <@ gone then clock_timestamp() else p.changed_at end
       where p.user_id = any (going) and p.nodes && gone
      returning p.user_id as id, p.username as name, p.nodes, p.groups is not null as is_grouped
    )
    select coalesce(array_agg(r.id order by r.id), '{}'), coalesce(array_agg(r.name order by r.id), '{}'),
           bool_or(r.is_grouped)
      into departed, departed_names, any_grouped
      from released r where r.nodes = '{}';
    is_grouped := is_grouped or coalesce(any_grouped, false);
  end if;

  if cardinality(arrived) + cardinality(departed) + cardinality(moved) > 0 then
    perform rollcall_internal.copy_in_time(arrived, departed, copy_ms);
    return query
      select a.*
        from (
          select array_agg(c.id order by c.id) as ids, array_agg(c.name order by c.id) as names,
                 array_agg(c.state order by c.id) as states, array_agg(c.before order by c.id) as befores
            from (
              select arrival.id, arrival.name, 'online' as state, null as before
                from unnest(arrived, arrived_names) as arrival (id, name)
              union all
              select departure.id, departure.name, 'offline', null
                from unnest(departed, departed_names) as departure (id, name)
              union all
              select move.id, move.name, 'online', move.before
                from unnest(moved, moved_names, befores) as move (id, name, before)
            ) c
        ) changed,
        rollcall_internal.append(changed.ids, changed.names, changed.states, is_grouped, changed.befores) a;
  end if;
end
$$;
