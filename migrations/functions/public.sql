-- What other applications may read or call, once a role was granted it. Nothing else here is public.

-- Who is online. Right even before a node that died was swept.
create or replace view rollcall.online_users with (security_barrier) as
select p.user_id as id, p.username, p.changed_at as since
  from rollcall_internal.presence p
 where p.nodes <> '{}'
   and exists (
     select from rollcall_internal.nodes n
      where n.id = any (p.nodes) and n.expires_at > clock_timestamp()
   );

-- Every user that was ever online: 'online' or 'offline' as it was last broadcast, and since when.
create or replace view rollcall.presence with (security_barrier) as
select p.user_id, case when p.nodes <> '{}' then 'online' else 'offline' end as status, p.changed_at
  from rollcall_internal.presence p
 where p.changed_at is not null;

-- For the application, in the transaction that changes the groups of users: the servers compare the groups
-- of these users as soon as it is committed. It waits for nothing, and no one waits for it.
create or replace function rollcall.groups_changed(ids :NAMED_TYPE[]) returns void
language plpgsql security definer set search_path = pg_catalog, pg_temp as $$
declare
  named :ID_TYPE[];
begin
  if not :HAS_GROUPS then
    return;
  end if;
  named := array(select cast(i.id as :ID_TYPE) from unnest(ids) i (id) where :IS_ID);
  if cardinality(named) > 0 then
    insert into rollcall_internal.groups_due (ids) values (named);
    perform pg_notify('rollcall', 'groups');
  end if;
end
$$;
