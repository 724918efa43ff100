-- What the application does to its users, and what is done for it.

-- Makes the row of a user whose token is good, or gives it the token's name. 'there': it is so. 'kept':
-- the row is locked by somebody else or the table refuses the name, and the user has the one from
-- before. 'refused': there is no such user, and the table refuses to have one.
create or replace function rollcall_internal.provision(wanted_user_id integer, wanted_username text) returns text
language plpgsql set lock_timeout = '500ms' as $$
begin
  -- "on conflict" locks a row also where it has nothing to write.
  if exists (select from users u
              where u.id = wanted_user_id and (wanted_username is null or u.username is not distinct from wanted_username)) then
    return 'there';
  end if;
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

-- A user who is online got another name. Nodes read the names anew; who is online does not change.
create or replace function rollcall_internal.tell_renamed() returns trigger
language plpgsql as $$
begin
  perform pg_notify('rollcall', 'renamed');
  return null;
end
$$;

create or replace trigger rollcall_tell_renamed
  after update of username on users
  for each row when (new.status = 'online' and new.username is distinct from old.username)
  execute function rollcall_internal.tell_renamed();

create or replace function rollcall_internal.note_deleted_users() returns trigger
-- The application's role need not know of our tables.
language plpgsql security definer set search_path = pg_catalog as $$
begin
  insert into rollcall_internal.deleted_users (user_id)
  select gone.id from gone where gone.status = 'online'
      on conflict do nothing;
  return null;
end
$$;

create or replace trigger rollcall_note_deleted_users
  after delete on users referencing old table as gone
  for each statement execute function rollcall_internal.note_deleted_users();

-- Emptying the table deletes its users too.
create or replace function rollcall_internal.note_all_deleted() returns trigger
language plpgsql security definer set search_path = pg_catalog as $$
begin
  insert into rollcall_internal.deleted_users (user_id)
  select distinct c.user_id from rollcall_internal.claims c
      on conflict do nothing;
  return null;
end
$$;

create or replace trigger rollcall_note_all_deleted
  after truncate on users
  for each statement execute function rollcall_internal.note_all_deleted();

-- Another id is another user: the old one is gone, and the new one was never seen.
create or replace function rollcall_internal.note_changed_id() returns trigger
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

create or replace trigger rollcall_note_changed_id
  before update of id on users
  for each row when (new.id is distinct from old.id)
  execute function rollcall_internal.note_changed_id();

-- Tells that deleted users went offline and drops their claims. Whoever still holds a connection of
-- theirs hears it, claims again, and learns that there is no such user.
create or replace function rollcall_internal.forget_deleted(most integer)
returns table (seq bigint, user_id integer, username text, status text)
language plpgsql as $$
declare
  ids integer[];
begin
  with gone as (
    delete from rollcall_internal.deleted_users d
     where d.user_id in (
       select waiting.user_id from rollcall_internal.deleted_users waiting
        order by waiting.user_id
        limit most
          for update skip locked
     )
    returning d.user_id
  )
  select array_agg(gone.user_id order by gone.user_id) into ids from gone;
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
