import { deepEqual, equal, match, ok, rejects } from "node:assert/strict";
import pg from "pg";
import { MIGRATE_LOCK_MS } from "../../src/postgres/limits.ts";
import { migrate, migrateDatabase } from "../../src/postgres/migrate.ts";
import { DEFAULT_USERS } from "../../src/postgres/users_table.ts";
import { postgresForThisFile, query } from "../support/database.ts";

const postgres = postgresForThisFile();

/** Migrates with files of the test's own. */
async function migrateFiles(
  url: string,
  files: Record<string, string>,
  onWait?: (holder: string) => void,
): Promise<readonly string[]> {
  const directory = await Deno.makeTempDir();
  await Deno.mkdir(`${directory}/functions`);
  for (const [name, sql] of Object.entries(files)) {
    await Deno.writeTextFile(`${directory}/${name}`, sql);
  }
  const client = new pg.Client({ connectionString: url });
  await client.connect();
  try {
    const url = new URL(`file://${directory}/`);
    return (await migrate(client, DEFAULT_USERS, url, onWait)).applied;
  } finally {
    await client.end();
    await Deno.remove(directory, { recursive: true });
  }
}

/** A file of functions: one that returns this text. */
function answering(name: string, text: string): string {
  return `create or replace function public.${name}() returns text language sql as $$ select '${text}' $$`;
}

Deno.test("numbered files are applied once and in order, and other files are ignored", async () => {
  const url = await postgres.emptyDatabase();
  const files = {
    "0002_two.sql": "alter table public.t add column two int",
    "0001_one.sql": "create table public.t (one int)",
    "notes.txt": "not sql",
  };
  deepEqual(await migrateFiles(url, files), ["0001_one.sql", "0002_two.sql"]);
  deepEqual(await migrateFiles(url, files), []);
  const more = {
    ...files,
    "0003_three.sql": "alter table public.t add column three int",
  };
  deepEqual(await migrateFiles(url, more), ["0003_three.sql"]);
});

Deno.test("a file that fails is named in the error, and changes nothing", async () => {
  const url = await postgres.emptyDatabase();
  const files = {
    "0001_one.sql": "create table public.t (one int); select oops",
  };
  await rejects(
    migrateFiles(url, files),
    /Cannot apply migrations\/0001_one\.sql: .*oops/,
  );
  const objects = await query(
    url,
    `select from pg_class c where c.relnamespace = 'public'::regnamespace
      union all select from pg_namespace where nspname like 'rollcall%'`,
  );
  deepEqual(objects, []);
});

Deno.test("while a migration waits for a lock, other statements on the table go through", async () => {
  const url = await postgres.emptyDatabase();
  const files = { "0001_one.sql": "create table public.t (one int)" };
  await migrateFiles(url, files);
  const application = new pg.Client(url);
  await application.connect();
  await application.query("begin");
  await application.query("select from t");
  const waits = Promise.withResolvers<string>();
  const migrating = migrateFiles(url, {
    ...files,
    "0002_two.sql": "alter table public.t add column two int",
  }, waits.resolve);
  match(await waits.promise, /^a transaction of the application/);
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
  await migrateFiles(url, {
    "0001_one.sql": "create table public.t (one int)",
  });
  await rejects(
    migrateFiles(url, { "0001_one.sql": "create table public.t (two int)" }),
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
    "0001_one.sql": "create table public.t (one int)",
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
    "0001_one.sql": "create table public.t (one int)",
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
  equal(results.filter(({ applied }) => applied.length > 0).length, 1);
  equal(results.filter(({ madeUsers }) => madeUsers).length, 1);
});

Deno.test("a server that waits for another one's migration says which process of which role holds the lock", async () => {
  const url = await postgres.database();
  const other = new pg.Client({ connectionString: url, application_name: "x" });
  await other.connect();
  await other.query("begin");
  await other.query(
    "select from rollcall_internal.migration_lock for update",
  );
  const client = new pg.Client(url);
  await client.connect();
  const waits = Promise.withResolvers<string>();
  const migrating = migrate(client, DEFAULT_USERS, undefined, waits.resolve);
  const { rows: [{ pid, role }] } = await other.query(
    "select pg_backend_pid() as pid, current_user as role",
  );
  match(
    await waits.promise,
    new RegExp(`^x of ${role} on .*, process ${pid}, since \\d{4}-`),
  );
  await other.query("commit");
  await other.end();
  deepEqual((await migrating).applied, []);
  await client.end();
});

Deno.test("a migration leaves nothing set on its connection, which may be one of a pooler", async () => {
  const url = await postgres.emptyDatabase();
  const client = new pg.Client(url);
  await client.connect();
  const settings = async () =>
    (await client.query(
      "select name, setting from pg_settings where source = 'session'",
    )).rows;
  const before = await settings();
  await migrate(client);
  deepEqual(await settings(), before);
  const { rows } = await client.query(
    "select from pg_locks where pid = pg_backend_pid() and locktype = 'advisory'",
  );
  deepEqual(rows, []);
  await client.end();
});

Deno.test("the feed of a new database starts at a random high place", async () => {
  const seqs: number[] = [];
  for (let n = 0; n < 2; n++) {
    const url = await postgres.emptyDatabase();
    await migrateDatabase(url);
    const [row] = await query(url, "select seq from rollcall_internal.counter");
    seqs.push(Number(row.seq));
  }
  const [first = 0, second = 0] = seqs;
  for (const seq of seqs) ok(seq >= 2 ** 32 && seq < 2 ** 51, `${seq}`);
  // A ring of transitions apart: a client of one history never resumes into the other.
  ok(Math.abs(first - second) > 1_000_000);
});
