-- The functions that decide transitions. Each is called in a transaction of its own, at READ
-- COMMITTED, where every statement sees what was committed before it began. Locks are taken in one
-- order everywhere: node row, user rows by id, counter.

-- Appends transitions to the feed, in the order given, and tells everybody how far it reaches now.
create function rollcall_internal.append(ids integer[], names text[], states text[])
returns table (seq bigint, user_id integer, username text, status text)
language plpgsql as $$
declare
  head bigint;
begin
  update rollcall_internal.counter c set seq = c.seq + cardinality(ids) returning c.seq into head;
  return query
    insert into rollcall_internal.feed as f (seq, user_id, username, status)
    select head - cardinality(ids) + changed.position, changed.id, changed.name, changed.state
      from unnest(ids, names, states) with ordinality as changed (id, name, state, position)
    returning f.seq, f.user_id, f.username, f.status;
  perform pg_notify('rollcall', head::text);
end
$$;

-- Makes users.status agree with the claims and tells of every change. The caller holds the user rows.
create function rollcall_internal.settle(user_ids integer[])
returns table (seq bigint, user_id integer, username text, status text)
language plpgsql as $$
declare
  ids integer[];
  names text[];
  states text[];
begin
  with truth as (
    select t.id,
           case when exists (select from rollcall_internal.claims c where c.user_id = t.id)
                then 'online' else 'offline' end as state
      from unnest(user_ids) as t (id)
  ), flipped as (
    update users u
       set status = truth.state, status_changed_at = clock_timestamp()
      from truth
     where u.id = truth.id and coalesce(u.status, 'offline') <> truth.state
    returning u.id, u.username, truth.state
  )
  select array_agg(f.id order by f.id),
         array_agg(coalesce(f.username, '') order by f.id),
         array_agg(f.state order by f.id)
    into ids, names, states
    from flipped f;
  if ids is not null then
    return query select * from rollcall_internal.append(ids, names, states);
  end if;
end
$$;

-- Tells that deleted users went offline and drops their claims. Whoever still holds a connection of
-- theirs hears it, claims again, and learns that there is no such user.
create function rollcall_internal.forget_deleted(most integer)
returns table (seq bigint, user_id integer, username text, status text)
language plpgsql as $$
declare
  ids integer[];
begin
  with gone as (
    delete from rollcall_internal.deleted_users d
     where d.user_id in (
       select waiting.user_id from rollcall_internal.deleted_users waiting
        order by waiting.user_id
        limit most
          for update skip locked
     )
    returning d.user_id
  )
  select array_agg(gone.user_id order by gone.user_id) into ids from gone;
  if ids is null then
    return;
  end if;
  delete from rollcall_internal.claims c where c.user_id = any (ids);
  return query
    select * from rollcall_internal.append(
      ids, array_fill(''::text, array[cardinality(ids)]), array_fill('offline'::text, array[cardinality(ids)])
    );
end
$$;

-- Claims the arriving, releases the leaving. status: 'online' or 'offline' for a transition,
-- 'unknown' for an id that is no user, 'busy' for a user whose row somebody else has locked, or whose
-- deletion has not been told yet.
create function rollcall_internal.apply(node uuid, arriving integer[], leaving integer[])
returns table (seq bigint, user_id integer, username text, status text)
language plpgsql as $$
declare
  held integer[];
  busy integer[];
begin
  perform from rollcall_internal.nodes n
    where n.id = node and n.expires_at > clock_timestamp()
      for key share;
  if not found then
    raise exception 'node % holds no lease', node using errcode = 'RC001';
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

  select coalesce(array_agg(missed.id), '{}') into busy
    from (select unnest(arriving || leaving) as id except select unnest(held)) missed
   where exists (select from users u where u.id = missed.id)
      or exists (select from rollcall_internal.deleted_users d where d.user_id = missed.id);

  insert into rollcall_internal.claims (user_id, node_id)
  select a.id, node from unnest(arriving) as a (id) join unnest(held) as h (id) using (id)
      on conflict do nothing;
  delete from rollcall_internal.claims c
   where c.node_id = node and c.user_id = any (leaving) and c.user_id <> all (busy);

  return query
    select null::bigint, missed.id, null::text, case when b.id is null then 'unknown' else 'busy' end
      from (select unnest(arriving || leaving) as id except select unnest(held)) missed
      left join unnest(busy) as b (id) using (id);
  return query select * from rollcall_internal.settle(held);
end
$$;

-- Releases up to `most` claims of nodes whose lease ended, and forgets nodes that claim nothing more.
create function rollcall_internal.reap(most integer)
returns table (seq bigint, user_id integer, username text, status text)
language plpgsql as $$
declare
  ended uuid[];
  held integer[];
