-- The sweep finds what no event reports: users who were deleted or renamed, and copies of the status that
-- something else overwrote. It reads the application's table in slices, and one node sweeps at a time.

-- Whether to sweep: false if a node of the cluster began a sweep within `pause_ms`, or is in one. A clock
-- that was set back does not stop the sweeps.
create or replace function rollcall_internal.begin_sweep(pause_ms integer) returns boolean
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform from rollcall_internal.sweep_position s
    where s.swept_at not between clock_timestamp() - pause_ms * interval '1 millisecond' and clock_timestamp()
      for update skip locked;
  if not found then
    return false;
  end if;
  update rollcall_internal.sweep_position set swept_at = clock_timestamp();
  return true;
end
$$;

-- One slice of each pass. Takes users offline whose rows are gone, takes over new names, and marks copies
-- that are wrong. Returns the transitions. Does nothing if another node sweeps, or if the users table
-- cannot be read: a table that is being replaced does not make its users disappear.
create or replace function rollcall_internal.sweep_users(node uuid, most integer)
returns table (
  seq bigint, user_id :ID_TYPE, username text, status text, groups text[], groups_before text[]
)
language plpgsql set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
declare
  place rollcall_internal.sweep_position;
  ids :ID_TYPE[];
  gone :ID_TYPE[];
begin
  select * into place from rollcall_internal.sweep_position for update skip locked;
  if not found then
    return;
  end if;
  perform rollcall_internal.require_lease(node);

  begin
    ids := array(
      select p.user_id from rollcall_internal.presence p
       where p.nodes <> '{}' and (place.online_after is null or p.user_id > place.online_after)
       order by p.user_id limit most
    );
    gone := rollcall_internal.compare_users(ids);
    place.online_after := case when cardinality(ids) = most then ids[most] end;

    ids := array(
      select p.user_id from rollcall_internal.presence p
       where place.seen_after is null or p.user_id > place.seen_after
       order by p.user_id limit most
    );
    gone := gone || rollcall_internal.compare_users(ids);
    place.seen_after := case when cardinality(ids) = most then ids[most] end;
  exception when others or assert_failure or query_canceled then
    raise warning 'cannot read the users table: %', sqlerrm;
    return;
  end;
  -- On its own: without the status column, users can be deleted all the same.
  begin
    if :HAS_STATUS then
      place.users_after := rollcall_internal.compare_copies(place.users_after, most);
    end if;
  exception when others or assert_failure or query_canceled then
    raise warning 'cannot read the copies of the status: %', sqlerrm;
  end;
  update rollcall_internal.sweep_position
     set online_after = place.online_after, seen_after = place.seen_after, users_after = place.users_after;
  if cardinality(gone) > 0 then
    return query select * from rollcall_internal.forget_users(gone);
  end if;
end
$$;

