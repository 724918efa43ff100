-- Nodes and their leases.

-- Raises RC001 unless the node holds a lease, and keeps it from being swept until the transaction ends.
create or replace function rollcall_internal.require_lease(node uuid) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  perform from rollcall_internal.nodes n
    where n.id = node and n.expires_at > clock_timestamp()
      for key share;
  if not found then
    raise exception 'node % holds no lease', node using errcode = 'RC001';
  end if;
end
$$;

-- Makes a node known. With a predecessor (the node's own id before it was fenced), its claims move to the
-- node. Without one, nodes whose lease ended more than a lease ago are swept: after an outage longer than
-- a lease the others are about to come back, and until then only a later sweep may release their claims.
create or replace function rollcall_internal.join_node(
  node uuid, lease_ms integer, heartbeat_ms integer, predecessor uuid, most integer, host text, pid integer
)
returns table (
  seq bigint, user_id :ID_TYPE, username text, status text, groups text[], groups_before text[]
)
language plpgsql set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
begin
  insert into rollcall_internal.nodes (id, expires_at, heartbeat_ms, host, pid)
  values (node, clock_timestamp() + lease_ms * interval '1 millisecond', heartbeat_ms, host, pid);
  insert into rollcall_internal.writes (node_id, last) values (node, 0);

  if predecessor is null then
    return query select * from rollcall_internal.sweep_nodes(node, most, lease_ms);
    return;
  end if;
  perform from rollcall_internal.nodes n where n.id = predecessor for update;
  perform from rollcall_internal.presence p
    where p.nodes <> '{}' and predecessor = any (p.nodes)
    order by p.user_id for update;
  update rollcall_internal.presence p set nodes = array_replace(p.nodes, predecessor, node)
   where p.nodes <> '{}' and predecessor = any (p.nodes);
  delete from rollcall_internal.nodes n where n.id = predecessor;
end
$$;

-- Renews the lease, and notes what the node reports of itself. It does nothing else: no fault of anything
-- else may cost a node its lease.
create or replace function rollcall_internal.renew(node uuid, lease_ms integer, connections integer, cordoned boolean)
returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  update rollcall_internal.nodes n
     set expires_at = clock_timestamp() + lease_ms * interval '1 millisecond', renewed_at = clock_timestamp(),
         connections = renew.connections, cordoned = renew.cordoned
   where n.id = node and n.expires_at > clock_timestamp() and not n.leaving;
  if not found then
    raise exception 'node % holds no lease', node using errcode = 'RC001';
  end if;
end
$$;

-- Ends a node. If other nodes live, its claims count for `handover_ms` more, so that users who reappear
-- there cause no transition. If none lives, every claim is released now, because no node is left to see a
-- return or the end of the wait.
--
-- A node lives if it has renewed its lease within two of its heartbeats: one that was killed a moment ago
-- has a lease, but will not sweep. A database that stood still kept every node from renewing, also this
-- one, so the time after this node's own next heartbeat was due does not count.
create or replace function rollcall_internal.leave_node(node uuid, handover_ms integer)
returns table (
  seq bigint, user_id :ID_TYPE, username text, status text, groups text[], groups_before text[]
)
language plpgsql set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
declare
  gone uuid[];
  counted timestamptz;
begin
  -- Two nodes that leave together must not each count on the other.
  perform from rollcall_internal.locks l where l.name = 'leave' for update;
  counted := least(clock_timestamp(), (
    select n.renewed_at + n.heartbeat_ms * interval '1 millisecond' from rollcall_internal.nodes n where n.id = node
  ));
  if exists (select from rollcall_internal.nodes n
              where n.id <> node and not n.leaving
                and n.renewed_at > counted - 2 * n.heartbeat_ms * interval '1 millisecond') then
    update rollcall_internal.nodes n
       set leaving = true, expires_at = clock_timestamp() + handover_ms * interval '1 millisecond'
     where n.id = node;
    return;
  end if;

  select array_agg(locked.id) into gone
    from (select n.id from rollcall_internal.nodes n order by n.id for update) locked;
  -- No node is left to copy later what does not fit, so there is more time for it.
  return query select * from rollcall_internal.release(gone, null, :LEAVE_COPY_MS);
end
$$;

-- Releases up to `most` claims of nodes whose lease ended, and forgets nodes that hold no more claims.
-- The caller's own lease is checked in the same transaction: a sweep that executes late, after a pause of
-- the database, must not take everybody offline. Nodes that did not leave count for `spared_ms` longer.
create or replace function rollcall_internal.sweep_nodes(node uuid, most integer, spared_ms integer default 0)
returns table (
  seq bigint, user_id :ID_TYPE, username text, status text, groups text[], groups_before text[]
)
language plpgsql set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
declare
  gone uuid[];
begin
  perform rollcall_internal.require_lease(node);
  select array_agg(locked.id) into gone
    from (
      select n.id from rollcall_internal.nodes n
       where n.expires_at <= clock_timestamp() - case when n.leaving then 0 else spared_ms end * interval '1 millisecond'
       order by n.id
         for update skip locked
    ) locked;
  if gone is not null then
    return query select * from rollcall_internal.release(gone, most, :WRITE_COPY_MS);
  end if;
end
$$;

-- Releases up to `most` claims of nodes whose rows the caller holds; null for all of them. A node that
-- holds no more claims is forgotten. A row 'more' without a seq says that some are left. Reads all users
-- who are online: a dead node is rare.
--
-- A sweep holds the rows of many users, and other nodes write some of them. So it waits for no row while it
-- holds another: rows that are locked come last, and one at a time.
create or replace function rollcall_internal.release(gone uuid[], most integer, copy_ms integer)
returns table (
  seq bigint, user_id :ID_TYPE, username text, status text, groups text[], groups_before text[]
)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  held :ID_TYPE[];
begin
  if most is null then
    held := array(
      select p.user_id from rollcall_internal.presence p where p.nodes <> '{}' and p.nodes && gone order by p.user_id
    );
  else
    held := array(
      select p.user_id from rollcall_internal.presence p
       where p.nodes <> '{}' and p.nodes && gone
       order by p.user_id limit most
         for update skip locked
    );
    if cardinality(held) = 0 then
      held := rollcall_internal.wait_for_claim(gone);
    end if;
  end if;
  return query select * from rollcall_internal.write_claims(null, null, null, held, gone, copy_ms);
  if held is not null and exists (select from rollcall_internal.presence p where p.nodes <> '{}' and p.nodes && gone) then
    return query select null::bigint, cast(null as :ID_TYPE), null::text, 'more', null::text[], null::text[];
    return;
  end if;
  delete from rollcall_internal.nodes n
   where n.id = any (gone)
     and not exists (select from rollcall_internal.presence p where p.nodes <> '{}' and n.id = any (p.nodes));
end
$$;

-- Locks a claim of these nodes, for which it waits a short time. Returns its user, an empty array if there
-- is none any more, and null if the time is over.
create or replace function rollcall_internal.wait_for_claim(gone uuid[]) returns :ID_TYPE[]
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = ':SWEEP_LOCK_MS' as $$
begin
  return array(
    select p.user_id from rollcall_internal.presence p
     where p.nodes <> '{}' and p.nodes && gone
     order by p.user_id limit 1
       for update
  );
exception when lock_not_available then
  return null;
end
$$;
