/**
 * The recipes of docs/visibility.md, run as they stand there: on a real server, as the roles that they
 * name. No sweep comes in time to do what a recipe says it does at once.
 */
import { deepEqual, equal, ok } from "node:assert/strict";
import { postgresForThisFile, query } from "../support/database.ts";
import {
  codeBlocks,
  readDocument,
  sectionOf,
  tableRows,
} from "../support/documents.ts";
import { type DatabaseServer, startServerOn } from "../support/server.ts";
import { connectSync, type SyncClient } from "../support/sync_client.ts";
import {
  adapted,
  type Application,
  explained,
  makeApplication,
  runStatements,
} from "./application.ts";

const postgres = postgresForThisFile();
const text = await readDocument("docs/visibility.md");
const operations = await readDocument("docs/operations.md");

/** Whom each of these users sees. */
type Sight = Readonly<Record<number, readonly number[]>>;

interface Recipe {
  /** Before the server starts: the schema, and what the server reads. */
  readonly schema: string;
  readonly read: string;
  /** After its start: the trigger, the call, and what else there is. */
  readonly rest: readonly string[];
  readonly env: Readonly<Record<string, string>>;
}

function readRecipe(heading: string): Recipe {
  const section = sectionOf(text, heading);
  const [schema = "", read = "", ...rest] = codeBlocks(section, "sql");
  const variables = codeBlocks(section, "sh").join("").trim().split("\n");
  const env = Object.fromEntries(variables.map((line) => line.split("=")));
  ok("GROUPS_TABLE" in env, `${heading} does not set GROUPS_TABLE`);
  return { schema, read, rest, env };
}

/** SQL of the document, as its role `app`. */
async function runAsApp(
  application: Application,
  sql: string,
): ReturnType<typeof query> {
  return await query(application.app, adapted(application, sql));
}

/** SQL of the document that grants rights to its role `app`. */
async function grantToApp(
  { url, app }: Application,
  sql: string,
): Promise<void> {
  const { username } = new URL(app);
  await query(url, sql.replaceAll(/\bto app\b/g, `to ${username}`));
}

/** Starts a server by a recipe, on these rows. `app` may call `rollcall.groups_changed` then. */
async function startRecipe(
  { schema, read, env }: Recipe,
  rows: string,
): Promise<{ application: Application; server: DatabaseServer }> {
  const application = await makeApplication(postgres);
  await runAsApp(application, schema);
  await runAsApp(application, rows);
  await runAsApp(application, read);
  const { lacking } = await explained(application, env);
  const groups = lacking.filter((grant) => grant.includes("group_id"));
  deepEqual(groups, [], "the recipe lacks a grant");
  await runStatements(application, lacking);
  const server = await startServerOn(application.url, {
    ...{ ROSTER_ACCESS: "token", HEARTBEAT_MS: "250000", LEASE_MS: "600000" },
    ...env,
  });
  const [grants = ""] = codeBlocks(sectionOf(text, "Rights"), "sql");
  await grantToApp(application, grants);
  return { application, server };
}

/** Connects users, and waits until each of them sees whom it should. */
async function connectAll(
  { url }: DatabaseServer,
  sight: Sight,
): Promise<AsyncDisposable & { see(sight: Sight): Promise<void> }> {
  const clients = new Map<number, SyncClient>();
  for (const id of Object.keys(sight).map(Number)) {
    clients.set(id, await connectSync(url, id));
  }
  const see = async (sight: Sight) => {
    for (const [id, client] of clients) {
      const users = sight[id];
      ok(users !== undefined, `whom does user ${id} see?`);
      await client.holds(users);
    }
  };
  await see(sight);
  return {
    see,
    [Symbol.asyncDispose]: async () => {
      for (const client of clients.values()) {
        await client[Symbol.asyncDispose]();
      }
    },
  };
}

Deno.test("[V3] visibility.md, tenants: a column of the users table, and its trigger", async () => {
  const recipe = readRecipe("1. Tenants: a column of the users table");
  const { application, server } = await startRecipe(
    recipe,
    `insert into users values
       (1, 'ada', 1), (2, 'bob', 1), (3, 'chen', 2), (4, 'dora', null)`,
  );
  await using _server = server;
  await runAsApp(application, recipe.rest.join());
  await using clients = await connectAll(server, {
    ...{ 1: [1, 2], 2: [1, 2], 3: [3], 4: [4] },
  });
  await runAsApp(application, "update users set tenant_id = 2 where id = 1");
  await clients.see({ 1: [1, 3], 2: [2], 3: [1, 3], 4: [4] });
});

