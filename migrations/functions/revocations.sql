-- Revocations: requests to all nodes to disconnect a user, or every connection that was opened with one token.

-- Adds a revocation, and notifies all nodes. Exactly one of the two arguments is null.
-- The id contains the time, because a node skips ids that it has read: if the database loses its newest
-- revocations, the next one must not reuse one of their ids.
-- Locks: an advisory lock until commit, so that ids become visible in their order and no reader misses one.
-- Returns: the id.
create or replace function rollcall_internal.revoke(user_id integer, token_id text) returns bigint
language plpgsql as $$
declare
  new_id bigint;
begin
  perform pg_advisory_xact_lock(hashtext('rollcall_internal.revoke'));
  insert into rollcall_internal.revocations (id, user_id, token_id)
  select greatest(coalesce(max(r.id), 0) + 1, (extract(epoch from clock_timestamp()) * 1000000)::bigint),
         revoke.user_id, revoke.token_id
    from rollcall_internal.revocations r
  returning id into new_id;
  perform pg_notify('rollcall', 'revoked');
  return new_id;
end
$$;

-- Deletes revocations that are older than keep_ms. The newest one stays, so that no id is used twice.
create or replace function rollcall_internal.prune_revocations(keep_ms bigint) returns void
language sql as $$
  delete from rollcall_internal.revocations r
   where r.at < clock_timestamp() - keep_ms * interval '1 millisecond'
     and r.id < (select max(id) from rollcall_internal.revocations);
$$;
