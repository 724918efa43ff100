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
-- sides under row locks, and checking each row again would double the cost of a write. No index by node
-- either: whoever looks for all claims of a node is rare, and may read them all.
create table rollcall_internal.claims (
  user_id integer not null,
  node_id uuid not null,
  primary key (user_id, node_id)
);

-- Users that the application deleted while they were online. What they leave behind is put right by
-- the next heartbeat, and not by the deleting transaction: that may be long, and would hold the counter.
create table rollcall_internal.deleted_users (
  user_id integer primary key
);

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

-- The newest write of each node. A write that was given up may still be on its way, and arrive after
-- the one that settled the matter; it is known by its number.
create table rollcall_internal.writes (
  node_id uuid primary key references rollcall_internal.nodes (id) on delete cascade,
  last bigint not null
);

-- Orders to disconnect a user, or whoever came with a token. Nodes read them in the order of their ids.
create table rollcall_internal.revocations (
  id bigint primary key,
  user_id integer,
  token_id text,
  at timestamptz not null default clock_timestamp(),
  check ((user_id is null) <> (token_id is null))
);
