import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import pg from "pg";
import { StartError } from "../../src/base/start_error.ts";
import { MIGRATE_LOCK_MS } from "../../src/postgres/limits.ts";
import { migrate, migrateDatabase } from "../../src/postgres/migrate.ts";
import { postgresForThisFile, query } from "../support/database.ts";

const postgres = postgresForThisFile();

/** Migrates with files of the test's own. */
async function migrateFiles(
  url: string,
  files: Record<string, string>,
  onWait?: (name: string) => void,
): Promise<string[]> {
  const directory = await Deno.makeTempDir();
  await Deno.mkdir(`${directory}/functions`);
  for (const [name, sql] of Object.entries(files)) {
    await Deno.writeTextFile(`${directory}/${name}`, sql);
  }
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    return await migrate(client, new URL(`file://${directory}/`), onWait);
  } finally {
    await client.end();
    await Deno.remove(directory, { recursive: true });
  }
}

/** A file of functions: one that returns this text. */
function answering(name: string, text: string): string {
  return `create or replace function ${name}() returns text language sql as $$ select '${text}' $$`;
}

Deno.test("numbered files are applied once and in order, and other files are ignored", async () => {
  const url = await postgres.emptyDatabase();
  const files = {
    "0002_two.sql": "alter table t add column two int",
    "0001_one.sql": "create table t (one int)",
    "notes.txt": "not sql",
  };
  deepEqual(await migrateFiles(url, files), ["0001_one.sql", "0002_two.sql"]);
  deepEqual(await migrateFiles(url, files), []);
  const more = {
    ...files,
    "0003_three.sql": "alter table t add column three int",
  };
  deepEqual(await migrateFiles(url, more), ["0003_three.sql"]);
});

Deno.test("a file that fails is named in the error, and changes nothing", async () => {
  const url = await postgres.emptyDatabase();
  const files = { "0001_one.sql": "create table t (one int); select oops" };
  await rejects(
    migrateFiles(url, files),
    /Cannot apply migrations\/0001_one\.sql: .*oops/,
  );
  deepEqual(
    await query(url, "select from pg_tables where tablename = 't'"),
    [],
  );
  deepEqual(await query(url, "select from rollcall_internal.migrations"), []);
});

Deno.test("while a migration waits for a lock, other statements on the table go through", async () => {
  const url = await postgres.emptyDatabase();
  const files = { "0001_one.sql": "create table t (one int)" };
  await migrateFiles(url, files);
  const application = new pg.Client(url);
  await application.connect();
  await application.query("begin");
  await application.query("select from t");
  const waits = Promise.withResolvers<string>();
  const migrating = migrateFiles(url, {
    ...files,
    "0002_two.sql": "alter table t add column two int",
  }, waits.resolve);
  equal(await waits.promise, "0002_two.sql");
  // Long enough for the migration to wait for the lock several times.
  const startedAt = performance.now();
  let longestMs = 0;
  while (performance.now() - startedAt < 3 * MIGRATE_LOCK_MS) {
    const sentAt = performance.now();
    await query(url, "select from t");
    longestMs = Math.max(longestMs, performance.now() - sentAt);
  }
  ok(
    longestMs < 3 * MIGRATE_LOCK_MS,
    `a statement took ${longestMs.toFixed(0)} ms`,
  );
  await application.query("commit");
  await application.end();
  deepEqual(await migrating, ["0002_two.sql"]);
});

Deno.test("a numbered file that was edited after it was applied is refused by name", async () => {
  const url = await postgres.emptyDatabase();
  await migrateFiles(url, { "0001_one.sql": "create table t (one int)" });
  await rejects(
    migrateFiles(url, { "0001_one.sql": "create table t (two int)" }),
    /migrations\/0001_one\.sql was edited/,
  );
});

Deno.test("a server without a migration that is breaking refuses to start", async () => {
  const url = await postgres.emptyDatabase();
  await migrateFiles(url, {
    "0001_one.sql": "",
    "0002_two.sql": "-- breaking",
  });
  await rejects(
    migrateFiles(url, { "0001_one.sql": "" }),
    /0002_two\.sql, which is not in/,
  );
});

Deno.test("a server without a migration that is not breaking starts, and applies nothing", async () => {
  const url = await postgres.emptyDatabase();
  const older = {
    "0001_one.sql": "create table t (one int)",
    "functions/f.sql": answering("f", "older"),
  };
  const newer = {
    ...older,
    "0002_two.sql": "-- compatible\n-- breaking counts in the first line only",
    "functions/f.sql": answering("f", "newer"),
  };
  await migrateFiles(url, newer);
  deepEqual(await migrateFiles(url, older), []);
  deepEqual(await query(url, "select f() as f"), [{ f: "newer" }]);
});

