-- Leaves a hole in the feed. After transitions were lost that clients had been told of, none gets a seq
-- of theirs again: nobody could tell the two apart. For the same reason no two databases, of which each
-- lost something, leave it at the same place.
create function rollcall_internal.move_on(beyond bigint) returns void
language plpgsql as $$
declare
  head bigint;
begin
  update rollcall_internal.counter c set seq = beyond + floor(random() * 1000000)::bigint
   where c.seq < beyond
  returning c.seq into head;
  if found then
    perform pg_notify('rollcall', head::text);
  end if;
end
$$;

-- The clock is in the id, because nodes pass over an id that they have read: after the newest orders
-- were lost, the next one must not get one of theirs.
create or replace function rollcall_internal.give_order(user_id integer, token_id text) returns bigint
language plpgsql as $$
declare
  given bigint;
begin
  perform pg_advisory_xact_lock(hashtext('rollcall_internal.give_order'));
  insert into rollcall_internal.orders (id, user_id, token_id)
  select greatest(coalesce(max(o.id), 0) + 1, (extract(epoch from clock_timestamp()) * 1000000)::bigint),
         give_order.user_id, give_order.token_id
    from rollcall_internal.orders o
  returning id into given;
  perform pg_notify('rollcall', 'ordered');
  return given;
end
$$;
