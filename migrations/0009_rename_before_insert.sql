-- Known users are renamed first. An insert is checked against the table's constraints before its
-- "on conflict" counts, so it fails where other columns want a value. The parameters have names that no
-- column of an application's table has.
drop function rollcall_internal.provision(integer, text);
create function rollcall_internal.provision(wanted_user_id integer, wanted_username text) returns text
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
