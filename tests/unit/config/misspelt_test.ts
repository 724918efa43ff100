import { deepEqual, match, ok, throws } from "node:assert/strict";
import { readConfig } from "../../../src/config/config.ts";
import { DEFAULTS, misspelt } from "../../../src/config/environment.ts";
import { TEST_SECRET } from "../../support/server.ts";

/** As each process of a common system has them, and some of other programs. */
const OTHERS = [
  ...["PATH", "HOME", "HOSTNAME", "SHELL", "USER", "LOGNAME", "LANG", "PWD"],
  ...["TERM", "EDITOR", "MAIL", "SHLVL", "TZ", "DENO_DIR", "NODE_ENV", "CI"],
  ...["PGPORT", "PGUSER", "PGPASSWORD", "PGSSLMODE", "PGDATA", "PGOPTIONS"],
  ...["ROLLCALL_PORT", "ROLLCALL_SERVICE_HOST", "KUBERNETES_PORT", "HTTP_PORT"],
  ...["DATA_URL", "KEY_URL", "HOST_NAME", "LOG_DIR", "ISSUER"],
  ...["MAX_USERS", "ACCESS_TOKEN", "CLIENT_SECRET", "JWT_KEY", "JWT_ALG"],
  ...["APP_DATABASE_URL", "DB_TABLE", "HTTPS_PROXY", "NO_PROXY", "JWT_TOKEN"],
  ...["REDIS_URL", "SECRET", "TOKEN", "USERNAME", "LOGS", "NO_COLOR", "JWT"],
];

const meant: Record<string, string> = {
  JWT_SECERT: "JWT_SECRET",
  JWT_SECRT: "JWT_SECRET",
  JWTSECRET: "JWT_SECRET",
  jwt_secret: "JWT_SECRET",
  DATABASE_URI: "DATABASE_URL",
  DATABSE_ULR: "DATABASE_URL",
  USER_TABLE: "USERS_TABLE",
  ADMIN_TOKN: "ADMIN_TOKEN",
  OFFLINE_GRACE: "OFFLINE_GRACE_MS",
  ALLOWED_ORIGIN: "ALLOWED_ORIGINS",
  PROT: "PORT",
  PGHSOT: "PGHOST",
  JWT_ISS: "JWT_ISSUER",
  JWT_AUD: "JWT_AUDIENCE",
  JWKS_URL: "JWT_JWKS_URL",
  JWKS_URI: "JWT_JWKS_URL",
  JWT_JWKS_URI: "JWT_JWKS_URL",
  TRUSTED_PROXY: "TRUSTED_PROXIES",
  TRUST_PROXY: "TRUSTED_PROXIES",
  USERNAME_CLAIM: "JWT_USERNAME_CLAIM",
  MAX_CONN: "MAX_CONNECTIONS",
};

for (const [variable, name] of Object.entries(meant)) {
  Deno.test(`${variable} is probably ${name}`, () => {
    deepEqual(misspelt({ [variable]: "x" }), [{ variable, meant: name }]);
  });
}

Deno.test("variables of other programs are not misspelt, and neither are the server's own", () => {
  const names = [...OTHERS, ...Object.keys(DEFAULTS)];
  deepEqual(misspelt(Object.fromEntries(names.map((name) => [name, "1"]))), []);
  deepEqual(
    misspelt(Object.fromEntries(OTHERS.map((name) => [name, "1"]))),
    [],
  );
});

Deno.test("a variable whose right spelling is set too is not reported", () => {
  deepEqual(misspelt({ USERS_ID: "id", USER_ID: "7" }), []);
});

Deno.test("an error in the configuration names misspelt variables, and not their values", () => {
  const env = { DATABASE_URL: "postgres://host/app", JWT_SECERT: TEST_SECRET };
  throws(() => readConfig(env, () => ""), ({ message }: Error) => {
    match(message, /JWT_SECRET and JWT_JWKS_URL are both missing/);
    match(message, /\n {2}JWT_SECERT is not known: is it JWT_SECRET\?$/);
    ok(!message.includes(TEST_SECRET));
    return true;
  });
});
