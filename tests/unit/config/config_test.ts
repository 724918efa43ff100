import { deepEqual, equal, match, ok, throws } from "node:assert/strict";
import {
  DEMO_TEAMS_TABLE,
  readConfig,
  readDatabaseConfig,
  readTokenConfig,
} from "../../../src/config/config.ts";
import { DEFAULT_USERS } from "../../../src/postgres/users_table.ts";
import { StartError } from "../../../src/base/start_error.ts";
import { TEST_SECRET } from "../../support/server.ts";

const noDemo = () => {
  throw new Error("the secret of demo mode was read outside of demo mode");
};
const read = (env: Record<string, string>) => readConfig(env, noDemo);
const secret = { JWT_SECRET: TEST_SECRET };
const RANDOM_TOKEN = "q7Zt1mXw9aB3cD5eF8gH2jK4nP6rS0uV";

function errors(env: Record<string, string>): string[] {
  try {
    read(env);
  } catch (err) {
    if (!(err instanceof StartError)) throw err;
    return err.message.split("\n  ").slice(1);
  }
  return [];
}

Deno.test("without configuration the server is in demo mode, on loopback, with its own secret and a public list", () => {
  const config = readConfig({}, () => "kept");
  equal(config.demo, true);
  equal(config.host, "127.0.0.1");
  equal(config.port, 8000);
  equal(config.rosterAccess, "public");
  deepEqual(config.database, { kind: "embedded" });
  deepEqual(config.token.key, { kind: "secret", secret: "kept" });
});

Deno.test("with a key the server is not in demo mode, listens on all addresses, and its list needs a token", () => {
  const config = read(secret);
  equal(config.demo, false);
  equal(config.host, "0.0.0.0");
  equal(config.rosterAccess, "token");
  equal(Object.isFrozen(config), true);
});

Deno.test("an empty variable counts as not set", () => {
  equal(read({ ...secret, PORT: "", DATABASE_URL: "" }).port, 8000);
});

Deno.test("DATABASE_URL or PG* variables name the database", () => {
  const url = "postgres://user@host/name";
  deepEqual(read({ ...secret, DATABASE_URL: url }).database, {
    kind: "external",
    url,
  });
  deepEqual(read({ ...secret, PGHOST: "db" }).database, {
    kind: "external",
    url: undefined,
  });
});

Deno.test("all errors are reported at once, each with variable, value and what is expected", () => {
  deepEqual(
    errors({ ...secret, PORT: "70000", LOG_LEVEL: "loud", DRAIN_MS: "-1" }),
    [
      'PORT="70000": expected a whole number from 0 to 65535',
      'DRAIN_MS="-1": expected a whole number from 0 to 5000',
      'LOG_LEVEL="loud": expected debug or info or warn or error',
    ],
  );
});

Deno.test("errors that only several variables show are reported together with the others", () => {
  deepEqual(errors({ PGHOST: "db", PORT: "x", HEARTBEAT_MS: "9000" }), [
    'PORT="x": expected a whole number from 0 to 65535',
    "HEARTBEAT_MS=9000: expected less than half of LEASE_MS, which is 10000",
    "JWT_SECRET and JWT_JWKS_URL are both missing: expected one of them beside a database, which is set by PGHOST; demo mode needs neither",
  ]);
});

const UNREADABLE_URL =
  /^DATABASE_URL=\[hidden, \d+ characters\]: expected a URL such as postgres:\/\/user:password@host\/database; percent-encode the password/;

