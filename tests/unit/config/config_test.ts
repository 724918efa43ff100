import { deepEqual, equal, match, throws } from "node:assert/strict";
import { readConfig } from "../../../src/config/config.ts";
import { StartError } from "../../../src/base/start_error.ts";
import { TEST_SECRET } from "../../support/server.ts";

const noDemo = () => {
  throw new Error("the demo's secret was read outside of demo mode");
};
const read = (env: Record<string, string>) => readConfig(env, noDemo);
const secret = { JWT_SECRET: TEST_SECRET };

function faults(env: Record<string, string>): string[] {
  try {
    read(env);
  } catch (err) {
    if (!(err instanceof StartError)) throw err;
    return err.message.split("\n  ").slice(1);
  }
  return [];
}

Deno.test("without configuration: demo mode on loopback with a secret of its own and a public list", () => {
  const config = readConfig({}, () => "kept");
  equal(config.demo, true);
  equal(config.host, "127.0.0.1");
  equal(config.port, 8000);
  equal(config.rosterAccess, "public");
  deepEqual(config.database, { kind: "embedded" });
  deepEqual(config.token.key, { kind: "secret", secret: "kept" });
});

Deno.test("with a key: no demo, all addresses, a list that needs a token", () => {
  const config = read(secret);
  equal(config.demo, false);
  equal(config.host, "0.0.0.0");
  equal(config.rosterAccess, "token");
  equal(Object.isFrozen(config), true);
});

Deno.test("an empty variable counts as not set", () => {
  equal(read({ ...secret, PORT: "", DATABASE_URL: "" }).port, 8000);
});

Deno.test("a database is named by DATABASE_URL or by PG* variables", () => {
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

Deno.test("all faults are told at once, each with variable, value and what is expected", () => {
  deepEqual(
    faults({ ...secret, PORT: "70000", LOG_LEVEL: "loud", DRAIN_MS: "-1" }),
    [
      'PORT="70000": expected a whole number from 0 to 65535',
      'DRAIN_MS="-1": expected a whole number from 0 to 5000',
      'LOG_LEVEL="loud": expected debug or info or warn or error',
    ],
  );
});

Deno.test("what no variable shows alone is told together with the rest", () => {
  deepEqual(faults({ PGHOST: "db", PORT: "x", HEARTBEAT_MS: "9000" }), [
    'PORT="x": expected a whole number from 0 to 65535',
    "HEARTBEAT_MS=9000: expected less than half of LEASE_MS, which is 10000",
    "JWT_SECRET and JWT_JWKS_URL are both missing: expected one of them beside a database",
  ]);
});

const refused: Record<string, { env: Record<string, string>; says: RegExp }> = {
  "a database without a key": {
    env: { DATABASE_URL: "postgres://x/y" },
    says: /^JWT_SECRET and JWT_JWKS_URL are both missing: expected one of them/,
  },
  "two keys": {
    env: { ...secret, JWT_JWKS_URL: "https://issuer.example/keys" },
    says: /^JWT_SECRET and JWT_JWKS_URL are both set/,
  },
  "a demo that others could reach": {
    env: { HOST: "0.0.0.0" },
    says: /^HOST="0\.0\.0\.0": expected 127\.0\.0\.1 or localhost or ::1/,
  },
  "a heartbeat of half the lease": {
    env: { ...secret, LEASE_MS: "6000", HEARTBEAT_MS: "3000" },
    says:
      /^HEARTBEAT_MS=3000: expected less than half of LEASE_MS, which is 6000/,
  },
  "an origin with a path": {
    env: { ...secret, ALLOWED_ORIGINS: "https://a.example/path" },
    says:
      /^ALLOWED_ORIGINS="https:\/\/a\.example\/path": expected \* or a comma-separated list/,
  },
  "a database of another kind": {
    env: { ...secret, DATABASE_URL: "mysql://u:topsecret@h/d" },
    says:
      /^DATABASE_URL=\[hidden, 23 characters\]: expected a URL that starts with postgres/,
  },
  "an admin token with a space": {
    env: { ...secret, ADMIN_TOKEN: `${"a".repeat(32)} b` },
    says:
      /^ADMIN_TOKEN=\[hidden, 34 characters\]: expected no spaces: it travels in a header/,
  },
  "a short secret": {
    env: { JWT_SECRET: "hunter2" },
    says: /^JWT_SECRET=\[hidden, 7 characters\]: expected at least 32 bytes/,
  },
};

for (const [name, { env, says }] of Object.entries(refused)) {
  Deno.test(`${name} is refused`, () => {
    const [fault, ...others] = faults(env);
    match(fault ?? "", says);
    deepEqual(others, []);
  });
}

Deno.test("origins are a list, or everybody", () => {
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
