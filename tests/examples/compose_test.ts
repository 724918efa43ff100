/** The stacks of the Compose files, service by service, on a real Postgres. */
import { deepEqual, equal, match, ok, throws } from "node:assert/strict";
import { readConfig } from "../../src/config/config.ts";
import {
  query,
  type ScratchPostgres,
  scratchPostgres,
} from "../support/database.ts";
import { codeBlocks, readDocument } from "../support/documents.ts";
import { freePort } from "../support/ports.ts";
import { scratchFolder } from "../support/scratch_folder.ts";
import { startServer } from "../support/server.ts";
import { untilEqual } from "../support/until.ts";
import { readCompose, type Service } from "./compose.ts";
import {
  commandsOf,
  copyExamples,
  join,
  logIn,
  namesSeen,
  startExample,
} from "./example.ts";
import { makeImage } from "./image.ts";

const FILES = ["compose.yaml", "examples/compose/compose.yaml"];

/** All variables that the files want. */
const SECRETS = {
  JWT_SECRET: "a-secret-of-at-least-thirty-two-bytes",
  POSTGRES_PASSWORD: "p1",
  APP_PASSWORD: "p2",
  ROLLCALL_PASSWORD: "p3",
};

for (const file of FILES) {
  Deno.test(`${file} refuses to start without a secret, and names it`, async () => {
    const text = await readDocument(file);
    const wanted = Object.entries(SECRETS)
      .filter(([name]) => text.includes(`\${${name}`));
    ok(wanted.length >= 2);
    for (const [missing] of wanted) {
      const others = wanted.filter(([name]) => name !== missing);
      throws(
        () => readCompose(text, Object.fromEntries(others)),
        { message: new RegExp(`^${missing}: expected in .env`) },
      );
    }
  });

  Deno.test(`${file} gives the server no rights that it does not need, and time to stop`, async () => {
    const text = await readDocument(file);
    const { rollcall } = readCompose(text, SECRETS).services;
    deepEqual(
      {
        ...{ read_only: rollcall?.read_only, cap_drop: rollcall?.cap_drop },
        ...{
          security_opt: rollcall?.security_opt,
          stop: rollcall?.stop_grace_period,
        },
        ...{ restart: rollcall?.restart, ports: rollcall?.ports },
      },
      {
        ...{ read_only: true, cap_drop: ["ALL"] },
        ...{ security_opt: ["no-new-privileges:true"], stop: "15s" },
        ...{ restart: "unless-stopped", ports: ["127.0.0.1:8000:8000"] },
      },
    );
    const config = readConfig(variablesOf(rollcall), () => "");
    equal(config.database.kind, "external");
    ok(config.offlineGraceMs > 0);
  });
}

function variablesOf(service: Service | undefined): Record<string, string> {
  const entries = Object.entries(service?.environment ?? {});
  return Object.fromEntries(entries.map(([name, value]) => [name, `${value}`]));
}

/**
 * What the image of Postgres does: a superuser, and a database of the same name. Returns its URL.
 *
 * The superuser of the embedded Postgres gives its name away, which the stack has for a role.
 */
async function makeOwner(
  postgres: ScratchPostgres,
  service: Service | undefined,
): Promise<string> {
  const { POSTGRES_USER = "", POSTGRES_PASSWORD = "" } = variablesOf(service);
  await query(
    postgres.url,
    `create role ${POSTGRES_USER} superuser login password '${POSTGRES_PASSWORD}'`,
  );
  await query(
    postgres.url,
    `create database ${POSTGRES_USER} owner ${POSTGRES_USER}`,
  );
  const owner = new URL(postgres.url);
  const { username } = owner;
  owner.username = POSTGRES_USER;
  owner.password = POSTGRES_PASSWORD;
  owner.pathname = `/${POSTGRES_USER}`;
  await query(owner.href, `alter role ${username} rename to first_superuser`);
  return owner.href;
}

const hasPsql = await Deno.stat("/usr/bin/psql").then(() => true, () => false);