const refused: Record<string, { env: Record<string, string>; error: RegExp }> =
  {
    "a database without a key": {
      env: { DATABASE_URL: "postgres://x/y" },
      error:
        /^JWT_SECRET and JWT_JWKS_URL are both missing: expected one of them beside a database, which is set by DATABASE_URL; demo mode needs neither$/,
    },
    "libpq's variables without a key": {
      env: { PGHOST: "db", PGDATABASE: "app" },
      error: /which is set by PGHOST and PGDATABASE; demo mode needs neither$/,
    },
    "two keys": {
      env: { ...secret, JWT_JWKS_URL: "https://issuer.example/keys" },
      error: /^JWT_SECRET and JWT_JWKS_URL are both set/,
    },
    "demo mode on an address that others can reach": {
      env: { HOST: "0.0.0.0" },
      error: /^HOST="0\.0\.0\.0": expected 127\.0\.0\.1 or localhost or ::1/,
    },
    "two sources of groups": {
      env: { ...secret, GROUPS_TABLE: "teams", JWT_GROUPS_CLAIM: "teams" },
      error: /^GROUPS_TABLE and JWT_GROUPS_CLAIM are both set/,
    },
    "the demo's teams beside other groups": {
      env: { DEMO_TEAMS: "true", GROUPS_TABLE: "teams" },
      error: /^GROUPS_TABLE and DEMO_TEAMS are both set/,
    },
    "the demo's teams outside of demo mode": {
      env: { ...secret, DEMO_TEAMS: "true" },
      error: /^DEMO_TEAMS="true": expected false outside of demo mode/,
    },
    "a public list with the demo's teams": {
      env: { DEMO_TEAMS: "true", ROSTER_ACCESS: "public" },
      error: /^ROSTER_ACCESS="public": expected token beside DEMO_TEAMS/,
    },
    "a public list with groups of a table": {
      env: { ...secret, GROUPS_TABLE: "teams", ROSTER_ACCESS: "public" },
      error: /^ROSTER_ACCESS="public": expected token beside GROUPS_TABLE/,
    },
    "a public list with groups of tokens": {
      env: { ...secret, JWT_GROUPS_CLAIM: "teams", ROSTER_ACCESS: "public" },
      error: /^ROSTER_ACCESS="public": expected token beside JWT_GROUPS_CLAIM/,
    },
    "a heartbeat of half of the lease": {
      env: { ...secret, LEASE_MS: "6000", HEARTBEAT_MS: "3000" },
      error:
        /^HEARTBEAT_MS=3000: expected less than half of LEASE_MS, which is 6000/,
    },
    "an origin with a * inside": {
      env: { ...secret, ALLOWED_ORIGINS: "https://*.example" },
      error:
        /^ALLOWED_ORIGINS="https:\/\/\*\.example": expected no \* inside of an origin: write each origin out/,
    },
    "a * beside an origin": {
      env: { ...secret, ALLOWED_ORIGINS: "*,https://a.example" },
      error: /^ALLOWED_ORIGINS="\*,https:\/\/a\.example": expected \* alone/,
    },
    "an origin with a path": {
      env: { ...secret, ALLOWED_ORIGINS: "https://a.example/path" },
      error:
        /^ALLOWED_ORIGINS="https:\/\/a\.example\/path": expected \* or a comma-separated list .*, without a path or a \/ at the end$/,
    },
    "an origin with a slash at its end": {
      env: { ...secret, ALLOWED_ORIGINS: "https://a.example/" },
      error:
        /^ALLOWED_ORIGINS="https:\/\/a\.example\/": .*, without a path or a \/ at the end$/,
    },
    "a database that is not Postgres": {
      env: { ...secret, DATABASE_URL: "mysql://u:topsecret@h/d" },
      error:
        /^DATABASE_URL=\[hidden, 23 characters\]: expected a URL that starts with postgres/,
    },
    "a password with a slash in DATABASE_URL": {
      env: { ...secret, DATABASE_URL: "postgres://u:topsecret/1@h/d" },
      error: UNREADABLE_URL,
    },
    "a password with digits and a slash in DATABASE_URL": {
      env: { ...secret, DATABASE_URL: "postgres://u:42/topsecret@h/d" },
      error: UNREADABLE_URL,
    },
    "a password with digits and a question mark in DATABASE_URL": {
      env: { ...secret, DATABASE_URL: "postgres://u:42?topsecret@h/d" },
      error: UNREADABLE_URL,
    },
    "a password with digits and a hash in DATABASE_URL": {
      env: { ...secret, DATABASE_URL: "postgres://u:42#topsecret@h/d" },
      error: UNREADABLE_URL,
    },
    "a DATABASE_URL that asks for a standby": {
      env: {
        ...secret,
        DATABASE_URL:
          "postgres://u:topsecret@h1,h2/d?target_session_attrs=prefer-standby",
      },
      error:
        /^DATABASE_URL=\[hidden, \d+ characters\]: expected target_session_attrs to be read-write or primary or any, because Rollcall writes$/,
    },
    "a password with a slash in a DATABASE_URL of two hosts": {
      env: { ...secret, DATABASE_URL: "postgres://u:topsecret/1@h1,h2/d" },
      error: UNREADABLE_URL,
    },
    "two hosts in PGHOST": {
      env: { ...secret, PGHOST: "h1,h2" },
      error:
        /^PGHOST="h1,h2": expected one host; several go into DATABASE_URL=/,
    },
    "an empty audience": {
      env: { ...secret, JWT_AUDIENCE: "web,,app" },
      error:
        /^JWT_AUDIENCE="web,,app": expected a comma-separated list of audiences/,
    },
    "an unknown type of user ids": {
      env: { ...secret, USER_ID_TYPE: "serial" },
      error:
        /^USER_ID_TYPE="serial": expected smallint or integer or bigint or uuid or text/,
    },
    "a table of users that may be made, or not": {
      env: { ...secret, CREATE_USERS: "yes" },
      error: /^CREATE_USERS="yes": expected true or false/,
    },
    "user ids in JSON as something else": {
      env: { ...secret, USER_ID_JSON: "bigint" },
      error: /^USER_ID_JSON="bigint": expected number or string/,
    },
    "an admin token with a space": {
      env: { ...secret, ADMIN_TOKEN: `${RANDOM_TOKEN} b` },
      error:
        /^ADMIN_TOKEN=\[hidden, 34 characters\]: expected ASCII without spaces, because it is sent in a header$/,
    },
    "an admin token that is not ASCII": {
      env: { ...secret, ADMIN_TOKEN: `${RANDOM_TOKEN}\u00e9` },
      error: /^ADMIN_TOKEN=\[hidden, 33 characters\]: expected ASCII without/,
    },
    "an admin token of one character, many times": {
      env: { ...secret, ADMIN_TOKEN: "a".repeat(64) },
      error:
        /^ADMIN_TOKEN=\[hidden, 64 characters\]: expected random characters, for example from: openssl rand -base64 32$/,
    },
    "an admin token of one word, many times": {
      env: { ...secret, ADMIN_TOKEN: "password".repeat(5) },
      error: /^ADMIN_TOKEN=\[hidden, 40 characters\]: expected random/,
    },
    "a short admin token": {
      env: { ...secret, ADMIN_TOKEN: "hunter2" },
      error:
        /^ADMIN_TOKEN=\[hidden, 7 characters\]: expected at least 32 bytes/,
    },
    "a short secret": {
      env: { JWT_SECRET: "hunter2" },
      error: /^JWT_SECRET=\[hidden, 7 characters\]: expected at least 32 bytes/,
    },
    "a secret of one character, many times": {
      env: { JWT_SECRET: "a".repeat(64) },
      error:
        /^JWT_SECRET=\[hidden, 64 characters\]: expected random characters, for example from: openssl rand -base64 32$/,
    },
  };

