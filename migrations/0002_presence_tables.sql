-- Rollcall's own tables. Their schema is created before the first migration.

-- One row per running node. The claims of a node count until its row is deleted, which happens only after its
-- lease has ended.
create table rollcall_internal.nodes (
  id uuid primary key,
  joined_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz not null,
  leaving boolean not null default false
);

-- A claim: the node holds at least one connection of the user. There are no foreign keys: apply() and sweep()
-- lock the rows on both sides, and checking them again would double the cost of a write. There is no index by
-- node: reading all claims of a node is rare, and may read the whole table.
create table rollcall_internal.claims (
  user_id integer not null,
  node_id uuid not null,
  primary key (user_id, node_id)
);

-- Users that the application deleted while they were online. The next sweep appends their 'offline' to the feed.
-- The deleting transaction does not: it may be long, and would keep the counter locked until it ends.
create table rollcall_internal.deleted_users (
  user_id integer primary key
);

-- The feed: all transitions in commit order, without holes.
create table rollcall_internal.feed (
  seq bigint primary key,
  user_id integer not null,
  username text not null,
  status text not null check (status in ('online', 'offline')),
  at timestamptz not null default clock_timestamp()
);

-- The seq of the newest transition, in one row. A transaction locks this row last and holds it until commit.
-- That puts the feed in commit order and leaves no holes.
create table rollcall_internal.counter (
  one_row boolean primary key default true check (one_row),
  seq bigint not null
);
insert into rollcall_internal.counter (seq) values (0);

-- The number of the newest write of each node. A write that timed out at the node may still arrive, after the
-- write that replaced it. Its lower number gives it away, and it is rejected.
create table rollcall_internal.writes (
  node_id uuid primary key references rollcall_internal.nodes (id) on delete cascade,
  last bigint not null
);

-- Revocations: each disconnects either one user or every connection that was opened with one token. Nodes read
-- them in the order of their ids.
create table rollcall_internal.revocations (
  id bigint primary key,
  user_id integer,
  token_id text,
  at timestamptz not null default clock_timestamp(),
  check ((user_id is null) <> (token_id is null))
);
