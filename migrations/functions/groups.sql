-- Groups: who sees whom. The functions that name the application's groups. Placeholders beside those of
-- users.sql, whose rules for statements that touch the application's objects hold here too:
--   :HAS_GROUPS     whether groups are configured; without them, everybody sees everybody
--   :GROUPS         the table or view with the columns user_id and group_id, quoted
--   :GROUPS_MAX     groups that a user may be in
--   :GROUP_ID_MAX   characters of a group's id
--   :GROUPS_CUT, :GROUP_ID_CUT  one more of each: enough to know that there are too many
--   :NAMED_TYPE     the type of the ids that an application names
--
-- A read of groups that is older than another one must not win. So whoever writes the groups of a user first
-- locks the user's row of presence, then reads, in a statement of its own.

-- The groups in the users' tokens, in the form of a table of the application.
create or replace view rollcall_internal.token_memberships as
select t.user_id, g.group_id from rollcall_internal.token_groups t, unnest(t.groups) g (group_id);

-- The groups of each of these users, sorted, each once. `is_over`: they are too many, or an id is too long.
-- Without groups: null. Raises if they cannot be read in time. Reads with an empty array too: the caller
-- learns whether it could.
create or replace function rollcall_internal.read_groups(ids :ID_TYPE[])
returns table (user_id :ID_TYPE, groups text[], is_over boolean)
language plpgsql
set search_path = pg_catalog, pg_temp set lock_timeout = ':USERS_READ_LOCK_MS' set row_security = off as $$
declare
  members :ID_TYPE[];
  names text[];
begin
  if not :HAS_GROUPS then
    return query select distinct i.id, null::text[], false from unnest(ids) i (id);
    return;
  end if;
  -- See users.sql. One group and one character beyond the bounds are enough to know that there are too many.
  set local search_path to default;
  select pg_catalog.array_agg(r.id), pg_catalog.array_agg(r.name) into members, names
    from (
      select d.id, d.name, pg_catalog.row_number() over (partition by d.id order by d.name) as n
        from (
          select distinct cast(g.user_id as :ID_TYPE) as id,
                 pg_catalog.left(cast(g.group_id as pg_catalog.text), :GROUP_ID_CUT) collate pg_catalog."C" as name
            from :GROUPS g
           where g.user_id operator(pg_catalog.=) any (ids) and g.group_id is not null
        ) d
    ) r
   where r.n operator(pg_catalog.<=) :GROUPS_CUT;
  set local search_path = pg_catalog, pg_temp;
  return query
    select i.id, coalesce(array_agg(m.name order by m.name collate "C") filter (where m.name is not null), '{}'),
           count(m.name) > :GROUPS_MAX or coalesce(bool_or(length(m.name) > :GROUP_ID_MAX), false)
      from (select distinct unnest(ids) as id) i
      left join unnest(members, names) as m (id, name) on m.id = i.id
     group by i.id;
end
$$;

-- Which of these users exist, with their groups. Raises if either cannot be read.
create or replace function rollcall_internal.find_users(ids :ID_TYPE[])
returns table (user_id :ID_TYPE, groups text[], is_over boolean)
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  return query
    select g.user_id, g.groups, g.is_over
      from rollcall_internal.read_groups(array(select distinct u.user_id from rollcall_internal.read_users(ids) u)) g;
end
$$;

-- Reads the groups of users whose rows of presence the caller has locked, and writes those that differ.
-- Returns the users who are in too many, for whom nothing is written, and those who are online in other
-- groups now, with those until now. Each of these sets is a text, because Postgres has no arrays of arrays of
-- different lengths. Raises if the groups cannot be read.
create or replace function rollcall_internal.group_users(
  ids :ID_TYPE[], out overgrouped :ID_TYPE[], out moved :ID_TYPE[], out names text[], out befores text[]
)
language plpgsql set search_path = pg_catalog, pg_temp as $$
begin
  with compared as (
    select p.user_id as id, p.username as name, p.nodes <> '{}' as is_online, p.groups as before, g.groups as after,
           g.is_over
      from rollcall_internal.presence p
      join rollcall_internal.read_groups(ids) g on g.user_id = p.user_id
     where p.user_id = any (ids) and (g.is_over or g.groups is distinct from p.groups)
  ), written as (
    update rollcall_internal.presence p set groups = c.after
      from compared c
     where p.user_id = any (ids) and p.user_id = c.id and not c.is_over
  )
  select coalesce(array_agg(c.id) filter (where c.is_over), '{}'),
         coalesce(array_agg(c.id) filter (where c.is_online and not c.is_over), '{}'),
         coalesce(array_agg(c.name) filter (where c.is_online and not c.is_over), '{}'),
         coalesce(array_agg(c.before::text) filter (where c.is_online and not c.is_over), '{}')
    into overgrouped, moved, names, befores
    from compared c;