begin
  select array_agg(locked.id) into ended
    from (
      select n.id from rollcall_internal.nodes n
       where n.expires_at <= clock_timestamp()
       order by n.id
         for update skip locked
    ) locked;
  if ended is null then
    return;
  end if;

  select coalesce(array_agg(locked.id), '{}') into held
    from (
      select u.id from users u
       where u.id in (select c.user_id from rollcall_internal.claims c where c.node_id = any (ended) limit most)
       order by u.id
         for no key update skip locked
    ) locked;
  delete from rollcall_internal.claims c
   where c.node_id = any (ended)
     and (c.user_id = any (held) or not exists (select from users u where u.id = c.user_id));
  delete from rollcall_internal.nodes n
   where n.id = any (ended)
     and not exists (select from rollcall_internal.claims c where c.node_id = n.id);
  return query select * from rollcall_internal.settle(held);
end
$$;

-- Makes a node known, moves to it what its predecessor still claims, and puts right what is left
-- from nodes that ended and from whatever else wrote users.status.
create function rollcall_internal.join_node(node uuid, lease_ms integer, predecessor uuid, most integer)
returns table (seq bigint, user_id integer, username text, status text)
language plpgsql as $$
declare
  held integer[];
begin
  insert into rollcall_internal.nodes (id, expires_at)
  values (node, clock_timestamp() + lease_ms * interval '1 millisecond');

  perform from rollcall_internal.nodes n where n.id = predecessor for update;
  update rollcall_internal.claims c set node_id = node where c.node_id = predecessor;
  delete from rollcall_internal.nodes n where n.id = predecessor;

  return query select * from rollcall_internal.forget_deleted(most);
  return query select * from rollcall_internal.reap(most);

  select coalesce(array_agg(locked.id), '{}') into held
    from (
      select u.id from users u
       where u.status = 'online'
         and not exists (select from rollcall_internal.claims c where c.user_id = u.id)
       order by u.id
         for no key update skip locked
    ) locked;
  return query select * from rollcall_internal.settle(held);
end
$$;

-- Renews the lease, reaps, and prunes at most `prune` rows of the feed that are too old or too many.
create function rollcall_internal.heartbeat(
  node uuid, lease_ms integer, most integer, keep_rows bigint, keep_ms bigint, prune integer
)
returns table (seq bigint, user_id integer, username text, status text)
language plpgsql as $$
declare
  last bigint;
begin
  update rollcall_internal.nodes n
     set expires_at = clock_timestamp() + lease_ms * interval '1 millisecond'
   where n.id = node and n.expires_at > clock_timestamp() and not n.leaving;
  if not found then
    raise exception 'node % holds no lease', node using errcode = 'RC001';
  end if;

  -- One node prunes at a time, and looks at the oldest rows alone.
  if pg_try_advisory_xact_lock(hashtext('rollcall.prune')) then
    select max(oldest.seq) into last
      from (select f.seq, f.at from rollcall_internal.feed f order by f.seq limit prune) oldest
     where oldest.seq <= (select c.seq from rollcall_internal.counter c) - keep_rows
        or oldest.at < clock_timestamp() - keep_ms * interval '1 millisecond';
    delete from rollcall_internal.feed f where f.seq <= last;
  end if;
  return query select * from rollcall_internal.forget_deleted(most);
  return query select * from rollcall_internal.reap(most);
end
$$;

-- Ends a node. If others live its claims wait for its users to reappear there; if not, everything that
-- was waiting so becomes offline at once, since nobody is left to see a return or the end of the wait.
create function rollcall_internal.leave_node(node uuid, handover_ms integer)
returns table (seq bigint, user_id integer, username text, status text)
language plpgsql as $$
declare
  gone uuid[];
  held integer[];
begin
  -- Two nodes that leave together must not each count on the other.
  perform pg_advisory_xact_lock(hashtext('rollcall_internal.leave_node'));
  if exists (select from rollcall_internal.nodes n
              where n.id <> node and not n.leaving and n.expires_at > clock_timestamp()) then
    update rollcall_internal.nodes n
       set leaving = true, expires_at = clock_timestamp() + handover_ms * interval '1 millisecond'
     where n.id = node;
    return;
  end if;

  select array_agg(locked.id) into gone
    from (
      select n.id from rollcall_internal.nodes n
       where n.id = node or n.leaving or n.expires_at <= clock_timestamp()
       order by n.id
         for update
    ) locked;
  select coalesce(array_agg(locked.id), '{}') into held
    from (
      select u.id from users u
       where u.id in (select c.user_id from rollcall_internal.claims c where c.node_id = any (gone))
       order by u.id
         for no key update
    ) locked;
  delete from rollcall_internal.claims c where c.node_id = any (gone);
  delete from rollcall_internal.nodes n where n.id = any (gone);
  return query select * from rollcall_internal.settle(held);
end
$$;
