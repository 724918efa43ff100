#!/bin/sh
# A role for Rollcall, with the rights that `src/cli.ts migrate --explain` names.
set -eu
psql -v ON_ERROR_STOP=1 -v password="$ROLLCALL_PASSWORD" -U "$POSTGRES_USER" -d "$POSTGRES_USER" <<'SQL'
create role rollcall login password :'password';
grant create on database app to rollcall;
grant usage on schema public to rollcall;
grant select (id, name) on public.users to rollcall;
SQL
