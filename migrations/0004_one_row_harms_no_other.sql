-- Whatever one row of users refuses (a trigger, a constraint, a lock), everybody else's presence goes on.
-- What is late, repeated or run at another isolation level changes nothing.

-- The newest write of each node. A write that was given up may still be on its way, and arrive after
-- the one that settled the matter; it is known by its number.
create table rollcall_internal.writes (
  node_id uuid primary key references rollcall_internal.nodes (id) on delete cascade,
  last bigint not null
);

-- Does the claims of some users whose rows the caller holds.
create function rollcall_internal.write_claims(node uuid, arriving integer[], leaving integer[], held integer[])
returns table (seq bigint, user_id integer, username text, status text)
language plpgsql as $$
begin
  insert into rollcall_internal.claims (user_id, node_id)
  select a.id, node from unnest(arriving) as a (id) join unnest(held) as h (id) using (id)
      on conflict do nothing;
  delete from rollcall_internal.claims c
   where c.node_id = node and c.user_id = any (leaving) and c.user_id = any (held);
  return query select * from rollcall_internal.settle(held);
end
$$;

drop function rollcall_internal.apply(uuid, integer[], integer[]);

-- Claims the arriving, releases the leaving. status: 'online' or 'offline' for a transition, 'unknown'
-- for an id that is no user, 'busy' for a user who could not be written now: the row is locked by
-- somebody else or refuses the change, or its deletion has not been told yet.
create function rollcall_internal.apply(node uuid, arriving integer[], leaving integer[], write_number bigint)
returns table (seq bigint, user_id integer, username text, status text)
language plpgsql as $$
declare
  held integer[];
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

  select coalesce(array_agg(missed.id), '{}') into busy
    from (select unnest(arriving || leaving) as id except select unnest(held)) missed
   where exists (select from users u where u.id = missed.id)
      or exists (select from rollcall_internal.deleted_users d where d.user_id = missed.id);

  delete from rollcall_internal.claims c
   where c.node_id = node and c.user_id = any (leaving)
     and c.user_id <> all (held) and c.user_id <> all (busy);
  return query
    select null::bigint, missed.id, null::text, case when b.id is null then 'unknown' else 'busy' end
      from (select unnest(arriving || leaving) as id except select unnest(held)) missed
      left join unnest(busy) as b (id) using (id);

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

-- Drops the claims that ended nodes hold on users whose rows the caller holds, and tells who went
-- offline by it. A row that refuses keeps its claims, and so is met again.
create function rollcall_internal.release(ended uuid[], held integer[])
returns table (seq bigint, user_id integer, username text, status text)
language plpgsql as $$
declare
  one integer;
begin
  begin
    delete from rollcall_internal.claims c where c.node_id = any (ended) and c.user_id = any (held);
    return query select * from rollcall_internal.settle(held);
    return;
  exception when others then
    -- Some row refuses. Found out below.
  end;
  foreach one in array held loop
    begin
      delete from rollcall_internal.claims c where c.node_id = any (ended) and c.user_id = one;
      return query select * from rollcall_internal.settle(array[one]);
    exception when others then
      raise warning 'cannot write the status of user %: %', one, sqlerrm;
    end;
  end loop;
end
$$;

-- Forgets what ended nodes hold on nobody, and the nodes that hold nothing more.
create function rollcall_internal.forget_nodes(ended uuid[]) returns void
language sql as $$
  delete from rollcall_internal.claims c
   where c.node_id = any (ended) and not exists (select from users u where u.id = c.user_id);
  delete from rollcall_internal.nodes n
   where n.id = any (ended) and not exists (select from rollcall_internal.claims c where c.node_id = n.id);
$$;

-- Releases up to `most` claims of nodes whose lease ended, and forgets nodes that claim nothing more.
create or replace function rollcall_internal.reap(most integer)
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
         and u.id not in (select d.user_id from rollcall_internal.deleted_users d)
       order by u.id
         for no key update skip locked
    ) locked;
  return query select * from rollcall_internal.release(ended, held);
  perform rollcall_internal.forget_nodes(ended);
