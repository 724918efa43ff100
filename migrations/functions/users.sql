-- The rows of users: what Rollcall writes for AUTO_PROVISION, and how it notices what the application writes.

-- Creates the row of a user whose token was accepted, or gives it the username of the token. Without a username, an
-- existing row stays as it is.
-- Locks: the user's row, for at most 500 ms; a row that is right already is not locked.
-- Returns: 'there' if the user exists with this username. 'kept' if the username could not be written, because the row
-- is locked or the table rejects it: the user exists with another one. 'refused' if there is no such user and the
-- table rejects the row.
-- The parameters have names that no column of an application's table is likely to have.
create or replace function rollcall_internal.provision(wanted_user_id integer, wanted_username text) returns text
language plpgsql set lock_timeout = '500ms' as $$
begin
  -- Checked first, because "on conflict" locks the row even if there is nothing to write.
  if exists (select from users u
              where u.id = wanted_user_id and (wanted_username is null or u.username is not distinct from wanted_username)) then
    return 'there';
  end if;
  -- Updated before it is inserted, because Postgres checks the table's constraints on an insert before it looks
  -- for a conflict. Other columns that want a value would make the insert fail for a user who exists.
  update users u set username = wanted_username
   where u.id = wanted_user_id and wanted_username is not null;
  if found then
    return 'there';
  end if;
  insert into users as u (id, username)
  values (wanted_user_id, coalesce(wanted_username, 'user ' || wanted_user_id))
      on conflict (id) do update set username = wanted_username
   where wanted_username is not null and u.username is distinct from wanted_username;
  return 'there';
exception
  when lock_not_available then
    if exists (select from users u where u.id = wanted_user_id) then
      return 'kept';
    end if;
    raise;
  when integrity_constraint_violation or data_exception or raise_exception then
    raise warning 'cannot write the name of user %: %', wanted_user_id, sqlerrm;
    return case when exists (select from users u where u.id = wanted_user_id) then 'kept' else 'refused' end;
end
$$;

-- Notifies all nodes that the username of an online user changed. Nodes then read the usernames again. A change of
-- username is not a transition.
create or replace function rollcall_internal.notify_renamed() returns trigger
language plpgsql as $$
begin
  perform pg_notify('rollcall', 'renamed');
  return null;
end
$$;

create or replace trigger rollcall_notify_renamed
  after update of username on users
  for each row when (new.status = 'online' and new.username is distinct from old.username)
  execute function rollcall_internal.notify_renamed();

-- Records online users whose rows the application deletes.
-- Security definer, here and below: the application's role needs no rights on Rollcall's tables.
create or replace function rollcall_internal.record_deleted_users() returns trigger
language plpgsql security definer set search_path = pg_catalog as $$
begin
  insert into rollcall_internal.deleted_users (user_id)
  select d.id from deleted_rows d where d.status = 'online'
      on conflict do nothing;
  return null;
end
$$;

create or replace trigger rollcall_record_deleted_users
  after delete on users referencing old table as deleted_rows
  for each statement execute function rollcall_internal.record_deleted_users();

-- Records all claimed users when the application truncates the table.
create or replace function rollcall_internal.record_all_deleted() returns trigger
language plpgsql security definer set search_path = pg_catalog as $$
begin
  insert into rollcall_internal.deleted_users (user_id)
  select distinct c.user_id from rollcall_internal.claims c
      on conflict do nothing;
  return null;
end
$$;

create or replace trigger rollcall_record_all_deleted
  after truncate on users
  for each statement execute function rollcall_internal.record_all_deleted();

-- Handles a change of a user's id as the deletion of one user and the creation of another, who is offline.
create or replace function rollcall_internal.record_changed_id() returns trigger
language plpgsql security definer set search_path = pg_catalog as $$
begin
  if old.status = 'online' then
    insert into rollcall_internal.deleted_users (user_id) values (old.id)
        on conflict do nothing;
  end if;
  new.status := 'offline';
  return new;
end
$$;

create or replace trigger rollcall_record_changed_id
  before update of id on users
  for each row when (new.id is distinct from old.id)
  execute function rollcall_internal.record_changed_id();

-- Deletes the claims of at most max_users users that the application deleted while they were online, and appends
-- their 'offline' to the feed. A node that still holds a connection of such a user receives the transition, claims
-- the user again, and gets 'unknown'.
-- Locks: the rows of deleted_users, skipping those that are locked already; then the counter, until commit.
-- Returns: the transitions.
create or replace function rollcall_internal.release_deleted_users(max_users integer)
returns table (seq bigint, user_id integer, username text, status text)
language plpgsql as $$
declare
  ids integer[];
begin
  with deleted as (
    delete from rollcall_internal.deleted_users d
     where d.user_id in (
       select waiting.user_id from rollcall_internal.deleted_users waiting
        order by waiting.user_id
        limit max_users
          for update skip locked
     )
    returning d.user_id
  )
  select array_agg(deleted.user_id order by deleted.user_id) into ids from deleted;
  if ids is null then
    return;
  end if;
  delete from rollcall_internal.claims c where c.user_id = any (ids);
  return query
    select * from rollcall_internal.append(
      ids, array_fill(''::text, array[cardinality(ids)]), array_fill('offline'::text, array[cardinality(ids)])
    );
end
$$;