-- Compares users of presence with the users table. New names are taken over, and notified if a user with
-- one is online. Copies that differ are marked. Returns the ids that are not in the table.
create or replace function rollcall_internal.compare_users(ids :ID_TYPE[]) returns :ID_TYPE[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  found_ids :ID_TYPE[];
  found_names text[];
  is_renamed boolean;
begin
  if cardinality(ids) = 0 then
    return '{}';
  end if;
  select coalesce(array_agg(u.user_id), '{}'), coalesce(array_agg(u.username), '{}') into found_ids, found_names
    from rollcall_internal.read_users(ids) u;
  with renamed as (
    update rollcall_internal.presence p set username = given.name
      from (
        select f.id, f.name from unnest(found_ids, found_names) as f (id, name)
          join rollcall_internal.presence q on q.user_id = f.id and q.username <> f.name
         order by f.id
           for update of q skip locked
      ) given
     where p.user_id = given.id
    returning p.nodes
  )
  select coalesce(bool_or(r.nodes <> '{}'), false) into is_renamed from renamed r;
  if is_renamed then
    perform pg_notify('rollcall', 'renamed');
  end if;
  return array(select unnest(ids) except select unnest(found_ids));
end
$$;

-- Takes users offline who are not in the users table, and forgets them. Read again under the lock of
-- their rows, because a user may have been made again and come online since. A later pass finds those
-- whose rows are locked: others must not wait for the rows that this transaction holds.
create or replace function rollcall_internal.forget_users(ids :ID_TYPE[])
returns table (
  seq bigint, user_id :ID_TYPE, username text, status text, groups text[], groups_before text[]
)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  gone :ID_TYPE[];
begin
  gone := array(
    select p.user_id from rollcall_internal.presence p
     where p.user_id = any (ids)
     order by p.user_id
       for update skip locked
  );
  begin
    gone := array(select unnest(gone) except select u.user_id from rollcall_internal.read_users(gone) u);
  exception when others or assert_failure or query_canceled then
    return;
  end;
  return query select * from rollcall_internal.write_claims(
    null, null, null, gone,
    array(select distinct unnest(p.nodes) from rollcall_internal.presence p where p.user_id = any (gone)), 0
  );
  delete from rollcall_internal.presence p where p.user_id = any (gone) and p.nodes = '{}';
end
$$;

-- Compares a slice of the users table with presence and marks the copies that are wrong, also those of
-- users that were never online. Returns the id after which the next slice starts, null for the first.
create or replace function rollcall_internal.compare_copies(after :ID_TYPE, most integer) returns :ID_TYPE
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = ':USERS_READ_LOCK_MS' set row_security = off as $$
declare
  ids :ID_TYPE[];
  names text[];
  states text[];
begin
  -- See users.sql.
  set local search_path to default;
  select pg_catalog.array_agg(slice.id order by slice.id), pg_catalog.array_agg(slice.name order by slice.id),
         pg_catalog.array_agg(slice.state order by slice.id)
    into ids, names, states
    from (
      select :ONE_ROW_EACH cast(u.:USER_ID as :ID_TYPE) as id,
             pg_catalog.left(cast(u.:USER_NAME as pg_catalog.text), :NAME_MAX) as name,
             coalesce(cast(u.:STATUS as pg_catalog.text), '') as state
        from :USERS u
       where u.:USER_ID is not null and (after is null or u.:USER_ID operator(pg_catalog.>) after)
       order by u.:USER_ID limit most
    ) slice;
  set local search_path = pg_catalog, pg_temp;
  insert into rollcall_internal.presence as p (user_id, username, copy_due)
  select wrong.id, coalesce(wrong.name, ''), true
    from (
      select distinct on (f.id) f.id, f.name
        from unnest(ids, names, states) as f (id, name, state)
        left join rollcall_internal.presence q on q.user_id = f.id
       where f.state <> case when coalesce(q.nodes, '{}') <> '{}' then 'online' else 'offline' end
       order by f.id
      offset 0
    ) wrong
      on conflict on constraint presence_pkey do update set copy_due = true where not p.copy_due;
  return case when cardinality(ids) = most then ids[most] end;
end
$$;

-- Writes up to `most` copies that are due, within a second. Returns the users whose copies are right now,
-- or who have no row, with the moment of the status that was copied: `copies_done` forgets the debt unless
-- the status has changed since. Two transactions, because rows of presence are not locked while a row of
-- the application may have to be waited for; only a read of groups waits under them, and briefly.
create or replace function rollcall_internal.copy_due(node uuid, most integer)
returns table (user_id :ID_TYPE, changed_at timestamptz)
language plpgsql set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
declare
  place :ID_TYPE;
  ids :ID_TYPE[];
  moments timestamptz[];
  online :ID_TYPE[];
  offline :ID_TYPE[];
  due :ID_TYPE[];
begin
  if not :HAS_STATUS then
    return;
  end if;
  select s.due_after into place from rollcall_internal.sweep_position s for update skip locked;
  if not found then
    return;
  end if;
  perform rollcall_internal.require_lease(node);
  -- In any order: rows that are slow to refuse must not be the first ones each time.
  select coalesce(array_agg(d.user_id), '{}'), coalesce(array_agg(d.changed_at), '{}'),
         coalesce(array_agg(d.user_id order by random()) filter (where d.is_online), '{}'),
         coalesce(array_agg(d.user_id order by random()) filter (where not d.is_online), '{}')
    into ids, moments, online, offline
    from (
      select p.user_id, p.changed_at, p.nodes <> '{}' as is_online from rollcall_internal.presence p
       where p.copy_due and (place is null or p.user_id > place)
       order by p.user_id limit most
    ) d;
  update rollcall_internal.sweep_position set due_after = case when cardinality(ids) = most then ids[most] end;
  if cardinality(ids) = 0 then
    return;
  end if;
  due := rollcall_internal.copy_status(online, '{}', :SWEEP_COPY_MS / 2) || rollcall_internal.copy_status('{}', offline, :SWEEP_COPY_MS / 2);
  if cardinality(due) > 0 then
    begin
      due := array(select u.user_id from rollcall_internal.read_users(due) u);
    exception when others or assert_failure or query_canceled then
      -- Not readable: all of them stay due.
    end;
  end if;
  return query
    select w.id, w.moment from unnest(ids, moments) as w (id, moment)
     where w.id not in (select unnest(due));
end
$$;

-- Forgets that copies are due, unless the status has changed since it was copied, or the row is locked.
-- Users that were never online leave no row behind.
create or replace function rollcall_internal.copies_done(ids :ID_TYPE[], moments timestamptz[]) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  with done as (
    select p.user_id as id from rollcall_internal.presence p
      join unnest(ids, moments) as d (id, moment) on d.id = p.user_id and d.moment is not distinct from p.changed_at
     where p.copy_due
     order by p.user_id
       for update of p skip locked
  )
  update rollcall_internal.presence p set copy_due = false from done where p.user_id = done.id;
  delete from rollcall_internal.presence p
   where p.user_id = any (ids) and p.changed_at is null and not p.copy_due;
end
$$;
