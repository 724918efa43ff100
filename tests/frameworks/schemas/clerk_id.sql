-- An application that keeps the ids of Clerk in a table of its own.
create table users (
  id uuid primary key default gen_random_uuid(),
  clerk_id text not null unique,
  name text,
  email text not null,
  created_at timestamptz not null default now()
);
create table orders (
  id bigint primary key generated always as identity,
  user_id uuid not null references users (id)
);

insert into users (clerk_id, name, email)
values ('user_2NNEqL2nrIRdJ194ndJqAHwEfxC', 'Ada', 'ada@app.example'),
       ('user_2OPFrM3osJSeK205oeKrBIxFgyD', 'Bob', 'bob@app.example');
