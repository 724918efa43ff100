-- The feed: transitions in commit order. Every transaction takes its locks in the same order: the node's
-- row, its row of writes, the queue of groups or the position of the sweep, rows of presence by user id, the
-- counter.

-- The newest seq.
create or replace view rollcall_internal.head as
select greatest(c.seq, (select max(f.seq) from rollcall_internal.feed f)) as seq
  from rollcall_internal.counter c;

-- Appends transitions to the feed in the given order and notifies every node of the new head. `is_grouped`: they
-- have the groups of presence, after a user came and before one went; `befores` has those of users who were
-- online before, as texts: see `group_users`.
-- With groups, those who only leave some come first, and one who leaves a group that somebody else comes into
-- leaves it first. So no two users meet in between who share no group before or after.
-- Locks the counter until the transaction ends, so it must be the last thing that a transaction does.
create or replace function rollcall_internal.append(
  ids :ID_TYPE[], names text[], states text[], is_grouped boolean, befores text[]
)
returns table (
  seq bigint, user_id :ID_TYPE, username text, status text, groups text[], groups_before text[]
)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  head bigint;
  sets text[];
begin
  if cardinality(ids) = 0 then
    return;
  end if;
  if is_grouped then
    with compared as (
      select c.id, c.name, c.state, c.position,
             case when c.state = 'online' then p.groups end as after,
             case when c.state = 'online' then cast(c.before as text[]) else p.groups end as before
        from unnest(ids, names, states, befores) with ordinality as c (id, name, state, before, position)
        join rollcall_internal.presence p on p.user_id = c.id
    ), moved as (
      select c.*, array(select unnest(c.before) except select unnest(c.after)) as lost,
             array(select unnest(c.after) except select unnest(c.before)) as gained
        from compared c
    ), parted as (
      -- Somebody comes into a group that this user leaves for another one.
      select m.*, cardinality(m.gained) > 0
                  and m.lost && array(select distinct unnest(other.gained) from moved other) as is_split,
             array(
               select kept.name from (select unnest(m.before) as name intersect select unnest(m.after)) kept
                order by kept.name collate "C"
             ) as common
        from moved m
    ), step as (
      select r.id, r.name, r.state, r.position, r.before, r.common as after, 0 as part
        from parted r where r.is_split
      union all
      select r.id, r.name, r.state, r.position, case when r.is_split then r.common else r.before end, r.after,
             case when cardinality(r.lost) > 0 and cardinality(r.gained) = 0 then 0 else 1 end
        from parted r
    )
    select array_agg(s.id order by s.part, s.position), array_agg(s.name order by s.part, s.position),
           array_agg(s.state order by s.part, s.position), array_agg(s.after::text order by s.part, s.position),
           array_agg(s.before::text order by s.part, s.position)
      into ids, names, states, sets, befores
      from step s;
  end if;
  perform from rollcall_internal.counter for update;
  select h.seq + cardinality(ids) into head from rollcall_internal.head h;
  return query
    insert into rollcall_internal.feed as f (seq, user_id, username, status, groups, groups_before)
    select head - cardinality(ids) + changed.position, changed.id, changed.name, changed.state,
           cast(changed.set as text[]), cast(changed.before as text[])
      from unnest(ids, names, states, sets, befores) with ordinality as changed (id, name, state, set, before, position)
    returning f.seq, f.user_id, f.username, f.status, f.groups, f.groups_before;
  perform pg_notify('rollcall', head::text);
end
$$;

-- Leaves a hole in the feed behind `beyond`. After a failover lost transitions that clients already have,
-- none gets one of their seqs again: the two could not be told apart. Two databases that each lost
-- something leave their holes at different places, hence the random part.
create or replace function rollcall_internal.skip_to(beyond bigint) returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  head bigint;
begin
  perform from rollcall_internal.counter for update;
  update rollcall_internal.counter c set seq = beyond + floor(random() * 1000000)::bigint
   where (select h.seq from rollcall_internal.head h) < beyond
  returning c.seq into head;
  if found then
    perform pg_notify('rollcall', head::text);
  end if;
end
$$;

-- Deletes at most `most` rows of the feed that are older than `keep_ms` or beyond the newest `keep_rows`.
-- Returns how many. One node prunes at a time; the others return 0 at once.
--
-- It reads hardly more than it deletes: from the last row that was deleted, because those before it are
-- still in the index while a transaction elsewhere is open, to the first one that stays.
create or replace function rollcall_internal.prune_feed(keep_rows bigint, keep_ms bigint, most integer) returns integer
language plpgsql set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
declare
  kept_from bigint;
  oldest record;
  first bigint;
  last bigint;
  pruned integer;
begin
  perform from rollcall_internal.locks l where l.name = 'prune' for update skip locked;
  if not found then
    return 0;
  end if;
  select c.pruned, h.seq - keep_rows into first, kept_from
    from rollcall_internal.counter c, rollcall_internal.head h;
  for oldest in
    select f.seq, f.at from rollcall_internal.feed f where f.seq > first order by f.seq limit most
  loop
    exit when oldest.seq > kept_from and oldest.at >= clock_timestamp() - keep_ms * interval '1 millisecond';
    last := oldest.seq;
  end loop;
  if last is null then
    return 0;
  end if;
  delete from rollcall_internal.feed f where f.seq > first and f.seq <= last;
  get diagnostics pruned = row_count;
  update rollcall_internal.counter c set pruned = last, seq = greatest(c.seq, last);
  return pruned;
end
$$;
