/**
 * Rollcall beside schema tools and mappers of other projects: which differences they find, and rows
 * that they save as a whole, with an old status.
 */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { tokenFor } from "../support/client.ts";
import { postgresForThisFile, query } from "../support/database.ts";
import { describeSchema } from "../support/schema.ts";
import { startServer, TEST_SECRET } from "../support/server.ts";
import { connectSync } from "../support/sync_client.ts";
import { until, untilEqual } from "../support/until.ts";
import {
  type Application,
  grantNeeded,
  makeApplication,
  pictureOf,
  readSchema,
} from "./application.ts";
import { hasDjango, installTools, recordStatus, runTool } from "./tools.ts";

const tools = await installTools();
const withDjango = await hasDjango();
const postgres = postgresForThisFile();
Deno.test.afterAll(async () => {
  if (tools !== undefined) await Deno.remove(tools.folder, { recursive: true });
});

interface Tool {
  readonly command: readonly string[];
  /** The users table that it makes. */
  readonly table: string;
  readonly env: Readonly<Record<string, string>>;
  /** What it says when its models and the database agree, if it says so. */
  readonly agrees?: RegExp;
  readonly ignore?: boolean;
}

const TOOLS: Readonly<Record<string, Tool>> = {
  "Sequelize, sync({ alter: true })": {
    command: ["node", "sequelize.mjs"],
    table: 'public."Users"',
    // Its default is written with a cast of varchar: 'offline'::character varying.
    env: { USERS_TABLE: '"Users"' },
  },
  "TypeORM, synchronize": {
    command: ["node", "typeorm.mjs"],
    table: 'public."user"',
    env: { USERS_TABLE: '"user"' },
  },
  "drizzle-kit push": {
    command: ["node", "drizzle.mjs"],
    table: "public.users",
    env: { USERS_TABLE: "users" },
    agrees: /No changes detected/,
  },
  "prisma db push": {
    command: ["node", "prisma.mjs"],
    table: 'public."User"',
    env: { USERS_TABLE: '"User"' },
    agrees: /already in sync/,
  },
  "Django, migrate": {
    command: ["/usr/bin/python3", "django_app.py"],
    table: "public.people_user",
    // Django keeps defaults to itself, so the column has to be named.
    env: { USERS_TABLE: "people_user", USERS_STATUS: "status" },
    ignore: !withDjango,
  },
};

for (const [name, tool] of Object.entries(TOOLS)) {
  Deno.test({
    name:
      `[U1] [U2] ${name}: it finds no difference, and no client gets a message when it saves a row with an old status`,
    ignore: tools === undefined || tool.ignore === true,
    fn: () => besideRollcall(tool),
  });
}

async function startOn({ url }: Application, env: Record<string, string>) {
  return await startServer({
    env: {
      ...env,
      DATABASE_URL: url,
      JWT_SECRET: TEST_SECRET,
      HEARTBEAT_MS: "200",
    },
  });
}

async function connectUser(serverUrl: string, id: number) {
  return await connectSync(serverUrl, id, { token: await tokenFor(id) });
}

async function besideRollcall({ command, table, env, agrees }: Tool) {
  if (tools === undefined) throw new Error("The tools are not installed");
  const application = await makeApplication(postgres);
  const { owner } = application;
  const run = (...args: string[]) =>
    runTool(tools, [...command, ...args], owner);
  await run("sync");
  await run("add", "Ada", "Bob");
  const stale = (await run("read", "1")).trim().split("\n").at(-1) ?? "";
  match(stale, /"status": ?"offline"/);
  await recordStatus(owner, table);
  await grantNeeded(application, env);
  const before = await pictureOf(application);

  await using server = await startOn(application, env);
  await using watcher = await connectUser(server.url, 2);
  await using ada = await connectUser(server.url, 1);
  await until("ada is online", () => watcher.model.online.has(1));
  const statusIs = (status: string) =>
    untilEqual(
      `the copy is ${status}`,
      () => query(owner, `select status from ${table} where id = 1`),
      [{ status }],
    );
  await statusIs("online");

  const output = await run("sync");
  if (agrees !== undefined) match(output, agrees);
  deepEqual(await pictureOf(application), before);

  await query(owner, "truncate audit.written");
  await run("save", stale);
  await statusIs("online");
  deepEqual(
    await query(owner, "select status from audit.written order by at limit 2"),
    [{ status: "offline" }, { status: "online" }],
  );
  const received = watcher.messages.length;
  ok(watcher.model.online.has(1));
  equal(ada.socket.readyState, WebSocket.OPEN);

  ada.socket.close();
  await until("ada is offline", () => !watcher.model.online.has(1));
  equal(watcher.messages.length, received + 1);
  await statusIs("offline");
  deepEqual(await pictureOf(application), before);
}

Deno.test({
  name:
    "[U1] prisma migrate reset: users stay online until the new table can be read, and then those without a row go offline",
  ignore: tools === undefined,
  fn: async () => {
    if (tools === undefined) throw new Error("The tools are not installed");
    const application = await makeApplication(postgres);
    const run = (...args: string[]) =>
      runTool(tools, ["node", "prisma.mjs", ...args], application.app);
    const env = { USERS_TABLE: 'public."User"' };
    await run("sync");
    await run("add", "Ada", "Bob");
    await grantNeeded(application, env);
    await using server = await startOn(application, env);
    await using bob = await connectUser(server.url, 2);
    await until("bob is online", () => bob.model.online.has(2));
    await run("reset");
    await run("sync");
    await run("add", "Ada");
    // The new table has none of the rights of the old one.
    await using ada = await connectUser(server.url, 1);
    equal(bob.socket.readyState, WebSocket.OPEN);
    await grantNeeded(application, env);
    await ada.receives("presence_state");
    deepEqual(await bob.closed, { code: 1008, reason: "unknown user" });
    await until("only ada is online", () => !ada.model.online.has(2));
    ok(ada.model.online.has(1));
  },
});

/** Fixtures of `schemas/` that a tool of `tools/` makes, with the tables of its own bookkeeping left out. */
const FIXTURES: Readonly<
  Record<
    string,
    { command: string[]; env?: Record<string, string>; own?: RegExp }
  >
> = {
  "better_auth.sql": { command: ["node", "better_auth.mjs"] },
  "drizzle.sql": {
    command: ["node", "drizzle.mjs", "sync"],
    env: { MODELS: "quickstart" },
    own: /drizzle/,
  },
  "prisma.sql": {
    command: ["node", "prisma.mjs", "sync", "--skip-generate"],
    env: { MODELS: "quickstart" },
    own: /_prisma_migrations/,
  },
};

for (const [file, { command, env, own }] of Object.entries(FIXTURES)) {
  Deno.test({
    name: `schemas/${file} is what the tool makes`,
    ignore: tools === undefined,
    fn: async () => {
      if (tools === undefined) throw new Error("The tools are not installed");
      const made = await postgres.emptyDatabase();
      await runTool(tools, command, made, env);
      const written = await postgres.emptyDatabase();
      await query(written, await readSchema(file));
      const fixture = await describeSchema(written);
      deepEqual(
        fixture.filter((line) => !own?.test(line)).map(withoutOids),
        (await describeSchema(made)).map(withoutOids),
      );
    },
  });
}

function withoutOids(line: string): string {
  return line.replaceAll(/"\w*(oid|relid)": "\d+"/g, "");
}
