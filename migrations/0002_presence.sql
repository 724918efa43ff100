-- Not named like a likely role: "$user" comes first on the default search path.
create schema if not exists rollcall_internal;

-- One row per running node. Its claims count until it is reaped, which only the end of its lease allows.
create table rollcall_internal.nodes (
  id uuid primary key,
  joined_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz not null,
  leaving boolean not null default false
);

-- A node holds at least one connection of a user. No foreign keys: apply() and reap() keep both
-- sides under row locks, and checking each row again would double the cost of a write.
create table rollcall_internal.claims (
  user_id integer not null,
  node_id uuid not null,
  primary key (user_id, node_id)
);
create index claims_by_node on rollcall_internal.claims (node_id);

-- Users that the application deleted while they were online. What they leave behind is put right by
-- the next heartbeat, and not by the deleting transaction: that may be long, and would hold the counter.
create table rollcall_internal.deleted_users (
  user_id integer primary key
);

create function rollcall_internal.note_deleted_users() returns trigger
-- The application's role need not know of our tables.
language plpgsql security definer set search_path = pg_catalog as $$
begin
  insert into rollcall_internal.deleted_users (user_id)
  select gone.id from gone where gone.status = 'online'
      on conflict do nothing;
  return null;
end
$$;

create trigger rollcall_note_deleted_users
  after delete on users referencing old table as gone
  for each statement execute function rollcall_internal.note_deleted_users();

-- A user who is online got another name. Nodes read the names anew; who is online does not change.
create function rollcall_internal.tell_renamed() returns trigger
language plpgsql as $$
begin
  perform pg_notify('rollcall', 'renamed');
  return null;
end
$$;

create trigger rollcall_tell_renamed
  after update of username on users
  for each row when (new.status = 'online' and new.username is distinct from old.username)
  execute function rollcall_internal.tell_renamed();

-- The log of transitions, in commit order and without holes.
create table rollcall_internal.feed (
  seq bigint primary key,
  user_id integer not null,
  username text not null,
  status text not null check (status in ('online', 'offline')),
  at timestamptz not null default clock_timestamp()
);

-- The newest seq. One row, locked last and until commit: that is what makes the order and forbids holes.
create table rollcall_internal.counter (
  one_row boolean primary key default true check (one_row),
  seq bigint not null
);
insert into rollcall_internal.counter (seq) values (0);

-- Who is online, for other applications. Right even while nobody has reaped a node that died.
create view online_users as
select u.id, u.username, u.status_changed_at as since
  from users u
 where exists (
   select from rollcall_internal.claims c
     join rollcall_internal.nodes n on n.id = c.node_id
    where c.user_id = u.id and n.expires_at > clock_timestamp()
 );
