/**
 * For each framework of docs/database.md: its users table, the documented variables and rights, and
 * a server as a role of its own. The clients connect and disconnect, and the application's schema and rows stay as they are.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import type { JWTPayload } from "jose";
import {
  formatIdList,
  type UserId,
} from "../../src/client/protocol/user_id.ts";
import { postgresForThisFile, query } from "../support/database.ts";
import { agree } from "../support/documents.ts";
import { startServer } from "../support/server.ts";
import { connectSync } from "../support/sync_client.ts";
import { untilEqual } from "../support/until.ts";
import {
  adapted,
  type Application,
  explained,
  locksOf,
  makeApplication,
  type Picture,
  pictureOf,
} from "./application.ts";
import { documented, documentedFrameworks } from "./documented.ts";
import { type Issuer, keySetIssuer, secretIssuer } from "./issuer.ts";

interface Framework {
  /** The file in `schemas/`. Without one there is no table: tokens make the rows. */
  readonly schema?: string;
  /** How the issuer signs, if it is not the application with the shared secret. */
  readonly alg?: "RS256" | "ES256" | "EdDSA";
  /** Two users of the table, with the names that are shown. */
  readonly users: readonly [User, User];
  /** An id of the right type that is in no row. */
  readonly unknown: UserId;
  /** Claims of a token beside `sub`, `iss` and `aud`. */
  readonly claims?: (user: User) => JWTPayload;
  /** The role that runs the documented statements, if it is no superuser. */
  readonly grantor?: string;
  /** The table that is made. */
  readonly makes?: string;
}

interface User {
  readonly id: UserId;
  readonly name: string;
}

const NUMBERED = {
  users: [{ id: 1, name: "Ada" }, { id: 2, name: "Bob" }],
  unknown: 3,
} as const;

/** Ids where there is no column for a name. */
const NAMELESS = {
  users: [{ id: 1, name: "1" }, { id: 2, name: "2" }],
  unknown: 3,
} as const;

const SUPABASE = {
  schema: "supabase.sql",
  alg: "ES256",
  users: [
    { id: "7d9f1c52-3a44-4b6e-9c1e-2f0a5b6c7d8e", name: "ada" },
    { id: "8e0a2d63-4b55-4c7f-8d2f-3a1b6c7d8e9f", name: "bob" },
  ],
  unknown: "9f1b3e74-5c66-4d80-9e30-4b2c7d8e9f00",
  claims: () => ({ role: "authenticated", session_id: crypto.randomUUID() }),
} as const;

const CLERK = {
  alg: "RS256",
  users: [
    { id: "user_2NNEqL2nrIRdJ194ndJqAHwEfxC", name: "Ada" },
    { id: "user_2OPFrM3osJSeK205oeKrBIxFgyD", name: "Bob" },
  ],
  unknown: "user_2QRGsN4ptKTfL316pfLsCJyGhzE",
  claims: ({ name }: User) => ({ username: name, azp: "https://app.example" }),
} as const;

