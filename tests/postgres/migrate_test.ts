import { deepEqual, equal, ok, rejects } from "node:assert/strict";
import pg from "pg";
import { StartError } from "../../src/base/start_error.ts";
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

Deno.test("files are applied in order, once, and other files are left alone", async () => {
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

Deno.test("a file that fails is named, and leaves nothing of itself", async () => {
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

Deno.test("a migration that waits for somebody's transaction holds up nobody else for long", async () => {
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
  const startedAt = performance.now();
  for (let n = 0; n < 20; n++) await query(url, "select from t");
  const tookMs = performance.now() - startedAt;
  ok(tookMs < 4_000, `twenty questions took ${tookMs.toFixed(0)} ms`);
  await application.query("commit");
  await application.end();
  deepEqual(await migrating, ["0002_two.sql"]);
});

Deno.test("an edited file that was applied is refused by name", async () => {
  const url = await postgres.emptyDatabase();
  await migrateFiles(url, { "0001_one.sql": "create table t (one int)" });
  await rejects(
    migrateFiles(url, { "0001_one.sql": "create table t (two int)" }),
    /migrations\/0001_one\.sql was edited/,
  );
});

Deno.test("a database with a breaking migration that the files lack is refused", async () => {
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

Deno.test("ten servers that start together apply each file once", async () => {
  const url = await postgres.emptyDatabase();
  const results = await Promise.all(
    Array.from({ length: 10 }, () => migrateDatabase(url)),
  );
  equal(results.filter((applied) => applied.length > 0).length, 1);
});

Deno.test("an application's users table is adopted with its rows", async () => {
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

Deno.test("a status column that is there already is kept", async () => {
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
  Deno.test(`a users table with ${name} is refused and left as it was`, async () => {
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
