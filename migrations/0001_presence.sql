-- Rollcall's own tables. The application's users table is only read; a copy of the status is written
-- into it where that is configured. No object here depends on an object of the application.
--
-- Placeholders, replaced before the file is executed:
--   :ID_TYPE    smallint, integer, bigint, uuid or text
--   :ID_COLUMN  the same, for a column: text sorts by code point, whatever the database's collation

-- One row per running node. Its claims count until it is swept, which only the end of its lease allows.
create table rollcall_internal.nodes (
  id uuid primary key,
  joined_at timestamptz not null default clock_timestamp(),
  expires_at timestamptz not null,
  -- When the node last renewed its lease, and how often it does.
  renewed_at timestamptz not null default clock_timestamp(),
  heartbeat_ms integer not null,
  leaving boolean not null default false,
  -- For people: the machine and the process, and what the node last reported. Nothing is decided by it.
  host text not null,
  pid integer not null,
  connections integer not null default 0,
  cordoned boolean not null default false
);

-- A write of each node, before which no write counts. One that its client gave up may still be on its
-- way and arrive after a later one; its number shows that it was overtaken. A table of its own, because a
-- renewal of the lease must never wait for a write. Writes that succeed only lock the row: see `apply`.
create table rollcall_internal.writes (
  node_id uuid primary key references rollcall_internal.nodes (id) on delete cascade,
  last bigint not null
);

-- Every user that was ever online. `nodes` are the claims: the nodes that hold a connection of the user.
-- A user is online while there is one. Claims and status cannot differ, because they are one value.
create table rollcall_internal.presence (
  user_id :ID_COLUMN primary key,
  username text not null,
  nodes uuid[] not null default '{}',
  -- In which groups the user is visible, or was when it went offline: sorted, each once. Null: to everybody.
  groups text[],
  -- When the user came online or went offline. Null: never seen, only a copy has to be corrected.
  changed_at timestamptz,
  -- The copy of the status in the application's table is not known to be right. The sweep writes it.
  copy_due boolean not null default false
);
create index presence_online on rollcall_internal.presence (user_id) where nodes <> '{}';
create index presence_copy_due on rollcall_internal.presence (user_id) where copy_due;

-- The feed: transitions in commit order, without holes except those that `skip_to` leaves.
create table rollcall_internal.feed (
  seq bigint primary key,
  user_id :ID_COLUMN not null,
  username text not null,
  status text not null check (status in ('online', 'offline')),
  -- In which groups the user is visible from now on and until now. Null for a user who is, or was, offline,
  -- and without groups. A user who was online and has other groups now is 'online' with both.
  groups text[],
  groups_before text[],
  at timestamptz not null default clock_timestamp()
);

-- The next seq is beyond `seq` and beyond the feed: see the view `head`. One row, locked last and until
-- commit: seq order is commit order, and a rollback leaves no hole. A write does not change it. A row that
-- each write replaces is expensive while a transaction elsewhere is open, because Postgres keeps every version.
-- It starts at a random high place: a client that knows a seq of another history of this database is
-- either far behind it or ahead of it, and gets a snapshot.
create table rollcall_internal.counter (
  one_row boolean primary key default true check (one_row),
  seq bigint not null,
  -- The feed up to here is deleted. The next rows to delete are behind it.
  pruned bigint not null default 0
);
insert into rollcall_internal.counter (seq)
values ((1::bigint << 32) + floor(random() * (1::bigint << 50))::bigint);

-- Users whose groups the application changed, as it named them. No key but a number of its own, so that a
-- transaction of the application never waits for another one. The first `done` of the ids are compared.
create table rollcall_internal.groups_due (
  id bigint generated always as identity primary key,
  ids :ID_TYPE[] not null,
  done integer not null default 0
);

-- The groups in the newest token of each user, where tokens say them.
create table rollcall_internal.token_groups (
  user_id :ID_COLUMN primary key,
  -- The token's `iat`, in seconds.
  issued_at double precision not null,
  groups text[] not null,
  written_at timestamptz not null default clock_timestamp()
);
create index token_groups_written on rollcall_internal.token_groups (written_at);

-- Users and tokens that were disconnected by an administrator. Nodes read them in id order.
create table rollcall_internal.revocations (
  id bigint primary key,
  user_id :ID_COLUMN,
  token_id text,
  at timestamptz not null default clock_timestamp(),
  check ((user_id is null) <> (token_id is null))
);

-- Locks by name, as rows: no other role can take them, as it could take an advisory lock.
insert into rollcall_internal.locks (name) values ('leave'), ('prune'), ('revoke');

-- After which id each pass of the sweep goes on; null: at the first. The node that holds the row sweeps.
create table rollcall_internal.sweep_position (
  one_row boolean primary key default true check (one_row),
  online_after :ID_COLUMN,
  seen_after :ID_COLUMN,
  users_after :ID_COLUMN,
  due_after :ID_COLUMN,
  groups_after :ID_COLUMN,
  -- There may be users with groups.
  has_groups boolean not null default false,
  -- When a node last began a sweep.
  swept_at timestamptz not null default '-infinity'
);
insert into rollcall_internal.sweep_position default values;

-- Until when a write leaves all copies to the sweep, because the application's table was too slow.
create table rollcall_internal.copy_pause (
  one_row boolean primary key default true check (one_row),
  until timestamptz not null
);
insert into rollcall_internal.copy_pause (until) values ('-infinity');
