-- The users who are online, for other applications. The view does not count the claims of a node whose lease has
-- ended, so it is right even before another node has swept them.
create or replace view online_users as
select u.id, u.username, u.status_changed_at as since
  from users u
 where exists (
   select from rollcall_internal.claims c
     join rollcall_internal.nodes n on n.id = c.node_id
    where c.user_id = u.id and n.expires_at > clock_timestamp()
 );