Deno.test("a random secret and admin token are accepted, also of hexadecimal digits", () => {
  for (const random of [RANDOM_TOKEN, "0f8e1d7a2b6c".repeat(3)]) {
    const env = { JWT_SECRET: random, ADMIN_TOKEN: random };
    const { token, adminToken } = read(env);
    deepEqual(token.key, { kind: "secret", secret: random });
    equal(adminToken, random);
  }
});

for (const [name, { env, error }] of Object.entries(refused)) {
  Deno.test(`${name} is refused`, () => {
    const [first, ...others] = errors(env);
    match(first ?? "", error);
    ok(!first?.includes("topsecret"));
    deepEqual(others, []);
  });
}

Deno.test("an origin is the value of an Origin header, also one of an app or an extension", () => {
  for (
    const origin of [
      ...["https://app.example", "http://localhost:5173"],
      ...["capacitor://localhost", "tauri://localhost", "app://obsidian.md"],
      ...["chrome-extension://nmmhkkegccagdldgiimedpiccmgmieda", "file://"],
      "safari-web-extension://5E2F6A1C-0D3B-4C57-9D4E-0B7C3A1F2E6D",
    ]
  ) {
    deepEqual(read({ ...secret, ALLOWED_ORIGINS: origin }).allowedOrigins, [
      origin,
    ]);
  }
  for (
    const text of [
      ...[
        "null",
        "localhost",
        "capacitor:localhost",
        "capacitor://",
        "file:///",
      ],
      ...[
        "capacitor://localhost/",
        "tauri://localhost?",
        "app://a@b",
        "x://a b",
      ],
      ...["https://A.example", "https://a.example:443", "https://a.example/"],
      ...["https://*", "chrome-extension://*", "https://a.example, *"],
    ]
  ) {
    throws(() => read({ ...secret, ALLOWED_ORIGINS: text }), StartError, text);
  }
});

Deno.test("ALLOWED_ORIGINS is a list, or * for all", () => {
  equal(read(secret).allowedOrigins, "*");
  const list = "https://a.example, http://localhost:3000";
  deepEqual(read({ ...secret, ALLOWED_ORIGINS: list }).allowedOrigins, [
    "https://a.example",
    "http://localhost:3000",
  ]);
});

Deno.test("outside of demo mode there is no default secret", () => {
  throws(() => read({ PGHOST: "db" }), StartError);
});

