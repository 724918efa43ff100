-- The feed: transitions in commit order.
--
-- Every transaction takes its locks in one order: node rows, then user rows by id, then the counter.

-- Appends transitions to the feed in the given order, and notifies all nodes of the new head.
-- Locks: the counter, until commit.
-- Returns: the transitions with their seq.
create or replace function rollcall_internal.append(ids integer[], names text[], statuses text[])
returns table (seq bigint, user_id integer, username text, status text)
language plpgsql as $$
declare
  head bigint;
begin
  update rollcall_internal.counter c set seq = c.seq + cardinality(ids) returning c.seq into head;
  return query
    insert into rollcall_internal.feed as f (seq, user_id, username, status)
    select head - cardinality(ids) + changed.position, changed.id, changed.name, changed.status
      from unnest(ids, names, statuses) with ordinality as changed (id, name, status, position)
    returning f.seq, f.user_id, f.username, f.status;
  perform pg_notify('rollcall', head::text);
end
$$;

-- Moves the counter past a seq, which leaves a hole in the feed. Called when the database lost transitions that
-- clients had received: a new transition with the seq of a lost one could not be told apart from it. The hole has
-- a random size, so that two databases that each lost transitions do not continue at the same seq.
-- Does nothing if the counter has already reached the seq.
-- Locks: the counter, until commit.
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

-- Deletes the oldest rows of the feed: those older than keep_ms, and those beyond the newest keep_rows. Reads and
-- deletes at most max_rows rows.
-- Locks: an advisory lock until commit, so that one node prunes at a time. A node that does not get it does nothing.
-- Returns: the number of deleted rows.
create or replace function rollcall_internal.prune_feed(keep_rows bigint, keep_ms bigint, max_rows integer) returns integer
language plpgsql as $$
declare
  last bigint;
  deleted integer;
begin
  if not pg_try_advisory_xact_lock(hashtext('rollcall.prune')) then
    return 0;
  end if;
  select max(oldest.seq) into last
    from (select f.seq, f.at from rollcall_internal.feed f order by f.seq limit max_rows) oldest
   where oldest.seq <= (select c.seq from rollcall_internal.counter c) - keep_rows
      or oldest.at < clock_timestamp() - keep_ms * interval '1 millisecond';
  delete from rollcall_internal.feed f where f.seq <= last;
  get diagnostics deleted = row_count;
  return deleted;
end
$$;
