/**
 * What a database holds beside Rollcall's own schemas, as text: tables, rights, functions, types
 * and everything else that `pg_dump --schema-only` writes. For a comparison before and after.
 *
 * @module
 */
import { query } from "./database.ts";

/** Where Debian has the programs of each version of Postgres. */
const DEBIAN = "/usr/lib/postgresql";

const OURS = ["rollcall", "rollcall_internal"];

/** Each object of the application on a line of its own, with its definition, owner and rights. */
const DESCRIBE = `
  with schemas as (
    select oid, nspname from pg_namespace
     where nspname not in ('pg_catalog', 'information_schema', 'rollcall', 'rollcall_internal')
       and nspname !~ '^pg_(toast|temp)'
  ), relations as (
    select c.*, format('%I.%I', s.nspname, c.relname) as full_name
      from pg_class c join schemas s on s.oid = c.relnamespace
  )
  select 'schema ' || nspname || ' of ' || nspowner::regrole || ' ' || rights from (
    select n.*, coalesce(n.nspacl, acldefault('n', n.nspowner))::text as rights from pg_namespace n
     where n.oid in (select oid from schemas)
  ) n
  union all
  select format('relation %s kind %s of %s %s security %s %s options %s identity %s persistence %s', full_name, relkind,
                relowner::regrole, coalesce(relacl, acldefault(case relkind when 'S' then 's' else 'r' end::"char", relowner)),
                relrowsecurity, relforcerowsecurity, reloptions, relreplident, relpersistence)
    from relations where relkind <> 'i'
  union all
  select format('column %s.%I at %s %s not null %s default %s identity %s generated %s collation %s %s options %s statistics %s storage %s',
                full_name, attname, attnum, format_type(atttypid, atttypmod), attnotnull,
                pg_get_expr(d.adbin, d.adrelid), attidentity, attgenerated, attcollation::regcollation, nullif(attacl, '{}'), attoptions,
                attstattarget, attstorage)
    from relations r join pg_attribute a on a.attrelid = r.oid
    left join pg_attrdef d on d.adrelid = a.attrelid and d.adnum = a.attnum
   where a.attnum > 0 and r.relkind <> 'i'
  union all
  select format('constraint %s on %s: %s', conname, conrelid::regclass, pg_get_constraintdef(oid))
    from pg_constraint where connamespace in (select oid from schemas)
  union all
  select format('index %s', pg_get_indexdef(oid)) from relations where relkind in ('i', 'I')
  union all
  select format('trigger on %s: %s %s', full_name, pg_get_triggerdef(t.oid), tgenabled)
    from pg_trigger t join relations r on r.oid = t.tgrelid where not tgisinternal
  union all
  select format('rule on %s: %s', full_name, pg_get_ruledef(w.oid)) from pg_rewrite w join relations r on r.oid = w.ev_class
  union all
  select format('policy %s on %s: %s %s %s %s %s', polname, full_name, polcmd, polpermissive, polroles::regrole[],
                pg_get_expr(polqual, polrelid), pg_get_expr(polwithcheck, polrelid))
    from pg_policy p join relations r on r.oid = p.polrelid
  union all
  select format('sequence %s: %s', seqrelid::regclass, to_jsonb(q)) from pg_sequence q join relations r on r.oid = q.seqrelid
  union all
  select format('inherits %s %s', inhrelid::regclass, inhparent::regclass) from pg_inherits i join relations r on r.oid = i.inhparent
  union all
  select format('function of %s %s: %s', proowner::regrole, coalesce(proacl, acldefault('f', proowner)), pg_get_functiondef(oid))
    from pg_proc where pronamespace in (select oid from schemas) and prokind in ('f', 'p')
  union all
  select format('type %s %s of %s %s %s', oid::regtype, typtype, typowner::regrole, coalesce(typacl, acldefault('T', typowner)),
                array(select enumlabel from pg_enum where enumtypid = t.oid order by enumsortorder))
    from pg_type t where typnamespace in (select oid from schemas)
  union all
  select format('extension %s %s', extname, extversion) from pg_extension
  union all
  select format('default rights of %s in %s on %s: %s', defaclrole::regrole, defaclnamespace::regnamespace, defaclobjtype, defaclacl)
    from pg_default_acl
  union all
  select format('event trigger %s %s %s %s', evtname, evtevent, evtfoid::regprocedure, evtenabled) from pg_event_trigger
  union all
  select format('publication %s', to_jsonb(p)) from pg_publication p
  union all
  select format('published %s %s', prpubid, full_name) from pg_publication_rel p join relations r on r.oid = p.prrelid
  union all
  select format('comment on %s: %s', pg_describe_object(classoid, objoid, objsubid), description)
    from pg_description
   where classoid = 'pg_class'::regclass and objoid in (select oid from relations)`;

/** Every object outside of Rollcall's schemas, one line each, sorted. */
export async function describeSchema(url: string): Promise<string[]> {
  const rows = await query(url, DESCRIBE);
  return rows.map((row) => String(Object.values(row)[0])).sort();
}

/**
 * The same as `pg_dump` writes it. `undefined` where no `pg_dump` is as new as the server, which
 * it has to be.
 */
export async function dumpSchema(url: string): Promise<string | undefined> {
  const [{ major }] = await query(
    url,
    "select current_setting('server_version_num')::int / 10000 as major",
  );
  const program = await findDump(major);
  if (program === undefined) return undefined;
  const { success, stdout, stderr } = await new Deno.Command(program, {
    args: [
      "--schema-only",
      ...OURS.map((schema) => `--exclude-schema=${schema}`),
      url,
    ],
  }).output();
  const decoder = new TextDecoder();
  if (!success) throw new Error(`pg_dump failed: ${decoder.decode(stderr)}`);
  // A dump is guarded by a random word.
  return decoder.decode(stdout).replaceAll(/^\\(un)?restrict .*$/gm, "");
}

async function findDump(oldest: number): Promise<string | undefined> {
  const versions: number[] = [];
  try {
    for await (const { name } of Deno.readDir(DEBIAN)) {
      versions.push(Number(name));
    }
  } catch {
    return undefined;
  }
  const version = versions.sort().findLast((found) => found >= oldest);
  return version === undefined ? undefined : `${DEBIAN}/${version}/bin/pg_dump`;
}