end
$$;

-- Compares the groups of online users whose rows of presence the caller has locked, and appends the
-- transitions. Those in too many groups go offline; their nodes write them again, and are told why not.
-- A row 'unreadable' alone: the groups cannot be read, and nothing changed.
create or replace function rollcall_internal.regroup_locked(held :ID_TYPE[])
returns table (
  seq bigint, user_id :ID_TYPE, username text, status text, groups text[], groups_before text[]
)
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  overgrouped :ID_TYPE[];
  moved :ID_TYPE[];
  names text[];
  befores text[];
begin
  begin
    select g.* into overgrouped, moved, names, befores from rollcall_internal.group_users(held) g;
  exception when others or assert_failure or query_canceled then
    raise warning 'cannot read the groups: %', sqlerrm;
    return query select null::bigint, cast(null as :ID_TYPE), null::text, 'unreadable', null::text[], null::text[];
    return;
  end;
  return query select * from rollcall_internal.write_claims(
    null, null, null, overgrouped,
    array(select distinct unnest(p.nodes) from rollcall_internal.presence p where p.user_id = any (overgrouped)),
    :WRITE_COPY_MS, moved, names, befores
  );
end
$$;

-- Compares up to `most` of the users that the application named. A row 'more': some are left. Other nodes
-- take other rows of the queue meanwhile.
create or replace function rollcall_internal.regroup(node uuid, most integer)
returns table (
  seq bigint, user_id :ID_TYPE, username text, status text, groups text[], groups_before text[]
)
language plpgsql set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
declare
  due record;
  part :ID_TYPE[];
  ids :ID_TYPE[] := '{}';
  finished bigint[] := '{}';
  begun bigint;
  is_readable boolean := true;
  one record;
begin
  perform rollcall_internal.require_lease(node);
  for due in
    select d.id, d.ids, d.done from rollcall_internal.groups_due d order by d.id limit most for update skip locked
  loop
    part := due.ids[due.done + 1 : due.done + most - cardinality(ids)];
    ids := ids || part;
    if due.done + cardinality(part) < cardinality(due.ids) then
      begun := due.id;
    else
      finished := finished || due.id;
    end if;
    exit when cardinality(ids) >= most;
  end loop;
  if cardinality(finished) = 0 and begun is null then
    return;
  end if;

  perform rollcall_internal.wait_for_writes();
  for one in
    select r.* from rollcall_internal.regroup_locked(array(
      select p.user_id from rollcall_internal.presence p
       where p.user_id = any (ids) and p.nodes <> '{}'
       order by p.user_id for update
    )) r
  loop
    is_readable := is_readable and one.status <> 'unreadable';
    return query select one.seq, one.user_id, one.username, one.status, one.groups, one.groups_before;
  end loop;
  -- They stay due until the groups can be read. A sweep asks again.
  if is_readable then
    delete from rollcall_internal.groups_due d where d.id = any (finished);
    update rollcall_internal.groups_due d set done = d.done + cardinality(part) where d.id = begun;
    if cardinality(ids) >= most or cardinality(finished) >= most then
      return query select null::bigint, cast(null as :ID_TYPE), null::text, 'more', null::text[], null::text[];
    end if;
  end if;
end
$$;

-- Waits for the writes of all nodes that are under way. They may have read the groups before the application
-- changed them, for users who seem to be offline as long as the write is not committed. Each lock is given
-- back at once: no write may wait for another node's.
create or replace function rollcall_internal.wait_for_writes() returns void
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = ':REGROUP_LOCK_MS' as $$
declare
  node uuid;
begin
  for node in select w.node_id from rollcall_internal.writes w order by w.node_id loop
    begin
      perform from rollcall_internal.writes w where w.node_id = node for update;
      raise exception 'unlock' using errcode = 'RC003';
    -- A write that takes too long is not waited for. What it may have missed is the sweep's to find.
    exception when sqlstate 'RC003' or lock_not_available then
    end;
  end loop;
end
$$;

