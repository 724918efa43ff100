import { deepEqual, equal, match, throws } from "node:assert/strict";
import { readConfig } from "../../../src/config/config.ts";
import { StartError } from "../../../src/base/start_error.ts";
import { TEST_SECRET } from "../../support/server.ts";

const noDemo = () => {
  throw new Error("the secret of demo mode was read outside of demo mode");
};
const read = (env: Record<string, string>) => readConfig(env, noDemo);
const secret = { JWT_SECRET: TEST_SECRET };

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
    "JWT_SECRET and JWT_JWKS_URL are both missing: expected one of them beside a database",
  ]);
});

const refused: Record<string, { env: Record<string, string>; error: RegExp }> =
  {
    "a database without a key": {
      env: { DATABASE_URL: "postgres://x/y" },
      error:
        /^JWT_SECRET and JWT_JWKS_URL are both missing: expected one of them/,
    },
    "two keys": {
      env: { ...secret, JWT_JWKS_URL: "https://issuer.example/keys" },
      error: /^JWT_SECRET and JWT_JWKS_URL are both set/,
    },
    "demo mode on an address that others can reach": {
      env: { HOST: "0.0.0.0" },
      error: /^HOST="0\.0\.0\.0": expected 127\.0\.0\.1 or localhost or ::1/,
    },
    "a heartbeat of half of the lease": {
      env: { ...secret, LEASE_MS: "6000", HEARTBEAT_MS: "3000" },
      error:
        /^HEARTBEAT_MS=3000: expected less than half of LEASE_MS, which is 6000/,
    },
    "an origin with a path": {
      env: { ...secret, ALLOWED_ORIGINS: "https://a.example/path" },
      error:
        /^ALLOWED_ORIGINS="https:\/\/a\.example\/path": expected \* or a comma-separated list/,
    },
    "a database that is not Postgres": {
      env: { ...secret, DATABASE_URL: "mysql://u:topsecret@h/d" },
      error:
        /^DATABASE_URL=\[hidden, 23 characters\]: expected a URL that starts with postgres/,
    },
    "an admin token with a space": {
      env: { ...secret, ADMIN_TOKEN: `${"a".repeat(32)} b` },
      error:
        /^ADMIN_TOKEN=\[hidden, 34 characters\]: expected no spaces, because it is sent in a header/,
    },
    "a short secret": {
      env: { JWT_SECRET: "hunter2" },
      error: /^JWT_SECRET=\[hidden, 7 characters\]: expected at least 32 bytes/,
    },
  };

for (const [name, { env, error }] of Object.entries(refused)) {
  Deno.test(`${name} is refused`, () => {
    const [first, ...others] = errors(env);
    match(first ?? "", error);
    deepEqual(others, []);
  });
}

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