Deno.test("functions are applied after the numbered files, and again when their text changes", async () => {
  const url = await postgres.emptyDatabase();
  const files = {
    "0001_one.sql": "create table t (one int)",
    "functions/f.sql": `-- reads t\n${answering("f", "first")}`,
    "functions/g.sql": answering("g", "first"),
  };
  deepEqual(await migrateFiles(url, files), [
    "0001_one.sql",
    "functions/f.sql",
    "functions/g.sql",
  ]);
  deepEqual(await migrateFiles(url, files), []);
  const changed = { ...files, "functions/g.sql": answering("g", "second") };
  deepEqual(await migrateFiles(url, changed), ["functions/g.sql"]);
  deepEqual(await query(url, "select f() as f, g() as g"), [
    { f: "first", g: "second" },
  ]);
  deepEqual(await migrateFiles(url, changed), []);
});

Deno.test("functions that changed are applied all or none", async () => {
  const url = await postgres.emptyDatabase();
  await migrateFiles(url, {
    "functions/f.sql": answering("f", "first"),
    "functions/g.sql": answering("g", "first"),
  });
  const second = {
    "functions/f.sql": answering("f", "second"),
    "functions/g.sql": answering("g", "second"),
  };
  await rejects(
    migrateFiles(url, { ...second, "functions/g.sql": "oops" }),
    /Cannot apply migrations\/functions\/g\.sql: .*oops/,
  );
  const both = "select f() as f, g() as g";
  deepEqual(await query(url, both), [{ f: "first", g: "first" }]);
  deepEqual(await migrateFiles(url, second), [
    "functions/f.sql",
    "functions/g.sql",
  ]);
  deepEqual(await query(url, both), [{ f: "second", g: "second" }]);
});

Deno.test("ten servers that start together apply each file once", async () => {
  const url = await postgres.emptyDatabase();
  const results = await Promise.all(
    Array.from({ length: 10 }, () => migrateDatabase(url)),
  );
  equal(results.filter((applied) => applied.length > 0).length, 1);
});

Deno.test("an application's table users is used as it is, and gets the columns that it lacks", async () => {
  const url = await postgres.emptyDatabase();
  await query(
    url,
    `create table users (id integer generated always as identity primary key, username varchar(40), email text);
     insert into users (username, email) values ('ada', 'a@x'), (null, 'b@x')`,
  );
  await migrateDatabase(url);
  deepEqual(await query(url, "select * from users order by id"), [
    {
      id: 1,
      username: "ada",
      email: "a@x",
      status: "offline",
      status_changed_at: null,
    },
    {
      id: 2,
      username: null,
      email: "b@x",
      status: "offline",
      status_changed_at: null,
    },
  ]);
});

Deno.test("a status column that exists keeps its values", async () => {
  const url = await postgres.emptyDatabase();
  await query(
    url,
    "create table users (id integer primary key, username text, status text); insert into users values (1, 'ada', 'online')",
  );
  await migrateDatabase(url);
  const [{ status }] = await query(url, "select status from users");
  equal(status, "online");
});

const unfit: Record<string, { sql: string; says: RegExp }> = {
  "an id of another type": {
    sql: "create table users (id bigint primary key, username text)",
    says: /column users\.id is bigint; expected integer/,
  },
  "no username": {
    sql: "create table users (id integer primary key)",
    says:
      /column users\.username is missing; expected text or character varying/,
  },
  "an id that is not unique": {
    sql: "create table users (id integer, username text)",
    says: /column users\.id is not unique; expected a primary key/,
  },
  "a status of another meaning": {
    sql:
      "create table users (id integer primary key, username text, status text); insert into users values (1, 'ada', 'active')",
    says: /column users\.status holds 'active'; expected 'online' or 'offline'/,
  },
};

for (const [name, { sql, says }] of Object.entries(unfit)) {
  Deno.test(`a users table with ${name} is refused and stays as it was`, async () => {
    const url = await postgres.emptyDatabase();
    await query(url, sql);
    const columns =
      "select column_name from information_schema.columns where table_name = 'users'";
    const before = await query(url, columns);
    await rejects(
      migrateDatabase(url),
      (err) => err instanceof StartError && says.test(err.message),
    );
    deepEqual(await query(url, columns), before);
  });
}