end
$$;

-- Makes a node known, moves to it what its predecessor still claims, and puts right what is left from
-- nodes that ended and from whatever else wrote users.status. A node that comes back does not reap:
-- after an outage that was longer than a lease the others are about to come back as well.
create or replace function rollcall_internal.join_node(node uuid, lease_ms integer, predecessor uuid, most integer)
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

  if predecessor is null then
    return query select * from rollcall_internal.reap(most);
  end if;
  return query select * from rollcall_internal.forget_deleted(most);

  select coalesce(array_agg(locked.id), '{}') into held
    from (
      select u.id from users u
       where u.status = 'online'
         and not exists (select from rollcall_internal.claims c where c.user_id = u.id)
         and u.id not in (select d.user_id from rollcall_internal.deleted_users d)
       order by u.id
         for no key update skip locked
    ) locked;
  return query select * from rollcall_internal.release('{}', held);
end
$$;

drop function rollcall_internal.heartbeat(uuid, integer, integer, bigint, bigint, integer);

-- Renews the lease, and nothing else: no fault of anything else may cost a node its lease.
create function rollcall_internal.renew(node uuid, lease_ms integer) returns void
language plpgsql as $$
begin
  update rollcall_internal.nodes n
     set expires_at = clock_timestamp() + lease_ms * interval '1 millisecond'
   where n.id = node and n.expires_at > clock_timestamp() and not n.leaving;
  if not found then
    raise exception 'node % holds no lease', node using errcode = 'RC001';
  end if;
end
$$;

-- Prunes at most `prune` rows of the feed that are too old or too many. Returns how many went.
create function rollcall_internal.prune(keep_rows bigint, keep_ms bigint, prune integer) returns integer
language plpgsql as $$
declare
  last bigint;
  pruned integer;
begin
  -- One node prunes at a time, and looks at the oldest rows alone.
  if not pg_try_advisory_xact_lock(hashtext('rollcall.prune')) then
    return 0;
  end if;
  select max(oldest.seq) into last
    from (select f.seq, f.at from rollcall_internal.feed f order by f.seq limit prune) oldest
   where oldest.seq <= (select c.seq from rollcall_internal.counter c) - keep_rows
      or oldest.at < clock_timestamp() - keep_ms * interval '1 millisecond';
  delete from rollcall_internal.feed f where f.seq <= last;
  get diagnostics pruned = row_count;
  return pruned;
end
$$;

-- Ends a node. If others live its claims wait for its users to reappear there; if not, everything that
-- was waiting so becomes offline at once, since nobody is left to see a return or the end of the wait.
-- Rows that are locked or refuse stay as they are, for the next node that starts.
create or replace function rollcall_internal.leave_node(node uuid, handover_ms integer)
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
         for no key update skip locked
    ) locked;
  return query select * from rollcall_internal.release(gone, held);
  perform rollcall_internal.forget_nodes(gone);
  update rollcall_internal.nodes n
     set leaving = true, expires_at = clock_timestamp()
   where n.id = any (gone);
end
$$;

-- Emptying the table deletes its users too.
create function rollcall_internal.note_all_deleted() returns trigger
language plpgsql security definer set search_path = pg_catalog as $$
begin
  insert into rollcall_internal.deleted_users (user_id)
  select distinct c.user_id from rollcall_internal.claims c
      on conflict do nothing;
  return null;
end
$$;

create trigger rollcall_note_all_deleted
  after truncate on users
  for each statement execute function rollcall_internal.note_all_deleted();

-- Another id is another user: the old one is gone, and the new one was never seen.
create function rollcall_internal.note_changed_id() returns trigger
language plpgsql security definer set search_path = pg_catalog as $$
begin
  if old.status = 'online' then
    insert into rollcall_internal.deleted_users (user_id) values (old.id)
        on conflict do nothing;
  end if;
  new.status := 'offline';
  return new;
end
$$;

create trigger rollcall_note_changed_id
  before update of id on users
  for each row when (new.id is distinct from old.id)
  execute function rollcall_internal.note_changed_id();
