-- The table "users". If the application has one, Rollcall uses it: its rows stay, and missing columns are added.
-- to_regclass looks along the whole search path. "create table if not exists" would look only in the schema
-- in which it creates.
do $$
begin
  if to_regclass('users') is null then
    create table users (
      id integer primary key check (id > 0),
      username text not null
    );
  end if;
end
$$;

alter table users add column if not exists status text not null default 'offline';
alter table users add column if not exists status_changed_at timestamptz;

do $$
declare
  fault text;
begin
  select format('column users.%s is %s; expected %s', wanted.name,
                coalesce(found.type, 'missing'), array_to_string(wanted.types, ' or '))
    into fault
    from (values
      ('id', array['integer']),
      ('username', array['text', 'character varying']),
      ('status', array['text', 'character varying']),
      ('status_changed_at', array['timestamp with time zone'])
    ) as wanted (name, types)
    left join lateral (
      select format_type(a.atttypid, null) as type
        from pg_attribute a
       where a.attrelid = 'users'::regclass and a.attname = wanted.name and not a.attisdropped
    ) found on true
   where found.type is null or found.type <> all (wanted.types)
   limit 1;
  if fault is not null then
    raise exception 'cannot use the table users: %', fault;
  end if;

  if not exists (
    select from pg_index i
     where i.indrelid = 'users'::regclass and i.indisunique and i.indnatts = 1 and i.indpred is null
       and i.indkey[0] = (select attnum from pg_attribute
                           where attrelid = 'users'::regclass and attname = 'id')
  ) then
    raise exception 'cannot use the table users: column users.id is not unique; expected a primary key';
  end if;

  select format('column users.status holds %L; expected ''online'' or ''offline''', status)
    into fault
    from users
   where status not in ('online', 'offline')
   limit 1;
  if fault is not null then
    raise exception 'cannot use the table users: %', fault;
  end if;
end
$$;