Deno.test("[V3] visibility.md, teams: a membership table as it is, with the users of the first table", async () => {
  const [, ...people] = tableRows(text).slice(
    0,
    1 + tableRows(text).findIndex(([user]) => user === "fatima"),
  );
  equal(people.length, 6);
  const list = (cell = "") => cell === "" ? [] : cell.split(", ");
  const idOf = (name: string) =>
    1 + people.findIndex(([user]) => user === name);
  const rows = people.map(([user]) => `(${idOf(user ?? "")}, '${user}')`);
  const memberships = people.flatMap(([user = "", groups]) =>
    list(groups).map((group) => `(${idOf(user)}, '${group}')`)
  );
  const recipe = readRecipe("2. Teams: a membership table as it is");
  const { application, server } = await startRecipe(
    recipe,
    `insert into users values ${rows}; insert into memberships values ${memberships}`,
  );
  await using _server = server;
  await runAsApp(application, recipe.rest.join());
  const sight = Object.fromEntries(
    people.map(([user = "", , sees]) => [idOf(user), list(sees).map(idOf)]),
  );
  await using clients = await connectAll(server, sight);
  // What the runbook asks, as the server's role.
  const runbook = sectionOf(operations, "Who shares a group");
  const [shown = "", next = ""] = codeBlocks(runbook, "sql").join()
    .replaceAll("(7, 8)", "(1, 3)").split(";");
  deepEqual(await query(server.databaseUrl, `${shown} order by user_id`), [
    { user_id: "1", is_online: true, groups: ["blue"] },
    { user_id: "3", is_online: true, groups: ["blue", "orange"] },
  ]);
  equal((await query(server.databaseUrl, next)).length, 3);

  await runAsApp(
    application,
    "insert into memberships values (6, 'blue'); delete from memberships where user_id = 2",
  );
  await clients.see({
    ...{ 1: [1, 3, 6], 2: [2], 3: [1, 3, 4, 5, 6] },
    ...{ 4: [3, 4, 5], 5: [3, 4, 5], 6: [1, 3, 6] },
  });
  await runAsApp(
    application,
    "update memberships set group_id = 'orange' where user_id = 6",
  );
  await clients.see({
    ...{ 1: [1, 3], 2: [2], 3: [1, 3, 4, 5, 6] },
    ...{ 4: [3, 4, 5, 6], 5: [3, 4, 5, 6], 6: [3, 4, 5, 6] },
  });
});

Deno.test("[V3] visibility.md, several sources: one view, and a call in the transaction", async () => {
  const recipe = readRecipe("3. Several sources: one view of all");
  const document = "00000000-0000-4000-8000-000000000007";
  const { application, server } = await startRecipe(
    recipe,
    `insert into users values
       (1, 'ada', 7), (2, 'bob', 7), (3, 'chen', null), (4, 'dora', null), (5, 'emre', null);
     insert into team_members values (3, 7), (5, 8);
     insert into document_editors values ('${document}', 2), ('${document}', 5)`,
  );
  await using _server = server;
  await using clients = await connectAll(server, {
    ...{ 1: [1, 2], 2: [1, 2, 5], 3: [3], 4: [4], 5: [2, 5] },
  });
  await runAsApp(application, recipe.rest.join());
  await clients.see({
    ...{ 1: [1, 2], 2: [1, 2, 5], 3: [3, 4], 4: [3, 4], 5: [2, 5] },
  });
});

Deno.test("[V3] visibility.md, friends: a group of two for each friendship", async () => {
  const recipe = readRecipe("4. Friends: a group of two for each friendship");
  const { application, server } = await startRecipe(
    recipe,
    `insert into users values (1, 'ada'), (2, 'bob'), (3, 'chen'), (4, 'dora');
     insert into friendships values (1, 2, now()), (3, 1, now()), (1, 3, now()), (4, 1, null)`,
  );
  await using _server = server;
  await runAsApp(application, recipe.rest.join());
  await using clients = await connectAll(server, {
    ...{ 1: [1, 2, 3], 2: [1, 2], 3: [1, 3], 4: [4] },
  });
  await runAsApp(
    application,
    `update friendships set accepted_at = now() where user_id = 4;
     delete from friendships where user_id = 1 and friend_id = 2`,
  );
  await clients.see({ 1: [1, 3, 4], 2: [2], 3: [1, 3], 4: [1, 4] });
});

Deno.test("[V3] visibility.md, support: agents see and are seen by the tenants that they serve", async () => {
  const recipe = readRecipe(
    "5. Support staff: members of the tenants that they serve",
  );
  const [call = "", grants = "", unseen = ""] = recipe.rest;
  const { application, server } = await startRecipe(
    recipe,
    `insert into users values
       (1, 'ada', 1), (2, 'bob', 2), (3, 'chen', 3), (8, 'agent 8', null), (9, 'agent 9', null);
     insert into support_assignments values (8, 1), (9, 1), (9, 2)`,
  );
  await using _server = server;
  await using clients = await connectAll(server, {
    ...{ 1: [1, 8, 9], 2: [2, 9], 3: [3], 8: [1, 8, 9], 9: [1, 2, 8, 9] },
  });
  await runAsApp(application, call);
  await clients.see({
    ...{ 1: [1, 8, 9], 2: [2], 3: [3], 8: [1, 8, 9], 9: [1, 8, 9] },
  });
  await grantToApp(application, grants);
  deepEqual(
    (await runAsApp(application, unseen)).map(({ id, tenant_id }) =>
      [id, tenant_id].map(Number)
    ),
    [[1, 1], [2, 2], [3, 3]],
  );
});