-- How many slices of `most` users each sweep compares, so that eight sweeps compare all who are online.
create or replace function rollcall_internal.count_group_slices(most integer) returns bigint
language sql stable set search_path = pg_catalog, pg_temp as $$
  select case
           when :HAS_GROUPS then (
             select 1 + count(*) / (8 * most) from rollcall_internal.presence p where p.nodes <> '{}'
           )
           else (select s.has_groups::integer from rollcall_internal.sweep_position s)
         end;
$$;

-- Compares the groups of a slice of the users who are online. Without groups: takes away those that users
-- have from a time with groups.
create or replace function rollcall_internal.sweep_groups(node uuid, most integer)
returns table (
  seq bigint, user_id :ID_TYPE, username text, status text, groups text[], groups_before text[]
)
language plpgsql set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_custom_plan set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
declare
  place rollcall_internal.sweep_position;
  ids :ID_TYPE[];
  differing :ID_TYPE[];
begin
  select * into place from rollcall_internal.sweep_position for update skip locked;
  if not found then
    return;
  end if;
  perform rollcall_internal.require_lease(node);
  ids := array(
    select p.user_id from rollcall_internal.presence p
     where p.nodes <> '{}' and (:HAS_GROUPS or p.groups is not null)
       and (place.groups_after is null or p.user_id > place.groups_after)
     order by p.user_id limit most
  );
  begin
    -- Without locks: most users have the groups that they had.
    differing := array(
      select p.user_id from rollcall_internal.presence p
        join rollcall_internal.read_groups(ids) g on g.user_id = p.user_id
       where p.user_id = any (ids) and (g.is_over or g.groups is distinct from p.groups)
    );
  exception when others or assert_failure or query_canceled then
    raise warning 'cannot read the groups: %', sqlerrm;
    return query select null::bigint, cast(null as :ID_TYPE), null::text, 'unreadable', null::text[], null::text[];
    return;
  end;
  update rollcall_internal.sweep_position
     set groups_after = case when cardinality(ids) = most then ids[most] end,
         has_groups = :HAS_GROUPS or cardinality(ids) > 0 or place.groups_after is not null;
  if cardinality(differing) > 0 then
    -- A later pass finds those whose rows are locked.
    return query select * from rollcall_internal.regroup_locked(array(
      select p.user_id from rollcall_internal.presence p
       where p.user_id = any (differing) and p.nodes <> '{}'
       order by p.user_id for update skip locked
    ));
  end if;
end
$$;

-- Keeps the groups of tokens. Those of an older token do not replace those of a newer one. The same ones are
-- written once a day, so that they do not become too old.
create or replace function rollcall_internal.set_token_groups(entries jsonb) returns void
language sql set search_path = pg_catalog, pg_temp as $$
  insert into rollcall_internal.token_groups as t (user_id, issued_at, groups)
  select distinct on (e."userId") e."userId", e."issuedAt", e.groups
    from jsonb_to_recordset(entries) as e ("userId" :ID_TYPE, "issuedAt" double precision, groups text[])
   order by e."userId", e."issuedAt" desc
      on conflict (user_id) do update
         set issued_at = excluded.issued_at, groups = excluded.groups, written_at = excluded.written_at
       where t.issued_at <= excluded.issued_at
         and ((t.issued_at, t.groups) is distinct from (excluded.issued_at, excluded.groups)
              or t.written_at < excluded.written_at - interval '1 day');
$$;

-- Deletes up to `most` groups of tokens that are older than `keep_ms`, of users who are not online. Their next
-- token brings them back.
create or replace function rollcall_internal.prune_token_groups(keep_ms bigint, most integer) returns void
language plpgsql set search_path = pg_catalog, pg_temp
set plan_cache_mode = force_generic_plan set enable_seqscan = off set enable_bitmapscan = off set jit = off as $$
declare
  old timestamptz := now() - keep_ms * interval '1 millisecond';
begin
  -- Twice: a row that was written meanwhile stays.
  delete from rollcall_internal.token_groups t
   where t.written_at < old and t.user_id in (
     select o.user_id from rollcall_internal.token_groups o
      where o.written_at < old
        and not exists (
          select from rollcall_internal.presence p where p.user_id = o.user_id and p.nodes <> '{}'
        )
      order by o.written_at limit most
   );
end
$$;

-- From here on, users may have groups: after a start without them, a sweep takes them away.
update rollcall_internal.sweep_position set has_groups = true where :HAS_GROUPS and not has_groups;
