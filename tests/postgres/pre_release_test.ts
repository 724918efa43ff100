/** Databases that a pre-release made: each is refused, and the error's advice lets the next start succeed. */
import { deepEqual, equal, match, rejects } from "node:assert/strict";
import { StartError } from "../../src/base/start_error.ts";
import { startEmbedded } from "../../src/embedded/embedded.ts";
import { migrateDatabase } from "../../src/postgres/migrate.ts";
import { PostgresStore } from "../../src/postgres/postgres_store.ts";
import {
  postgresForThisFile,
  query,
  silentLog,
  statusOf,
} from "../support/database.ts";
import { openFolder } from "../support/scratch_folder.ts";

const postgres = postgresForThisFile();
const NODE = "00000000-0000-4000-8000-000000000001";

/** What pre-releases made, as far as the refusal and the advice depend on it. */
function preRelease(schema: string, extraColumn: string): string {
  return `
    create table users (
      id integer primary key check (id > 0),
      username text not null,
      status text not null default 'offline',
      status_changed_at timestamptz
    );
    insert into users values (1, 'ada', 'online', now()), (2, 'bob', 'offline', null);
    create schema ${schema};
    create table ${schema}.nodes (id uuid primary key, expires_at timestamptz not null);
    create table ${schema}.claims (user_id integer, node_id uuid, primary key (user_id, node_id));
    create table ${schema}.counter (one_row boolean primary key default true, seq bigint not null);
    create table ${schema}.deleted_users (user_id integer primary key);
    create function ${schema}.note_deleted_users() returns trigger language plpgsql as
      $$ begin insert into ${schema}.deleted_users select id from gone; return null; end $$;
    create trigger rollcall_note_deleted_users
      after delete on users referencing old table as gone
      for each statement execute function ${schema}.note_deleted_users();
    create function ${schema}.tell_renamed() returns trigger language plpgsql as
      $$ begin perform pg_notify('rollcall', 'renamed'); return null; end $$;
    create trigger rollcall_tell_renamed
      after update of username on users
      for each row when (new.status = 'online') execute function ${schema}.tell_renamed();
    create view online_users as
      select u.id, u.username, u.status_changed_at as since
        from users u
       where exists (select from ${schema}.claims c join ${schema}.nodes n on n.id = c.node_id
                      where c.user_id = u.id and n.expires_at > clock_timestamp());
    create table ${schema}.migrations (
      name text primary key,
      sha256 text not null,
      ${extraColumn}
      applied_at timestamptz not null default now()
    );
    insert into ${schema}.migrations (name, sha256)
    values ('0001_users.sql', 'a'), ('0002_presence.sql', 'b'), ('0003_decisions.sql', 'c')`;
}

const preReleases: Record<string, { schema: string; sql: string }> = {
  "without the column breaking": {
    schema: "rollcall_internal",
    sql: preRelease("rollcall_internal", ""),
  },
  "with names of migrations that were squashed": {
    schema: "rollcall_internal",
    sql: preRelease(
      "rollcall_internal",
      "breaking boolean not null default false,",
    ),
  },
  "with the schema rollcall": {
    schema: "rollcall",
    sql: preRelease("rollcall", ""),
  },
};

for (const [name, { schema, sql }] of Object.entries(preReleases)) {
  Deno.test(`a database of a pre-release ${name} is refused, and starts after the advised statement`, async () => {
    const url = await postgres.emptyDatabase();
    await query(url, sql);
    let advice = "";
    await rejects(migrateDatabase(url), (err) => {
      if (!(err instanceof StartError)) return false;
      match(
        err.message,
        new RegExp(
          `^Cannot use the schema ${schema}: a pre-release of Rollcall made it`,
        ),
      );
      advice = /run "([^"]+)"/.exec(err.message)?.[1] ?? "";
      return true;
    });
    equal(advice, `drop schema ${schema} cascade`);
    equal(await statusOf(url, 1), "online", "the refusal changed something");

    await query(url, advice);
    await migrateDatabase(url);
    const triggers = await query(
      url,
      "select tgname as name from pg_trigger where tgrelid = 'users'::regclass and not tgisinternal",
    );
    const names = triggers.map(({ name }) => name);
    deepEqual(
      names.filter((name) => /note_deleted_users|tell_renamed/.test(name)),
      [],
    );
    const store = new PostgresStore(url, silentLog);
    await store.join(NODE, 60_000);
    await store.apply(NODE, [2], []);
    // A status that the pre-release left behind is a copy that is wrong.
    deepEqual(await store.sweep(NODE), []);
    equal(await statusOf(url, 1), "offline");
    deepEqual(
      await query(url, "select username from rollcall.online_users"),
      [{ username: "bob" }],
    );
    await store.close();
  });
}

Deno.test("an application's own schema rollcall is not taken for a pre-release's", async () => {
  const url = await postgres.emptyDatabase();
  await query(
    url,
    "create schema rollcall; create table rollcall.migrations (name text)",
  );
  await migrateDatabase(url);
});

Deno.test("an embedded database of a pre-release is refused, and starts after its folder was deleted", async () => {
  const directory = await openFolder("rollcall-postgres-");
  try {
    const first = await startEmbedded(directory, silentLog);
    await query(first.url, preRelease("rollcall_internal", ""));
    await rejects(
      migrateDatabase(first.url),
      /delete the folder \.data\/postgres instead/,
    );
    await first.stop();
    await Deno.remove(`${directory}/postgres`, { recursive: true });
    const second = await startEmbedded(directory, silentLog);
    try {
      await migrateDatabase(second.url);
    } finally {
      await second.stop();
    }
  } finally {
    await Deno.remove(directory, { recursive: true });
  }
});
