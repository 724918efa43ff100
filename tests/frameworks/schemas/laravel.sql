-- Laravel 12: the migrations of a new application.
create table migrations (
  id serial primary key,
  migration varchar(255) not null,
  batch integer not null
);
create table users (
  id bigserial not null primary key,
  name varchar(255) not null,
  email varchar(255) not null,
  email_verified_at timestamp(0) without time zone null,
  password varchar(255) not null,
  remember_token varchar(100) null,
  created_at timestamp(0) without time zone null,
  updated_at timestamp(0) without time zone null
);
alter table users add constraint users_email_unique unique (email);
create table password_reset_tokens (
  email varchar(255) not null primary key,
  token varchar(255) not null,
  created_at timestamp(0) without time zone null
);
create table sessions (
  id varchar(255) not null primary key,
  user_id bigint null,
  ip_address varchar(45) null,
  user_agent text null,
  payload text not null,
  last_activity integer not null
);
create index sessions_user_id_index on sessions (user_id);
create index sessions_last_activity_index on sessions (last_activity);

insert into users (name, email, password) values ('Ada', 'ada@app.example', '$2y$12$x'), ('Bob', 'bob@app.example', '$2y$12$y');
