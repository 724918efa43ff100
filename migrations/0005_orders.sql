-- Orders to disconnect a user, or whoever came with a token. Nodes read them in the order of their ids.
create table rollcall_internal.orders (
  id bigint primary key,
  user_id integer,
  token_id text,
  at timestamptz not null default clock_timestamp(),
  check ((user_id is null) <> (token_id is null))
);

-- One at a time, so that ids become visible in their order and no reader passes one over.
create function rollcall_internal.give_order(user_id integer, token_id text) returns bigint
language plpgsql as $$
declare
  given bigint;
begin
  perform pg_advisory_xact_lock(hashtext('rollcall_internal.give_order'));
  insert into rollcall_internal.orders (id, user_id, token_id)
  select coalesce(max(o.id), 0) + 1, give_order.user_id, give_order.token_id
    from rollcall_internal.orders o
  returning id into given;
  perform pg_notify('rollcall', 'ordered');
  return given;
end
$$;

-- The newest order stays, so that ids are never used twice.
create function rollcall_internal.forget_orders(keep_ms bigint) returns void
language sql as $$
  delete from rollcall_internal.orders o
   where o.at < clock_timestamp() - keep_ms * interval '1 millisecond'
     and o.id < (select max(id) from rollcall_internal.orders);
$$;
