-- Orders to disconnect.

-- The clock is in the id, because nodes pass over an id that they have read: after the newest orders
-- were lost, the next one must not get one of theirs.
create or replace function rollcall_internal.revoke(user_id integer, token_id text) returns bigint
language plpgsql as $$
declare
  given bigint;
begin
  perform pg_advisory_xact_lock(hashtext('rollcall_internal.revoke'));
  insert into rollcall_internal.revocations (id, user_id, token_id)
  select greatest(coalesce(max(o.id), 0) + 1, (extract(epoch from clock_timestamp()) * 1000000)::bigint),
         revoke.user_id, revoke.token_id
    from rollcall_internal.revocations o
  returning id into given;
  perform pg_notify('rollcall', 'revoked');
  return given;
end
$$;

-- The newest order stays, so that ids are never used twice.
create or replace function rollcall_internal.forget_revocations(keep_ms bigint) returns void
language sql as $$
  delete from rollcall_internal.revocations o
   where o.at < clock_timestamp() - keep_ms * interval '1 millisecond'
     and o.id < (select max(id) from rollcall_internal.revocations);
$$;
