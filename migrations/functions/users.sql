-- The application's users table: the only functions that name it. Placeholders beside those of the tables:
--   :USERS       the table or view, with its schema, quoted
--   :USER_ID     its column with the id; rows without an id are no users
--   :ONE_ROW_EACH  "distinct on" the id for a view, which may return a user more than once; empty for a table
--   :USER_NAME   its column with the name; the id where there is none
--   :STATUS      its column that gets a copy of the status, if :HAS_STATUS is true
--   :NAME_MAX    characters of a name; the rest is cut here, so that a long one costs no memory elsewhere
--
-- Triggers, and functions behind a view, find their tables by the role's own search path, as they do for
-- the application. So it is set before each statement that runs them. These statements name the schema of
-- every operator and function, so that an object of another role is never taken for one of Postgres.

-- The users among `ids` that exist, with their names. Raises if the table cannot be read in time, or if
-- row level security would hide rows: every caller can do without, and none may wait for a transaction of
-- the application.
--
-- Must be volatile: its statement then takes its snapshot when it has the lock of the table. To an older
-- snapshot, a table looks empty that was truncated or rewritten while the read waited for the lock.
create or replace function rollcall_internal.read_users(ids :ID_TYPE[])
returns table (user_id :ID_TYPE, username text)
language plpgsql
set search_path = pg_catalog, pg_temp set lock_timeout = ':USERS_READ_LOCK_MS' set row_security = off as $$
begin
  set local search_path to default;
  return query
    select :ONE_ROW_EACH cast(u.:USER_ID as :ID_TYPE),
           coalesce(pg_catalog.left(cast(u.:USER_NAME as pg_catalog.text), :NAME_MAX), '')
      from :USERS u
     where u.:USER_ID operator(pg_catalog.=) any (ids);
end
$$;

-- Copies the status as part of a write, within its time. What it leaves is due, and the sweep copies it.
create or replace function rollcall_internal.copy_in_time(online :ID_TYPE[], offline :ID_TYPE[], budget_ms integer)
returns void
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  started timestamptz := clock_timestamp();
  due :ID_TYPE[];
begin
  if not :HAS_STATUS then
    return;
  end if;
  if budget_ms = 0 or exists (select from rollcall_internal.copy_pause where until > clock_timestamp()) then
    due := online || offline;
  else
    due := rollcall_internal.copy_status(online, offline, budget_ms);
    if clock_timestamp() > started + 3 * budget_ms * interval '1 millisecond' then
      -- A single row took too long. The next writes do not even try, for a while.
      update rollcall_internal.copy_pause set until = clock_timestamp() + :COPY_PAUSE_MS * interval '1 millisecond';
    end if;
  end if;
  if cardinality(due) > 0 then
    update rollcall_internal.presence p set copy_due = true where p.user_id = any (due) and not p.copy_due;
  end if;
end
$$;

-- Writes 'online' and 'offline' into the application's table and returns the ids that were not written.
-- Nothing of the application can fail or hold up the caller: rows that are locked are skipped; each step
-- is a subtransaction that also runs the deferred constraints, and is halved when it fails until the row
-- that refuses is alone; steps grow only while they are fast enough for the budget. What a trigger sets for
-- the rest of the transaction, such as another role, fails its step too.
create or replace function rollcall_internal.copy_status(online :ID_TYPE[], offline :ID_TYPE[], budget_ms integer)
returns :ID_TYPE[]
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = ':COPY_LOCK_MS' as $$
declare
  ids :ID_TYPE[] := online || offline;
  total integer := cardinality(ids);
  role_before name := current_user;
  started timestamptz := clock_timestamp();
  step_started timestamptz;
  step integer := 1;
  at integer := 1;
  upto integer;
  written :ID_TYPE[];
  due :ID_TYPE[] := '{}';
  reason text;
  left_ms numeric := budget_ms;
  row_ms numeric;
begin
  while at <= total and left_ms > 0 loop
    -- A step has one status: the array changes from 'online' to 'offline' once.
    upto := least(at + step - 1, total);
    if at <= cardinality(online) then
      upto := least(upto, cardinality(online));
    end if;
    step_started := clock_timestamp();
    begin
      written := rollcall_internal.copy_step(ids[at:upto], at <= cardinality(online));
      if current_user <> role_before then
        raise exception 'a trigger changed the role to %', current_user;
      end if;
    exception
      when query_canceled then
        -- The statement's time is over: the row is too slow for any budget.
        reason := coalesce(reason, format('user %s: %s', ids[at], sqlerrm));
        exit;
      when others or assert_failure then
        left_ms := budget_ms - extract(epoch from clock_timestamp() - started) * 1000;
        if upto > at then
          step := (upto - at + 1) / 2;
          continue;
        end if;
        reason := coalesce(reason, format('user %s: %s', ids[at], sqlerrm));
        written := '{}';
    end;
    if cardinality(written) < upto - at + 1 then
      due := due || array(select unnest(ids[at:upto]) except select unnest(written));
    end if;
    row_ms := greatest(extract(epoch from clock_timestamp() - step_started) * 1000 / (upto - at + 1), 0.001);
    left_ms := budget_ms - extract(epoch from clock_timestamp() - started) * 1000;
    step := greatest(1, least(4 * (upto - at + 1), floor(left_ms / row_ms)::integer));
    at := upto + 1;
  end loop;
  due := due || ids[at:total];
  if reason is not null then
    raise warning 'cannot copy the status of % of % users; the first is %', cardinality(due), total, reason;
  end if;
  return due;
