-- Makes the row of a user whose token is good, or gives it the token's name. 'there': it is so. 'kept':
-- the row is locked by somebody else or the table refuses the name, and the user has the one from
-- before. 'refused': there is no such user, and the table refuses to have one.
create function rollcall_internal.provision(user_id integer, name text) returns text
language plpgsql set lock_timeout = '500ms' as $$
begin
  -- "on conflict" locks a row also where it has nothing to write.
  if exists (select from users u
              where u.id = user_id and (name is null or u.username is not distinct from name)) then
    return 'there';
  end if;
  insert into users as u (id, username)
  values (user_id, coalesce(name, 'user ' || user_id))
      on conflict (id) do update set username = name
   where name is not null and u.username is distinct from name;
  return 'there';
exception
  when lock_not_available then
    if exists (select from users u where u.id = user_id) then
      return 'kept';
    end if;
    raise;
  when integrity_constraint_violation or data_exception or raise_exception then
    raise warning 'cannot write the name of user %: %', user_id, sqlerrm;
    return case when exists (select from users u where u.id = user_id) then 'kept' else 'refused' end;
end
$$;
