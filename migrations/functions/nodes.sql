-- Nodes and their leases.

-- Makes a node known, moves to it what its predecessor still claims, and puts right what is left from
-- nodes that ended and from whatever else wrote users.status. After an outage that was longer than a
-- lease the others are about to come back: a node that comes back reaps nobody, and a new one nobody
-- whose lease ended less than a lease ago. If they do not, somebody's next tidying does.
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
    return query select * from rollcall_internal.sweep(most, lease_ms);
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

-- Renews the lease, and nothing else: no fault of anything else may cost a node its lease.
create or replace function rollcall_internal.renew(node uuid, lease_ms integer) returns void
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

-- Releases up to `most` claims of nodes whose lease ended, and forgets nodes that claim nothing more.
create or replace function rollcall_internal.sweep(most integer, spared_ms integer default 0)
returns table (seq bigint, user_id integer, username text, status text)
language plpgsql as $$
declare
  ended uuid[];
  held integer[];
begin
  select array_agg(locked.id) into ended
    from (
      select n.id from rollcall_internal.nodes n
       where n.expires_at <= clock_timestamp() - case when n.leaving then 0 else spared_ms end * interval '1 millisecond'
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

-- Forgets what ended nodes hold on nobody, and the nodes that hold nothing more.
create or replace function rollcall_internal.forget_nodes(ended uuid[]) returns void
language sql as $$
  delete from rollcall_internal.claims c
   where c.node_id = any (ended) and not exists (select from users u where u.id = c.user_id);
  delete from rollcall_internal.nodes n
   where n.id = any (ended) and not exists (select from rollcall_internal.claims c where c.node_id = n.id);
$$;
