-- Leaves a hole in the feed. After transitions were lost that clients had been told of, none gets a seq
-- of theirs again: nobody could tell the two apart.
create function rollcall_internal.move_on(beyond bigint) returns void
language plpgsql as $$
begin
  update rollcall_internal.counter c set seq = beyond where c.seq < beyond;
  if found then
    perform pg_notify('rollcall', beyond::text);
  end if;
end
$$;
