-- The feed: transitions in commit order. Locks are taken in one order everywhere: node row, user rows
-- by id, counter.

-- Appends transitions to the feed, in the order given, and tells everybody how far it reaches now.
create or replace function rollcall_internal.append(ids integer[], names text[], states text[])
returns table (seq bigint, user_id integer, username text, status text)
language plpgsql as $$
declare
  head bigint;
begin
  update rollcall_internal.counter c set seq = c.seq + cardinality(ids) returning c.seq into head;
  return query
    insert into rollcall_internal.feed as f (seq, user_id, username, status)
    select head - cardinality(ids) + changed.position, changed.id, changed.name, changed.state
      from unnest(ids, names, states) with ordinality as changed (id, name, state, position)
    returning f.seq, f.user_id, f.username, f.status;
  perform pg_notify('rollcall', head::text);
end
$$;

-- Leaves a hole in the feed. After transitions were lost that clients had been told of, none gets a seq
-- of theirs again: nobody could tell the two apart. For the same reason no two databases, of which each
-- lost something, leave it at the same place.
create or replace function rollcall_internal.skip_to(beyond bigint) returns void
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

-- Prunes at most `prune` rows of the feed that are too old or too many. Returns how many went.
create or replace function rollcall_internal.prune(keep_rows bigint, keep_ms bigint, prune integer) returns integer
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