const FRAMEWORKS: Readonly<Record<string, Framework>> = {
  "Rails": { schema: "rails.sql", ...NAMELESS },
  "Django": {
    schema: "django.sql",
    users: [{ id: 1, name: "ada" }, { id: 2, name: "bob" }],
    unknown: 3,
  },
  "Laravel": { schema: "laravel.sql", ...NUMBERED },
  "Phoenix": { schema: "phoenix.sql", ...NAMELESS },
  "Prisma": {
    schema: "prisma.sql",
    users: [{ id: 1, name: "Ada" }, { id: 2, name: "" }],
    unknown: 3,
  },
  "Drizzle": { schema: "drizzle.sql", ...NUMBERED },
  "Supabase with profiles": SUPABASE,
  "Supabase with auth.users": { ...SUPABASE, grantor: "supabase_owner" },
  "Better Auth": {
    schema: "better_auth.sql",
    alg: "EdDSA",
    users: [
      { id: "gZk0Yq3vXc9sTn2LwB7mRj4HfD1pAe8U", name: "Ada" },
      { id: "aB3dE5fG7hJ9kL1mN3pQ5rS7tV9wX1yZ", name: "Bob" },
    ],
    unknown: "bC4eF6gH8iK0lM2nO4qR6sT8uW0xY2zA",
  },
  "Auth.js": {
    schema: "auth_js.sql",
    users: [{ id: 1, name: "Ada" }, { id: 2, name: "" }],
    unknown: 3,
  },
  "Keycloak": {
    schema: "keycloak.sql",
    alg: "RS256",
    users: [
      { id: "0b6a8a4e-8b7e-4b07-9a59-6f1d2f3c4d5e", name: "ada" },
      { id: "1c7b9b5f-9c8f-4c18-8b6a-7a2e3a4d5e6f", name: "bob" },
    ],
    unknown: "2d8c0c60-0d90-4d29-9c7b-8b3f4b5e6f70",
    claims: () => ({ aud: "account", typ: "Bearer" }),
  },
  "Clerk": { ...CLERK, makes: "public.users" },
  "Clerk with a table of your own": { ...CLERK, schema: "clerk_id.sql" },
  "Auth0": {
    schema: "clerk_id.sql",
    alg: "RS256",
    users: [
      { id: "auth0|507f1f77bcf86cd799439011", name: "Ada" },
      { id: "google-oauth2|103547991597142817347", name: "Bob" },
    ],
    unknown: "",
    claims: ({ name }: User) => ({ "https://app.example/name": name }),
    makes: "public.rollcall_users",
  },
};

const postgres = postgresForThisFile();

Deno.test("database.md and the tests have the same frameworks", () => {
  agree(documentedFrameworks(), Object.keys(FRAMEWORKS));
});

for (const [heading, framework] of Object.entries(FRAMEWORKS)) {
  Deno.test(`[U2] ${heading}: clients connect and disconnect, and the application's schema and rows stay as they are`, async () => {
    const { env, statements } = documented(heading);
    const application = await makeApplication(postgres, framework.schema);
    await grant(application, statements, env, framework.grantor);
    const before = await pictureOf(application);
    const rows = await usersOf(application, framework);
    await using issuer = await issuerOf(framework);
    const run = { ...framework, env, issuer };
    await serve(application, run);
    // A second start finds what the first one made.
    await serve(application, run);
    deepEqual(await usersOf(application, framework), rows);
    expectUnchanged(before, await pictureOf(application), framework.makes);
  });
}

/** Runs the documented statements, which are those that the role lacks. */
async function grant(
  application: Application,
  statements: readonly string[],
  env: Readonly<Record<string, string>>,
  grantor?: string,
): Promise<void> {
  const all = statements.map((statement) => adapted(application, statement));
  const grants = all.filter((statement) => /^(grant|alter)/.test(statement));
  const { owner } = application;
  if (grantor === undefined) {
    for (const statement of all) await query(owner, statement);
  } else {
    await query(
      owner,
      `grant create on database ${application.database} to ${grantor} with grant option`,
    );
    await query(owner, `set role ${grantor}; ${all.join("; ")}`);
  }
  const { needed, lacking } = await explained(application, env);
  agree(grants, needed);
  deepEqual(lacking, []);
}

async function issuerOf({ alg }: Framework): Promise<Issuer> {
  return alg === undefined ? secretIssuer() : await keySetIssuer(alg);
}

/** The rows of every table of the application, to show that none was written. */
async function usersOf(
  { owner }: Application,
  { makes }: Framework,
): Promise<unknown> {
  const tables = await query(
    owner,
    `select format('%I.%I', schemaname, tablename) as name from pg_tables
      where schemaname not in ('pg_catalog', 'information_schema', 'rollcall', 'rollcall_internal')
        and format('%I.%I', schemaname, tablename) is distinct from $1 order by 1`,
    [makes],
  );
  const contents: unknown[] = [];
  for (const { name } of tables) {
    contents.push(
      name,
      await query(
        owner,
        `select t.*, t.xmin::text, t.ctid::text from ${name} t order by t.ctid`,
      ),
    );
  }
  return contents;
}

