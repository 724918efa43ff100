-- The application's own schema, as its migrations would make it.
create table users (
  id uuid primary key default gen_random_uuid(),
  name text not null unique,
  email text not null unique,
  created_at timestamptz not null default now()
);

insert into users (name, email) values
  ('ada', 'ada@app.example'),
  ('bob', 'bob@app.example'),
  ('chen', 'chen@app.example');
