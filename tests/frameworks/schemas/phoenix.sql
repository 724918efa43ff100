-- Phoenix 1.8: mix phx.gen.auth Accounts User users, then ecto.migrate.
create table schema_migrations (
  version bigint primary key,
  inserted_at timestamp(0) without time zone
);
create extension if not exists citext;
create table users (
  id bigserial primary key,
  email citext not null,
  hashed_password varchar(255),
  confirmed_at timestamp(0) without time zone,
  inserted_at timestamp(0) without time zone not null,
  updated_at timestamp(0) without time zone not null
);
create unique index users_email_index on users (email);
create table users_tokens (
  id bigserial primary key,
  user_id bigint not null constraint users_tokens_user_id_fkey references users (id) on delete cascade,
  token bytea not null,
  context varchar(255) not null,
  sent_to varchar(255),
  authenticated_at timestamp(0) without time zone,
  inserted_at timestamp(0) without time zone not null
);
create index users_tokens_user_id_index on users_tokens (user_id);
create unique index users_tokens_context_token_index on users_tokens (context, token);

insert into users (email, inserted_at, updated_at) values ('Ada@app.example', now(), now()), ('bob@app.example', now(), now());