const databaseUrls = [
  "postgres://user:password@host/name",
  "postgres://user:p%40ss@host:5433/name?sslmode=require",
  "postgres://user:p@ss@host/name",
  "postgres://host/name?user=user@server&password=p@ss",
  "postgres:///name?host=/var/run/postgresql",
  "postgres://user@%2Fvar%2Frun%2Fpostgresql/name",
  "postgres://user:password@/name?host=/cloudsql/a:b:c",
  "postgres://user:p@ss@host1:5432,host2:5433/name?target_session_attrs=read-write",
  "postgres:///name?host=host1,host2&port=5432,5433&user=user",
];

for (const url of databaseUrls) {
  Deno.test(`DATABASE_URL may be ${url}`, () => {
    const { database } = read({ ...secret, DATABASE_URL: url });
    deepEqual(database, { kind: "external", url });
  });
}

Deno.test("JWT_AUDIENCE is a list", () => {
  equal(read(secret).token.audiences, undefined);
  const { token } = read({ ...secret, JWT_AUDIENCE: "web, app" });
  deepEqual(token.audiences, ["web", "app"]);
});

Deno.test("[U4] without configuration the users table is users, with integer ids", () => {
  const { users, userIdJson } = read(secret);
  deepEqual(users, DEFAULT_USERS);
  equal(userIdJson, "number");
});

Deno.test("[U4] variables name the users table, its columns, and how its ids look", () => {
  const env = {
    USERS_TABLE: 'auth."Users"',
    USERS_ID: "user_id",
    USERS_NAME: "email",
    USERS_STATUS: "none",
    USER_ID_TYPE: "uuid",
    CREATE_USERS: "true",
    AUTO_PROVISION: "true",
    USER_ID_JSON: "string",
  };
  const expected = {
    table: 'auth."Users"',
    id: "user_id",
    name: "email",
    status: "none",
    idType: "uuid",
    create: true,
    autoProvision: true,
    groups: undefined,
  };
  const config = read({ ...secret, ...env });
  deepEqual(config.users, expected);
  equal(config.userIdJson, "string");
  // `deno task migrate` reads the same.
  deepEqual(readDatabaseConfig(env).users, expected);
});

Deno.test("[V1] groups come from a table or from tokens, and a list without a token shows everybody only without them", () => {
  equal(read(secret).token.groupsClaim, undefined);
  const table = { GROUPS_TABLE: "app.memberships" };
  deepEqual(read({ ...secret, ...table }).users.groups, {
    source: { kind: "table", name: "app.memberships" },
    perUserMax: 100,
  });
  const claim = { JWT_GROUPS_CLAIM: "app.teams", MAX_GROUPS_PER_USER: "7" };
  const { users, token } = read({ ...secret, ...claim });
  const groups = {
    source: { kind: "claim", name: "app.teams" },
    perUserMax: 7,
  } as const;
  deepEqual(users.groups, groups);
  deepEqual([token.groupsClaim, token.groupsPerUserMax], ["app.teams", 7]);
  // `deno task migrate` reads the same.
  deepEqual(readDatabaseConfig(claim).users.groups, groups);
  // In demo mode.
  equal(readConfig({}, () => "kept").rosterAccess, "public");
  equal(readConfig(table, () => "kept").rosterAccess, "token");
  const teams = readConfig({ DEMO_TEAMS: "true" }, () => "kept");
  equal(teams.rosterAccess, "token");
  deepEqual(teams.users.groups?.source, {
    ...{ kind: "table", name: DEMO_TEAMS_TABLE },
  });
  equal(readConfig({}, () => "kept").users.groups, undefined);
});

Deno.test("[U3] a token is signed for the ids of the table that is made, or for any id of another table", () => {
  const idsOf = (env: Record<string, string>) =>
    readTokenConfig({ ...secret, ...env }, noDemo).ids;
  equal(idsOf({}).parse("7"), 7);
  equal(idsOf({}).parse("ada"), undefined);
  equal(
    idsOf({ USER_ID_TYPE: "bigint", USER_ID_JSON: "string" }).parse("7"),
    "7",
  );
  equal(idsOf({ USERS_TABLE: "members" }).parse("ada"), "ada");
});

Deno.test("[P8] a node that stops keeps its users online for the grace at least", () => {
  const graceOf = (env: Record<string, string>) =>
    read({ ...secret, ...env }).drainGraceMs;
  equal(graceOf({}), 5_000);
  equal(graceOf({ OFFLINE_GRACE_MS: "30000" }), 30_000);
  equal(
    graceOf({ OFFLINE_GRACE_MS: "30000", DRAIN_GRACE_MS: "60000" }),
    60_000,
  );
});
