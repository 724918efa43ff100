-- The functions that decide transitions. Each is called in a transaction of its own, at READ COMMITTED, where
-- every statement sees what was committed before it began.

-- Writes one batch of a node: claims the arriving users, and releases the leaving ones.
-- Locks: the node's row (key share), then the user rows by id, then the counter, until commit. It skips user rows
-- that are locked already: a row that the application keeps locked must not delay the presence of others.
-- Returns: rows with status 'online' or 'offline' are transitions. 'unknown' means there is no such user. 'busy' means
-- nothing was written for the user, and the caller must retry: the row is locked, or it rejects the update, or its
-- deletion is not in the feed yet.
-- Raises: RC001 if the node holds no lease, RC002 if a later write of the node came first. Then nothing was written.
--
-- A connection keeps the query plans for as long as it lives, and may have made them when the tables were nearly
-- empty. They must not read whole tables. So each statement names its ids in one array, which an index can serve,
-- and sequential scans are off. Before Postgres 18, a plan under "enable_seqscan = off" would be compiled at each call;
-- "jit = off" prevents it.
create or replace function rollcall_internal.apply(node uuid, arriving integer[], leaving integer[], write_number bigint)
returns table (seq bigint, user_id integer, username text, status text)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
declare
  locked_ids integer[];
  skipped integer[];
  busy integer[];
  single_id integer;
begin
  perform from rollcall_internal.nodes n
    where n.id = node and n.expires_at > clock_timestamp()
      for key share;
  if not found then
    raise exception 'node % holds no lease', node using errcode = 'RC001';
  end if;
  insert into rollcall_internal.writes as w (node_id, last) values (node, write_number)
      on conflict (node_id) do update set last = excluded.last where w.last < excluded.last;
  if not found then
    raise exception 'write % of node % was superseded', write_number, node using errcode = 'RC002';
  end if;

  select coalesce(array_agg(locked.id), '{}') into locked_ids
    from (
      select u.id from users u
       where u.id = any (arriving || leaving)
       order by u.id
         for no key update skip locked
    ) locked
   where locked.id not in (select d.user_id from rollcall_internal.deleted_users d);

  select array_agg(s.id) into skipped
    from (select unnest(arriving || leaving) as id except select unnest(locked_ids)) s;
  if skipped is not null then
    select coalesce(array_agg(s.id), '{}') into busy
      from unnest(skipped) as s (id)
     where exists (select from users u where u.id = s.id)
        or exists (select from rollcall_internal.deleted_users d where d.user_id = s.id);
    -- A user that does not exist keeps no claims.
    delete from rollcall_internal.claims c
     where c.node_id = node
       and c.user_id = any (array(
         (select unnest(leaving) intersect select unnest(skipped)) except select unnest(busy)
       ));
    return query
      select null::bigint, s.id, null::text, case when b.id is null then 'unknown' else 'busy' end
        from unnest(skipped) as s (id)
        left join unnest(busy) as b (id) using (id);
  end if;

  begin
    return query select * from rollcall_internal.write_claims(node, arriving, leaving, locked_ids);
    return;
  exception when others then
    -- One of the rows rejects its update. The loop below writes each user alone, so that the others go through.
  end;
  foreach single_id in array locked_ids loop
    begin
      return query select * from rollcall_internal.write_claims(node, arriving, leaving, array[single_id]);
    exception when others then
      raise warning 'cannot write the status of user %: %', single_id, sqlerrm;
      return query select null::bigint, single_id, null::text, 'busy';
    end;
  end loop;
end
$$;

-- Writes the claims of those users in a batch whose rows the caller has locked.
-- Returns: the transitions.
create or replace function rollcall_internal.write_claims(node uuid, arriving integer[], leaving integer[], locked_ids integer[])
returns table (seq bigint, user_id integer, username text, status text)
language plpgsql as $$
declare
  claimed integer[] := array(select unnest(arriving) intersect select unnest(locked_ids));
  released integer[] := array(select unnest(leaving) intersect select unnest(locked_ids));
begin
  insert into rollcall_internal.claims (user_id, node_id)
  select a.id, node from unnest(claimed) as a (id)
      on conflict do nothing;
  delete from rollcall_internal.claims c where c.node_id = node and c.user_id = any (released);
  return query select * from rollcall_internal.flip_status(locked_ids);
end
$$;

-- Deletes the claims that ended nodes hold on users whose rows the caller has locked. If a row rejects its update,
-- the claims on that user stay, and the next sweep tries again.
-- Returns: the transitions.
-- Its settings have the same reason as those of apply().
create or replace function rollcall_internal.release(ended uuid[], locked_ids integer[])
returns table (seq bigint, user_id integer, username text, status text)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
declare
  single_id integer;
begin
  begin
    delete from rollcall_internal.claims c where c.node_id = any (ended) and c.user_id = any (locked_ids);
    return query select * from rollcall_internal.flip_status(locked_ids);
    return;
  exception when others then
    -- One of the rows rejects its update. The loop below writes each user alone, so that the others go through.
  end;
  foreach single_id in array locked_ids loop
    begin
      delete from rollcall_internal.claims c where c.node_id = any (ended) and c.user_id = single_id;
      return query select * from rollcall_internal.flip_status(array[single_id]);
    exception when others then
      raise warning 'cannot write the status of user %: %', single_id, sqlerrm;
    end;
  end loop;
end
$$;

-- Sets users.status to what the claims say, and appends each change to the feed. The caller has locked the user rows.
-- Locks: the counter, until commit.
-- Returns: the transitions.
-- Raises: an exception if a trigger of the application suppresses an update. Then nothing was written.
create or replace function rollcall_internal.flip_status(user_ids integer[])
returns table (seq bigint, user_id integer, username text, status text)
language plpgsql as $$
declare
  ids integer[];
  names text[];
  statuses text[];
  online_ids integer[];
  offline_ids integer[];
  online_count integer;
  offline_count integer;
begin
  select array_agg(changed.id order by changed.id),
         array_agg(changed.name order by changed.id),
         array_agg(case when changed.is_claimed then 'online' else 'offline' end order by changed.id),
         coalesce(array_agg(changed.id) filter (where changed.is_claimed), '{}'),
         coalesce(array_agg(changed.id) filter (where not changed.is_claimed), '{}')
    into ids, names, statuses, online_ids, offline_ids
    from (
      select u.id, coalesce(u.username, '') as name, coalesce(u.status, 'offline') = 'online' as is_online,
             u.id in (
               select c.user_id from rollcall_internal.claims c where c.user_id = any (user_ids)
             ) as is_claimed
        from users u
       where u.id = any (user_ids)
      offset 0
    ) changed
   where changed.is_online <> changed.is_claimed;
  if ids is null then
    return;
  end if;

  update users u set status = 'online', status_changed_at = clock_timestamp() where u.id = any (online_ids);
  get diagnostics online_count = row_count;
  update users u set status = 'offline', status_changed_at = clock_timestamp() where u.id = any (offline_ids);
  get diagnostics offline_count = row_count;
  if online_count + offline_count <> cardinality(ids) then
    raise exception 'a trigger suppressed the update';
  end if;
  return query select * from rollcall_internal.append(ids, names, statuses);
end
$$;