Deno.test({
  name:
    "examples/compose: the users of the application's own database see each other come and go",
  ignore: !hasPsql,
  fn: async () => {
    await using postgres = await scratchPostgres();
    const database = new URL(postgres.url);
    const [rollcallPort, appPort] = [freePort(), freePort()];
    const folder = await copyExamples({
      "127.0.0.1:8000": `127.0.0.1:${rollcallPort}`,
      "127.0.0.1:3000": `127.0.0.1:${appPort}`,
      "@postgres/": `@${database.host}/`,
    });
    const { services } = readCompose(
      await Deno.readTextFile(`${folder}/compose/compose.yaml`),
      await makeSecrets(`${folder}/compose`),
    );
    const owner = await makeOwner(postgres, services.postgres);
    await prepare(owner, `${folder}/compose`, services.postgres);
    await using server = await startServer({
      env: { ...variablesOf(services.rollcall), PORT: `${rollcallPort}` },
      permissions: "-P=production",
    });
    await using images = await scratchFolder();
    const image = await makeImage(images.path, buildOf(services.app));
    await using app = await startExample(
      `${image.root}${image.workdir}`,
      image.command.join(" "),
      { ...image.env, ...variablesOf(services.app), PORT: `${appPort}` },
    );
    match(await (await fetch(app.url)).text(), /Who is online/);
    const adas = await join(server.url, await logIn(app.url, "ada"));
    const bobs = await join(server.url, await logIn(app.url, "bob"));
    await untilEqual("ada sees both", () => namesSeen(adas), ["ada", "bob"]);
    deepEqual(
      (await query(owner, await documentedQuery())).map(({ id }) => id).sort(),
      [...adas.users.keys()].sort(),
    );
    bobs.leave();
    await untilEqual("ada is alone", () => namesSeen(adas), ["ada"]);
    adas.close();
    await Deno.remove(folder, { recursive: true });
  },
});

/** Runs the lines of the README that write `.env`, and reads it. */
async function makeSecrets(folder: string): Promise<Record<string, string>> {
  const commands = (await commandsOf("compose")).split("\n")
    .filter((line) => !line.startsWith("docker "));
  await execute(["bash", "-ec", commands.join("\n")], folder);
  const lines = (await Deno.readTextFile(`${folder}/.env`)).trim().split("\n");
  return Object.fromEntries(lines.map((line) => line.split("=")));
}

/** The statement that the README shows. */
async function documentedQuery(): Promise<string> {
  const readme = await readDocument("examples/compose/README.md");
  const [, sql] = /psql -U app -c "(.*)"/
    .exec(codeBlocks(readme, "sh")[1] ?? "") ?? [];
  ok(sql !== undefined);
  return sql;
}

/** Runs the files of the folder that is mounted for it, as the image of Postgres does. */
async function prepare(
  owner: string,
  folder: string,
  service: Service | undefined,
): Promise<void> {
  const [, mounted] = /^(\S+):\/docker-entrypoint-initdb\.d:ro$/
    .exec(service?.volumes?.at(-1) ?? "") ?? [];
  const files = [...Deno.readDirSync(`${folder}/${mounted}`)]
    .map(({ name }) => name).sort();
  equal(files.length, 2);
  const { hostname, port, password } = new URL(owner);
  const env = {
    ...{ PGHOST: hostname, PGPORT: port, PGPASSWORD: password },
    ...variablesOf(service),
  };
  for (const file of files) {
    const path = `${folder}/${mounted}/${file}`;
    const program = file.endsWith(".sql")
      ? ["psql", "-v", "ON_ERROR_STOP=1", owner, "-f", path]
      : ["sh", path];
    await execute(program, folder, env);
  }
}

async function execute(
  [program = "", ...args]: readonly string[],
  cwd: string,
  env: Record<string, string> = {},
): Promise<void> {
  const { success, stderr } = await new Deno.Command(program, {
    ...{ args, cwd, env },
    stdin: "null",
  }).output();
  ok(success, new TextDecoder().decode(stderr));
}

function buildOf(service: Service | undefined) {
  const build = service?.build;
  ok(typeof build === "object");
  return {
    context: "examples",
    dockerfile: `${
      build.context.replace("..", "examples")
    }/${build.dockerfile}`,
  };
}
