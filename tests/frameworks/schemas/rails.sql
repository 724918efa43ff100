-- Rails 8: bin/rails generate authentication, then db:migrate.
create table schema_migrations (version character varying not null primary key);
create table ar_internal_metadata (
  key character varying not null primary key,
  value character varying,
  created_at timestamp(6) without time zone not null,
  updated_at timestamp(6) without time zone not null
);
create table users (
  id bigserial primary key,
  email_address character varying not null,
  password_digest character varying not null,
  created_at timestamp(6) without time zone not null,
  updated_at timestamp(6) without time zone not null
);
create unique index index_users_on_email_address on users (email_address);
create table sessions (
  id bigserial primary key,
  user_id bigint not null,
  ip_address character varying,
  user_agent character varying,
  created_at timestamp(6) without time zone not null,
  updated_at timestamp(6) without time zone not null,
  constraint fk_rails_758836b4f0 foreign key (user_id) references users (id)
);
create index index_sessions_on_user_id on sessions (user_id);

insert into users (email_address, password_digest, created_at, updated_at)
values ('ada@app.example', '$2a$12$x', now(), now()), ('bob@app.example', '$2a$12$y', now(), now());