interface Run extends Framework {
  readonly env: Readonly<Record<string, string>>;
  readonly issuer: Issuer;
}

async function serve(application: Application, run: Run): Promise<void> {
  const { env, issuer, users: [ada, bob] } = run;
  const iss = env.JWT_ISSUER;
  const aud = env.JWT_AUDIENCE;
  const tokenOf = (user: User) =>
    issuer.sign({
      ...iss === undefined ? {} : { iss },
      ...aud === undefined ? {} : { aud },
      ...run.claims?.(user),
      sub: String(user.id),
    });
  await using server = await startServer({
    env: { ...env, ...issuer.env, DATABASE_URL: application.url },
  });
  const listed = async (query: string, user: User) => {
    const headers = { authorization: `Bearer ${await tokenOf(user)}` };
    const response = await fetch(`${server.url}users/online${query}`, {
      headers,
    });
    equal(response.status, 200);
    const { online_users } = await response.json();
    return online_users.map((one: Record<string, unknown>) => ({
      id: one.id,
      name: one.username,
    }));
  };

  {
    await using watcher = await connectSync(server.url, bob.id, {
      token: await tokenOf(bob),
      watch: [ada.id],
    });
    deepEqual((await watcher.receives("presence_state")).users, []);
    {
      await using client = await connectSync(server.url, ada.id, {
        token: await tokenOf(ada),
      });
      const { online } = await watcher.receives("presence_diff");
      deepEqual(online.map(({ id }) => id), [ada.id]);
      await client.receives("presence_state");
      deepEqual(
        (await listed("", ada)).sort(byId),
        [ada, bob].sort(byId),
      );
      deepEqual(await listed(`?ids=${formatIdList([ada.id])}`, bob), [ada]);
      deepEqual(
        await statuses(application),
        [
          { id: String(ada.id), status: "online" },
          { id: String(bob.id), status: "online" },
        ].sort(byId),
      );
    }
    const { offline } = await watcher.receives("presence_diff", 1);
    deepEqual(offline, [ada.id]);
  }
  await untilEqual("nobody is listed", () => listed("", bob), []);
  await refuseUnknown(server.url, run, tokenOf);
  deepEqual((await statuses(application)).map(({ status }) => status), [
    "offline",
    "offline",
  ]);
  await untilEqual("no lock is left", () => locksOf(application), 0);
  deepEqual(server.log.filter((line) => /"level":(50|"error")/.test(line)), []);
}

/** A user without a row is refused, unless tokens make the rows. */
async function refuseUnknown(
  url: string,
  { unknown, env }: Run,
  tokenOf: (user: User) => Promise<string>,
): Promise<void> {
  if (env.AUTO_PROVISION === "true") return;
  const token = await tokenOf({ id: unknown, name: "nobody" });
  await using client = await connectSync(url, unknown, { token });
  deepEqual(await client.closed, { code: 1008, reason: "unknown user" });
}

async function statuses(
  { owner }: Application,
): Promise<{ id: string; status: string }[]> {
  return await query(
    owner,
    'select user_id::text as id, status from rollcall.presence order by user_id::text collate "C"',
  );
}

function byId(a: { id: UserId }, b: { id: UserId }): number {
  return String(a.id) < String(b.id) ? -1 : 1;
}

function expectUnchanged(before: Picture, after: Picture, makes?: string) {
  if (makes === undefined) {
    deepEqual(after, before);
    return;
  }
  const name = makes.replace("public.", "");
  const isOurs = (line: string) =>
    new RegExp(`\\b${name}(_pkey|_id_check|_[a-z]+_not_null)?\\b`).test(line);
  const added = after.objects.filter((line) => !before.objects.includes(line));
  ok(added.length > 0);
  deepEqual(added.filter((line) => !isOurs(line)), []);
  deepEqual(before.objects.filter((line) => !after.objects.includes(line)), []);
}
