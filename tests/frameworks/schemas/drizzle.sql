-- Drizzle: the table of its quickstart, as drizzle-kit generate and migrate make it.
create schema drizzle;
create table drizzle.__drizzle_migrations (
  id serial primary key,
  hash text not null,
  created_at bigint
);
create table "users" (
  "id" integer primary key generated always as identity
    (sequence name "users_id_seq" increment by 1 minvalue 1 maxvalue 2147483647 start with 1 cache 1),
  "name" varchar(255) not null,
  "age" integer not null,
  "email" varchar(255) not null,
  constraint "users_email_unique" unique ("email")
);

insert into users (name, age, email) values ('Ada', 36, 'ada@app.example'), ('Bob', 40, 'bob@app.example');
