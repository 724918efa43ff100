-- The functions that decide transitions. Each is called in a transaction of its own, at READ
-- COMMITTED, where every statement sees what was committed before it began.

-- Claims the arriving, releases the leaving. status: 'online' or 'offline' for a transition, 'unknown'
-- for an id that is no user, 'busy' for a user who could not be written now: the row is locked by
-- somebody else or refuses the change, or its deletion has not been told yet.
-- Its plans are kept for as long as a connection lives, perhaps from when the tables were nearly empty,
-- and must not read a table as a whole: each statement names its ids in one array, which is the condition
-- of an index. Without "jit = off" Postgres before 18 would compile such a plan at each call.
create or replace function rollcall_internal.apply(node uuid, arriving integer[], leaving integer[], write_number bigint)
returns table (seq bigint, user_id integer, username text, status text)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
declare
  held integer[];
  missed integer[];
  busy integer[];
  one integer;
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
    raise exception 'write % of node % was overtaken', write_number, node using errcode = 'RC002';
  end if;

  -- A row that the application keeps locked must not hold up everybody else's presence.
  select coalesce(array_agg(locked.id), '{}') into held
    from (
      select u.id from users u
       where u.id = any (arriving || leaving)
       order by u.id
         for no key update skip locked
    ) locked
   where locked.id not in (select d.user_id from rollcall_internal.deleted_users d);

  select array_agg(m.id) into missed
    from (select unnest(arriving || leaving) as id except select unnest(held)) m;
  if missed is not null then
    select coalesce(array_agg(m.id), '{}') into busy
      from unnest(missed) as m (id)
     where exists (select from users u where u.id = m.id)
        or exists (select from rollcall_internal.deleted_users d where d.user_id = m.id);
    -- Of users that are gone nothing is kept.
    delete from rollcall_internal.claims c
     where c.node_id = node
       and c.user_id = any (array(
         (select unnest(leaving) intersect select unnest(missed)) except select unnest(busy)
       ));
    return query
      select null::bigint, m.id, null::text, case when b.id is null then 'unknown' else 'busy' end
        from unnest(missed) as m (id)
        left join unnest(busy) as b (id) using (id);
  end if;

  begin
    return query select * from rollcall_internal.write_claims(node, arriving, leaving, held);
    return;
  exception when others then
    -- Some row refuses. Found out below.
  end;
  foreach one in array held loop
    begin
      return query select * from rollcall_internal.write_claims(node, arriving, leaving, array[one]);
    exception when others then
      raise warning 'cannot write the status of user %: %', one, sqlerrm;
      return query select null::bigint, one, null::text, 'busy';
    end;
  end loop;
end
$$;

-- Does the claims of some users whose rows the caller holds.
create or replace function rollcall_internal.write_claims(node uuid, arriving integer[], leaving integer[], held integer[])
returns table (seq bigint, user_id integer, username text, status text)
language plpgsql as $$
declare
  coming integer[] := array(select unnest(arriving) intersect select unnest(held));
  going integer[] := array(select unnest(leaving) intersect select unnest(held));
begin
  insert into rollcall_internal.claims (user_id, node_id)
  select a.id, node from unnest(coming) as a (id)
      on conflict do nothing;
  delete from rollcall_internal.claims c where c.node_id = node and c.user_id = any (going);
  return query select * from rollcall_internal.flip_status(held);
end
$$;

-- Drops the claims that ended nodes hold on users whose rows the caller holds, and tells who went
-- offline by it. A row that refuses keeps its claims, and so is met again.
-- Its plans are kept for as long as a connection lives, perhaps from when the tables were nearly empty,
-- and must not read a table as a whole: each statement names its ids in one array, which is the condition
-- of an index. Without "jit = off" Postgres before 18 would compile such a plan at each call.
create or replace function rollcall_internal.release(ended uuid[], held integer[])
returns table (seq bigint, user_id integer, username text, status text)
language plpgsql set plan_cache_mode = force_generic_plan set enable_seqscan = off set jit = off as $$
declare
  one integer;
begin
  begin
    delete from rollcall_internal.claims c where c.node_id = any (ended) and c.user_id = any (held);
    return query select * from rollcall_internal.flip_status(held);
    return;
  exception when others then
    -- Some row refuses. Found out below.
  end;
  foreach one in array held loop
    begin
      delete from rollcall_internal.claims c where c.node_id = any (ended) and c.user_id = one;
      return query select * from rollcall_internal.flip_status(array[one]);
    exception when others then
      raise warning 'cannot write the status of user %: %', one, sqlerrm;
    end;
  end loop;
end
$$;

-- Makes users.status agree with the claims and tells of every change. The caller holds the user rows.
create or replace function rollcall_internal.flip_status(user_ids integer[])
returns table (seq bigint, user_id integer, username text, status text)
language plpgsql as $$
declare
  ids integer[];
  names text[];
  states text[];
  arrivals integer[];
  departures integer[];
  came integer;
  went integer;
begin
  select array_agg(changed.id order by changed.id),
         array_agg(changed.name order by changed.id),
         array_agg(case when changed.is_claimed then 'online' else 'offline' end order by changed.id),
         coalesce(array_agg(changed.id) filter (where changed.is_claimed), '{}'),
         coalesce(array_agg(changed.id) filter (where not changed.is_claimed), '{}')
    into ids, names, states, arrivals, departures
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

  update users u set status = 'online', status_changed_at = clock_timestamp() where u.id = any (arrivals);
  get diagnostics came = row_count;
  update users u set status = 'offline', status_changed_at = clock_timestamp() where u.id = any (departures);
  get diagnostics went = row_count;
  if came + went <> cardinality(ids) then
    raise exception 'a trigger keeps the row as it is';
  end if;
  return query select * from rollcall_internal.append(ids, names, states);
end
$$;
