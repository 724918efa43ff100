-- Revocations: users and tokens that an administrator disconnected.

-- Adds a revocation and notifies every node. The clock is in the id, because nodes skip ids that they have
-- read: after a failover lost the newest revocations, the next one must not get one of their ids.
--
-- Each node ends the grace of the user. A node that has left cannot do that, so its claim is released here.
create or replace function rollcall_internal.revoke(user_id :ID_TYPE, token_id text) returns bigint
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  given bigint;
  left_nodes uuid[] := array(select n.id from rollcall_internal.nodes n where n.leaving);
begin
  -- Ids become visible in order.
  perform from rollcall_internal.locks l where l.name = 'revoke' for update;
  insert into rollcall_internal.revocations (id, user_id, token_id)
  select greatest(coalesce(max(r.id), 0) + 1, (extract(epoch from clock_timestamp()) * 1000000)::bigint),
         revoke.user_id, revoke.token_id
    from rollcall_internal.revocations r
  returning id into given;
  perform pg_notify('rollcall', 'revoked');
  if user_id is not null and cardinality(left_nodes) > 0 then
    perform from rollcall_internal.write_claims(null, null, null, array[user_id], left_nodes, :WRITE_COPY_MS);
  end if;
  return given;
end
$$;

-- Deletes revocations older than `keep_ms`, which it finds by their ids: no id is before its own time. The
-- newest stays, so that no id is used twice. now() does not change in a statement, as an index needs it.
create or replace function rollcall_internal.prune_revocations(keep_ms bigint) returns void
language sql set search_path = pg_catalog, pg_temp set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
  delete from rollcall_internal.revocations r
   where r.id < least(
     (extract(epoch from now() - keep_ms * interval '1 millisecond') * 1000000)::bigint,
     (select max(newest.id) from rollcall_internal.revocations newest)
   );
$$;
