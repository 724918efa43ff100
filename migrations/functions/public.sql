-- What other applications may read, once a role was granted it. Nothing else here is public.

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
