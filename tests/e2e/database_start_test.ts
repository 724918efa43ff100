/** What a server does at start when it cannot use the database, and somebody has to change something. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { connect } from "../support/client.ts";
import {
  postgresForThisFile,
  query,
  statusOf,
  uniqueName,
} from "../support/database.ts";
import { describeSchema } from "../support/schema.ts";
import { runFile, startServerOn, TEST_SECRET } from "../support/server.ts";

const postgres = postgresForThisFile();

Deno.test("a role without the right to make the schema ends the start with 2 and the missing right", async () => {
  const url = new URL(await postgres.emptyDatabase());
  const role = uniqueName("lowly");
  await query(url.href, `create role ${role} login password 'secret'`);
  url.username = role;
  url.password = "secret";
  const env = { DATABASE_URL: url.href, JWT_SECRET: TEST_SECRET };
  const { code, stderr } = await runFile("main.ts", [], { env });
  equal(code, 2);
  match(
    stderr,
    /^Cannot prepare the schema rollcall_internal: permission denied/,
  );
});

/** A database with the schema, and a role with the rights to serve and no others. */
async function serverRole() {
  const owner = await postgres.database();
  const url = new URL(owner);
  const role = uniqueName("server");
  await query(
    owner,
    `create role ${role} login password 'secret';
     grant select, update on users to ${role};
     grant usage on schema rollcall_internal to ${role};
     grant select, insert, update, delete on all tables in schema rollcall_internal to ${role};
     grant execute on all functions in schema rollcall_internal to ${role}`,
  );
  [url.username, url.password] = [role, "secret"];
  return { owner, role, url: url.href };
}

Deno.test("a role that may use the schema and not change it can serve", async () => {
  const { owner, url } = await serverRole();
  await using server = await startServerOn(url);
  await using ada = await connect(server.url, 1);
  await using _bob = await connect(server.url, 2);
  await ada.receives("user_online", 2);
  equal(await statusOf(owner, 2), "online");
});

const lacking = {
  presence: "update on rollcall_internal.presence",
  feed: "insert on rollcall_internal.feed",
  nodes: "insert on rollcall_internal.nodes",
  head: "select on rollcall_internal.head",
  renew: "execute on function rollcall_internal.renew",
};

for (const [name, right] of Object.entries(lacking)) {
  Deno.test(`a role that lacks ${right} ends the start with 2 and one sentence with the grants`, async () => {
    const { owner, role, url } = await serverRole();
    await query(owner, `revoke ${right} from ${role}`);
    const env = { DATABASE_URL: url, JWT_SECRET: TEST_SECRET, PORT: "0" };
    const { code, stderr } = await runFile("main.ts", [], { env });
    equal(code, 2);
    equal(
      stderr,
      `Cannot serve: the role ${role} lacks rights in rollcall_internal (${name}); as an owner or a superuser, run: grant usage on schema rollcall_internal to ${role}; grant select, insert, update, delete on all tables in schema rollcall_internal to ${role}; grant execute on all functions in schema rollcall_internal to ${role}\n`,
    );
  });
}

Deno.test("what the database refuses while the node joins ends the start with 2 and one sentence", async () => {
  const DATABASE_URL = await postgres.database();
  await query(
    DATABASE_URL,
    `create function refuse() returns trigger language plpgsql as
       $$ begin raise 'no node today'; end $$;
     create trigger refuse before insert on rollcall_internal.nodes
       for each row execute function refuse()`,
  );
  const env = { DATABASE_URL, JWT_SECRET: TEST_SECRET, PORT: "0" };
  const { code, stderr } = await runFile("main.ts", [], { env });
  equal(code, 2);
  equal(stderr, 'Cannot start: the database answers "no node today"\n');
});

const wrongUrls: Record<string, { change: (url: URL) => void; says: RegExp }> =
  {
    "the password is wrong": {
      change: (url) => url.password = "hunter2",
      says: /password/,
    },
    "there is no such database": {
      change: (url) => url.pathname = "/nowhere",
      says: /"nowhere" does not exist/,
    },
  };

/** Another server than the embedded one, which accepts every password. */
const acceptsAll = Deno.env.get("TEST_DATABASE_URL")?.includes("@") &&
  new URL(Deno.env.get("TEST_DATABASE_URL") ?? "").password === "";

for (const [name, { change, says }] of Object.entries(wrongUrls)) {
  const title =
    `a wrong DATABASE_URL ends the start with 2 and the reason: ${name}`;
  const ignore = acceptsAll === true && name === "the password is wrong";
  Deno.test(title, { ignore }, async () => {
    const url = new URL(await postgres.emptyDatabase());
    change(url);
    const startedAt = performance.now();
    const env = { DATABASE_URL: url.href, JWT_SECRET: TEST_SECRET };
    const { code, stderr } = await runFile("main.ts", [], { env });
    equal(code, 2);
    ok(performance.now() - startedAt < 10_000);
    match(stderr, /^Cannot connect to postgres:\/\/\w+@127\.0\.0\.1/);
    match(stderr, says);
    match(stderr, /DATABASE_URL/);
    ok(
      url.password === "" || !stderr.includes(url.password),
      "the password is shown",
    );
  });
}

interface Unfit {
  readonly sql: string;
  readonly env?: Record<string, string>;
  readonly says: RegExp;
}

const PLAN = "create table users (id integer primary key, username text);";

const unfit: Record<string, Unfit> = {
  "the table": {
    sql: "create table auth_user (id integer primary key, username text)",
    says:
      /^Cannot find a table named users; there is public\.auth_user: set USERS_TABLE=public\.auth_user /,
  },
  "a column": {
    sql: PLAN,
    env: { USERS_TABLE: "public.users", USERS_NAME: "email" },
    says:
      /^Cannot read names from public\.users: it has no column email; set USERS_NAME to one of id, username$/,
  },
  "a type": {
    sql: PLAN,
    env: { USERS_STATUS: "id" },
    says: /^Cannot copy the status into public\.users\.id: it is integer; /,
  },
  "a right": {
    sql: `${PLAN} grant select (id) on users to ROLE`,
    says: /^Cannot use the users table public\.users: .* run: grant select /,
  },
  "a policy": {
    sql:
      `${PLAN} grant select on users to ROLE; alter table users enable row level security`,
    says:
      /^Cannot read users from public\.users: row level security hides rows/,
  },
};

for (const [what, { sql, env = {}, says }] of Object.entries(unfit)) {
  Deno.test(`[U4] ${what} that is wrong or missing ends the start with 2 and one sentence, and the database stays as it was`, async () => {
    const url = new URL(await postgres.emptyDatabase());
    const owner = url.href;
    const role = uniqueName("server");
    await query(
      owner,
      `create role ${role} login password 'secret';
       grant create on database ${url.pathname.slice(1)} to ${role};
       grant create on schema public to ${role};
       ${sql.replaceAll("ROLE", role)};
       ${/grant|auth_user/.test(sql) ? "" : `grant all on users to ${role}`}`,
    );
    const state = async () => [
      await describeSchema(owner),
      await query(owner, "select nspname from pg_namespace order by 1"),
    ];
    const before = await state();
    [url.username, url.password] = [role, "secret"];
    const { code, stderr } = await runFile("main.ts", [], {
      env: { DATABASE_URL: url.href, JWT_SECRET: TEST_SECRET, ...env },
    });
    equal(code, 2);
    match(stderr.trim(), says);
    equal(stderr.trim().split("\n").length, 1, stderr);
    deepEqual(await state(), before);
  });
}
