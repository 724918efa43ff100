import { deepEqual, equal, match, ok, throws } from "node:assert/strict";
import project from "../../deno.json" with { type: "json" };
import { decodeJwt, jwtVerify } from "jose";
import { parseTtlSeconds } from "../../src/cli.ts";
import { postgresForThisFile, query, uniqueName } from "../support/database.ts";
import { runFile, TEST_SECRET } from "../support/server.ts";

const postgres = postgresForThisFile();
const env = { JWT_SECRET: TEST_SECRET };
const cli = (args: string[], more: Record<string, string> = {}) =>
  runFile("src/cli.ts", args, { env: { ...env, ...more } });

Deno.test("token prints a token and nothing else on standard output", async () => {
  const { code, stdout, stderr } = await cli(["token", "7", "--ttl", "15m"]);
  equal(code, 0);
  equal(stderr, "");
  match(stdout, /^[\w-]+\.[\w-]+\.[\w-]+\n$/);
  const { payload } = await jwtVerify(
    stdout.trim(),
    new TextEncoder().encode(TEST_SECRET),
  );
  equal(payload.sub, "7");
  equal((payload.exp ?? 0) - (payload.iat ?? 0), 900);
});

Deno.test("token without JWT_SECRET prints a demo token, and a warning on standard error", async () => {
  const { code, stdout, stderr } = await cli(["token", "7"], {
    JWT_SECRET: "",
  });
  equal(code, 0);
  match(stdout, /^[\w-]+\.[\w-]+\.[\w-]+\n$/);
  match(stderr, /^Warning: JWT_SECRET is not set, .* demo mode/);
});

Deno.test("token warns of a misspelt variable on standard error", async () => {
  const { stderr } = await cli(["token", "7"], { JWT_ISUER: "me" });
  equal(stderr, "Warning: JWT_ISUER is not known: is it JWT_ISSUER?\n");
});

for (const name of ["DATABASE_URL", "PGHOST", "PGDATABASE"]) {
  Deno.test(`token without JWT_SECRET is refused if ${name} is set`, async () => {
    const { code, stdout, stderr } = await cli(["token", "7"], {
      ...{ JWT_SECRET: "", [name]: "postgres://localhost/app" },
    });
    equal(code, 2);
    equal(stdout, "");
    match(stderr, /JWT_SECRET and JWT_JWKS_URL are both missing/);
  });
}

Deno.test("token writes the claims that a server with the same configuration reads", async () => {
  const more = { JWT_ISSUER: "me", JWT_AUDIENCE: "us", JWT_USER_CLAIM: "uid" };
  const { iss, aud, uid } = decodeJwt(
    (await cli(["token", "7"], more)).stdout.trim(),
  );
  equal(`${iss} ${aud} ${uid}`, "me us 7");
});

Deno.test("[V1] token puts groups into the claim that a server with the same configuration reads, and is refused without one", async () => {
  const args = ["token", "7", "--group", "a", "--group", "b, c"];
  const { stdout } = await cli(args, { JWT_GROUPS_CLAIM: "teams" });
  deepEqual(decodeJwt(stdout.trim()).teams, ["a", "b, c"]);
  const refused = await cli(args);
  equal(refused.code, 2);
  match(refused.stderr, /JWT_GROUPS_CLAIM is not set/);
});

for (
  const args of [["0"], ["2147483648"], ["ada"], [], ["1", "2"], [
    "1",
    "--ttl",
    "soon",
  ], ["1", "--x"]]
) {
  Deno.test(`token ${args.join(" ")} exits with 2 and an error, and prints no token`, async () => {
    const { code, stdout, stderr } = await cli(["token", ...args]);
    equal(code, 2);
    equal(stdout, "");
    ok(stderr.length > 0);
    ok(!stderr.includes("    at "), "no stack");
  });
}

Deno.test("a time to live is a positive number and a unit", () => {
  equal(parseTtlSeconds("90s"), 90);
  equal(parseTtlSeconds("2d"), 172_800);
  for (const bad of ["", "1", "h", "0h", "-1h", "1.5h", "1w", "9999999h"]) {
    throws(() => parseTtlSeconds(bad), /expected a number and s, m, h or d/);
  }
});

Deno.test("migrate updates the schema, and changes nothing when it runs again", async () => {
  const url = await postgres.emptyDatabase();
  // The command needs neither a key nor valid other variables.
  const first = await cli(["migrate"], {
    DATABASE_URL: url,
    JWT_SECRET: "",
    PORT: "x",
  });
  equal(first.code, 0);
  match(first.stdout, /"schema updated"/);
  match(
    (await cli(["migrate"], { DATABASE_URL: url })).stdout,
    /"schema is up to date"/,
  );
  const [{ count }] = await query(
    url,
    "select count(*)::int from rollcall_internal.migrations",
  );
  ok(count >= 3);
});

Deno.test("migrate --explain exits with 2 if the role lacks a right, and with 0 otherwise", async () => {
  const url = new URL(await postgres.emptyDatabase());
  equal(
    (await cli(["migrate", "--explain"], { DATABASE_URL: url.href })).code,
    0,
  );
  const role = uniqueName("lowly");
  await query(url.href, `create role ${role} login password 'secret'`);
  [url.username, url.password] = [role, "secret"];
  const { code, stdout } = await cli(["migrate", "--explain"], {
    DATABASE_URL: url.href,
  });
  equal(code, 2);
  match(stdout, /\nThe current role lacks:\n {2}grant create on database \w+/);
});

Deno.test("without a known command the usage is printed and the exit code is 2", async () => {
  for (const args of [[], ["dance"]]) {
    const { code, stderr } = await cli(args);
    equal(code, 2);
    match(stderr, /^Usage:/);
  }
});

for (const file of ["main.ts", "src/cli.ts"]) {
  Deno.test(`${file} --version prints the version of deno.json, and --help how to use it`, async () => {
    const version = await runFile(file, ["--version"]);
    equal(version.code, 0);
    ok(version.stdout.startsWith(`rollcall ${project.version} `));
    const help = await runFile(file, ["--help"]);
    equal(help.code, 0);
    match(help.stdout, /deno task token <userId> \[--ttl 1h\]/);
    equal(version.stderr + help.stderr, "");
  });
}

Deno.test("main.ts with an argument that does not exist exits with 2 and names what it expects", async () => {
  const { code, stdout, stderr } = await runFile("main.ts", ["--port=8080"]);
  equal(code, 2);
  equal(stdout, "");
  match(stderr, /^Unknown argument "--port=8080": expected --help/);
});
