-- Nodes and their leases.

-- Adds a node under a new lease. The claims of its predecessor, if it has one, move to it. Then it sets users
-- offline that nobody claims: users of nodes whose lease has ended, deleted users, and users whose status
-- something else wrote.
-- After an outage that was longer than a lease, the other nodes are about to come back. So a node that comes back
-- itself sweeps no other node, and a new node sweeps only nodes whose lease ended at least one lease ago. Nodes that
-- do not come back are left to the next periodic sweep.
-- Locks: the predecessor's row, those that sweep() locks, and the user rows; it skips rows that are locked already.
-- Returns: the transitions.
create or replace function rollcall_internal.join_node(node uuid, lease_ms integer, predecessor uuid, max_users integer)
returns table (seq bigint, user_id integer, username text, status text)
language plpgsql as $$
declare
  locked_ids integer[];
begin
  insert into rollcall_internal.nodes (id, expires_at)
  values (node, clock_timestamp() + lease_ms * interval '1 millisecond');

  perform from rollcall_internal.nodes n where n.id = predecessor for update;
  update rollcall_internal.claims c set node_id = node where c.node_id = predecessor;
  delete from rollcall_internal.nodes n where n.id = predecessor;

  if predecessor is null then
    return query select * from rollcall_internal.sweep(max_users, lease_ms);
  end if;
  return query select * from rollcall_internal.release_deleted_users(max_users);

  select coalesce(array_agg(locked.id), '{}') into locked_ids
    from (
      select u.id from users u
       where u.status = 'online'
         and not exists (select from rollcall_internal.claims c where c.user_id = u.id)
         and u.id not in (select d.user_id from rollcall_internal.deleted_users d)
       order by u.id
         for no key update skip locked
    ) locked;
  return query select * from rollcall_internal.release('{}', locked_ids);
end
$$;

-- Renews a node's lease, and does nothing else: a fault in other work must not cost a node its lease.
-- Locks: the node's row.
-- Raises: RC001 if the lease has ended or the node is leaving.
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

-- Ends a node. If another node is running, the claims stay for handover_ms, so that users can reconnect there
-- without a transition. If none is running, no node would see them reconnect or would sweep them later: the users of
-- this node, and of all others that ended or are leaving, go offline now.
-- Locks: an advisory lock until commit, the rows of the ending nodes, and their users' rows. User rows that are locked
-- already, or that reject the update, keep their status until the next node starts.
-- Returns: the transitions.
create or replace function rollcall_internal.leave_node(node uuid, handover_ms integer)
returns table (seq bigint, user_id integer, username text, status text)
language plpgsql as $$
declare
  ending uuid[];
  locked_ids integer[];
begin
  -- Two nodes that leave at the same time must not each take the other for a running node.
  perform pg_advisory_xact_lock(hashtext('rollcall_internal.leave_node'));
  if exists (select from rollcall_internal.nodes n
              where n.id <> node and not n.leaving and n.expires_at > clock_timestamp()) then
    update rollcall_internal.nodes n
       set leaving = true, expires_at = clock_timestamp() + handover_ms * interval '1 millisecond'
     where n.id = node;
    return;
  end if;

  select array_agg(locked.id) into ending
    from (
      select n.id from rollcall_internal.nodes n
       where n.id = node or n.leaving or n.expires_at <= clock_timestamp()
       order by n.id
         for update
    ) locked;
  select coalesce(array_agg(locked.id), '{}') into locked_ids
    from (
      select u.id from users u
       where u.id in (select c.user_id from rollcall_internal.claims c where c.node_id = any (ending))
       order by u.id
         for no key update skip locked
    ) locked;
  return query select * from rollcall_internal.release(ending, locked_ids);
  perform rollcall_internal.delete_nodes(ending);
  update rollcall_internal.nodes n
     set leaving = true, expires_at = clock_timestamp()
   where n.id = any (ending);
end
$$;

-- Releases the claims that ended nodes hold on at most max_users users, and deletes the nodes that then hold none.
-- A node has ended when its lease has. With ended_for_ms, only nodes count whose lease ended at least that long ago;
-- nodes that left are not coming back, and always count.
-- Locks: the rows of ended nodes, then their users' rows; it skips rows that are locked already.
-- Returns: the transitions.
create or replace function rollcall_internal.sweep(max_users integer, ended_for_ms integer default 0)
returns table (seq bigint, user_id integer, username text, status text)
language plpgsql as $$
declare
  ended uuid[];
  locked_ids integer[];
begin
  select array_agg(locked.id) into ended
    from (
      select n.id from rollcall_internal.nodes n
       where n.expires_at <= clock_timestamp() - case when n.leaving then 0 else ended_for_ms end * interval '1 millisecond'
       order by n.id
         for update skip locked
    ) locked;
  if ended is null then
    return;
  end if;

  select coalesce(array_agg(locked.id), '{}') into locked_ids
    from (
      select u.id from users u
       where u.id in (select c.user_id from rollcall_internal.claims c where c.node_id = any (ended) limit max_users)
         and u.id not in (select d.user_id from rollcall_internal.deleted_users d)
       order by u.id
         for no key update skip locked
    ) locked;
  return query select * from rollcall_internal.release(ended, locked_ids);
  perform rollcall_internal.delete_nodes(ended);
end
$$;

-- Deletes the claims that ended nodes hold on users that do not exist, then those of the nodes that hold no claim.
-- The caller holds the locks of the node rows.
create or replace function rollcall_internal.delete_nodes(ended uuid[]) returns void
language sql as $$
  delete from rollcall_internal.claims c
   where c.node_id = any (ended) and not exists (select from users u where u.id = c.user_id);
  delete from rollcall_internal.nodes n
   where n.id = any (ended) and not exists (select from rollcall_internal.claims c where c.node_id = n.id);
$$;