end
$$;

-- Writes one status into the rows that nobody has locked, and runs what the application deferred until the
-- commit. Returns the ids whose rows now hold the status.
create or replace function rollcall_internal.copy_step(ids :ID_TYPE[], is_online boolean) returns :ID_TYPE[]
language plpgsql set search_path = pg_catalog, pg_temp as $$
declare
  free :ID_TYPE[];
  written :ID_TYPE[];
begin
  set local search_path to default;
  free := array(
    select cast(u.:USER_ID as :ID_TYPE) from :USERS u
     where u.:USER_ID operator(pg_catalog.=) any (ids)
       for no key update skip locked
  );
  if is_online then
    with copied as (
      update :USERS u set :STATUS = 'online' where u.:USER_ID operator(pg_catalog.=) any (free)
      returning cast(u.:USER_ID as :ID_TYPE) as id, cast(u.:STATUS as pg_catalog.text) as status
    )
    select pg_catalog.array_agg(c.id) into written from copied c where c.status operator(pg_catalog.=) 'online';
  else
    with copied as (
      update :USERS u set :STATUS = 'offline' where u.:USER_ID operator(pg_catalog.=) any (free)
      returning cast(u.:USER_ID as :ID_TYPE) as id, cast(u.:STATUS as pg_catalog.text) as status
    )
    select pg_catalog.array_agg(c.id) into written from copied c where c.status operator(pg_catalog.=) 'offline';
  end if;
  set constraints all immediate;
  -- Again, because a trigger that ran now may have deferred constraints in its turn.
  set constraints all immediate;
  return coalesce(written, '{}');
end
$$;

-- Makes the row of a user whose token is good, or gives it the token's name. Returns
--   'there'    the row is as wanted,
--   'kept'     the row is there under another name, which cannot be written now: it is locked, or the
--              table refuses the name,
--   'refused'  there is no row, and the table refuses it; code and reason are those of the error.
-- Raises if it cannot be known now: the table cannot be read, or the fault may pass.
create or replace function rollcall_internal.provision(wanted_id :ID_TYPE, wanted_name text)
returns table (outcome text, code text, reason text)
language plpgsql set search_path = pg_catalog, pg_temp set lock_timeout = ':PROVISION_LOCK_MS' as $$
declare
  -- Classes of SQLSTATE: connection, transaction state, rollback, resources, operator, system, internal.
  passing constant text[] := '{08,25,40,53,57,58,F0,XX}';
  current_name text;
  -- Null: the table could not be read.
  is_there boolean;
begin
  -- The table's triggers run with the search path that the role has by default.
  set local search_path to default;
  -- A name beyond the bound came here cut. It is not a new name.
  select pg_catalog.left(cast(u.:USER_NAME as pg_catalog.text), :NAME_MAX) into current_name
    from :USERS u where u.:USER_ID operator(pg_catalog.=) wanted_id;
  is_there := found;
  if is_there and (not :CAN_NAME or wanted_name is null or coalesce(wanted_name operator(pg_catalog.=) current_name, false)) then
    return query select 'there', null::pg_catalog.text, null::pg_catalog.text;
    return;
  end if;
  if is_there then
    update :USERS u set :NAME_TO_WRITE = wanted_name where u.:USER_ID operator(pg_catalog.=) wanted_id;
  elsif :CAN_NAME then
    insert into :USERS (:USER_ID, :NAME_TO_WRITE) overriding system value
    values (wanted_id, coalesce(wanted_name, pg_catalog.concat('user ', wanted_id)));
  else
    insert into :USERS (:USER_ID) overriding system value values (wanted_id);
  end if;
  -- What the table would refuse at the commit is refused here, where it can be returned.
  set constraints all immediate;
  -- A trigger may drop the row or change its id, a view may not show it, and it may have been deleted.
  perform from :USERS u where u.:USER_ID operator(pg_catalog.=) wanted_id;
  if not found then
    raise exception 'no row with this id after an insert or update' using errcode = 'RC002';
  end if;
  return query select 'there', null::pg_catalog.text, null::pg_catalog.text;
exception
  when others or assert_failure then
    if is_there is null then
      raise;
    end if;
    if not is_there and sqlstate = '23505' then
      -- Another node may have written the row meanwhile.
      perform from :USERS u where u.:USER_ID = wanted_id;
      is_there := found;
    end if;
    if is_there and sqlstate <> 'RC002' then
      return query select 'kept', sqlstate, sqlerrm;
    -- In use, locked, or being made again.
    elsif left(sqlstate, 2) = any (passing) or sqlstate in ('55006', '55P03', '42P01') then
      raise;
    else
      return query select 'refused', sqlstate, sqlerrm;
    end if;
end
$$;
