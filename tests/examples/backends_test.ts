/** The examples of backends and clients, as their README files start them, with a real server. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { decodeJwt } from "jose";
import { connect } from "../../src/client/client.ts";
import { type Browser, BROWSERS, type Page } from "../support/browser.ts";
import { codeBlocks, readDocument } from "../support/documents.ts";

import { socketUrl, tokenFor } from "../support/client.ts";
import { postgresForThisFile } from "../support/database.ts";
import { statusCode } from "../support/endpoints.ts";
import { freePort } from "../support/ports.ts";
import { listed } from "../support/roster.ts";
import { ROOT, sharedServer, startServerOn } from "../support/server.ts";
import { until, untilEqual } from "../support/until.ts";
import {
  commandsOf,
  copyExamples,
  type Example,
  join,
  logIn,
  namesSeen,
  startExample,
} from "./example.ts";

const BACKENDS = ["backend-express", "backend-hono", "backend-python"];

const postgres = postgresForThisFile();
const server = sharedServer(async () => {
  const variables = await variablesOfReadme();
  return await startServerOn(postgres.emptyDatabase(), variables);
});
/** The backend of all examples that need one has this port. */
const backend = `127.0.0.1:${freePort()}`;
let folder = "";
Deno.test.beforeAll(async () => {
  const rollcall = new URL(server.url).host;
  folder = await copyExamples({
    "127.0.0.1:8000": rollcall.replace("localhost", "127.0.0.1"),
    "127.0.0.1:3000": backend,
  });
});
Deno.test.afterAll(() => Deno.remove(folder, { recursive: true }));

/** What examples/README.md sets before `deno task start`. */
async function variablesOfReadme(): Promise<Record<string, string>> {
  const [commands = ""] = codeBlocks(
    await readDocument("examples/README.md"),
    "sh",
  );
  const [, assignments = ""] = /^((?:\w+=\S+ )+)deno task start$/m
    .exec(commands) ?? [];
  ok(assignments !== "", "examples/README.md starts no server");
  return Object.fromEntries(
    assignments.trim().split(" ").map((word) => word.split("=")),
  );
}

async function startBackend(name: string): Promise<Example> {
  const PORT = backend.split(":")[1] ?? "";
  const commands = await commandsOf(name);
  return await startExample(`${folder}/${name}`, commands, { PORT });
}

for (const name of BACKENDS) {
  Deno.test(`${name}: it makes tokens for its users alone, with which they see each other come and go`, async () => {
    await using example = await startBackend(name);
    match(await (await fetch(example.url)).text(), /<h1>Who is online\?<\/h1>/);
    const post = { method: "POST" };
    equal(await statusCode(`${example.url}/rollcall-token`, post), 401);
    const stranger = { ...post, body: new URLSearchParams({ user: "eve" }) };
    equal(await statusCode(`${example.url}/login`, stranger), 403);

    const ada = await logIn(example.url, "ada");
    match(ada.setCookie, /httponly/i);
    match(ada.setCookie, /samesite=lax/i);
    const { sub, exp = 0 } = decodeJwt(await ada.getToken());
    equal(sub, "1");
    ok(exp * 1_000 - Date.now() <= 600_000, "the token lives for ten minutes");

    const adas = await join(server.url, ada);
    const bobs = await join(server.url, await logIn(example.url, "bob"));
    await untilEqual("both see both", () => [adas, bobs].map(namesSeen), [
      ["ada", "bob"],
      ["ada", "bob"],
    ]);
    bobs.close();
    await untilEqual("ada is alone", () => namesSeen(adas), ["ada"]);
    adas.close();
  });
}

/** Waits until a page shows exactly these names. */
async function shows(page: Page, names: readonly string[]): Promise<void> {
  const read = `[...document.querySelectorAll("#online li")]
    .map((item) => item.textContent).sort()`;
  await untilEqual(
    "the page shows who is online",
    // A navigation ends the evaluation.
    () => page.evaluate<string[]>(read).catch(() => []),
    [...names],
  );
}

/** Two people in windows of their own, who log in, see each other, and log out. */
async function meetInBrowser(url: string): Promise<void> {
  ok(browser !== undefined);
  const [adas, bobs] = [await browser.open(), await browser.open()];
  const logInAs = async (page: Page, user: string) => {
    await page.goto(url);
    await until("the page asks who it is", () =>
      page.evaluate<boolean>(
        `document.querySelector("#login")?.checkVisibility() === true`,
      ));
    await page.evaluate(
      `document.querySelector("#login select").value = "${user}";
       document.querySelector("#login").requestSubmit()`,
    );
  };
  await logInAs(adas, "ada");
  await shows(adas, ["ada"]);
  await logInAs(bobs, "bob");
  await shows(bobs, ["ada", "bob"]);
  await shows(adas, ["ada", "bob"]);
  await bobs.evaluate(`document.querySelector("#logout").requestSubmit()`);
  await shows(adas, ["ada"]);
  deepEqual([await adas.faults(), await bobs.faults()], [[], []]);
  for (const page of [adas, bobs]) await page.close();
}

const chromium = BROWSERS.find(({ name }) => name === "Chromium");
const ignore = chromium?.missing !== undefined;
let browser: Browser | undefined;
Deno.test.beforeAll(async () => {
  if (!ignore) browser = await chromium?.launch();
});
Deno.test.afterAll(async () => await browser?.[Symbol.asyncDispose]());

Deno.test({
  name: "page: in a browser, its users see each other come and go",
  ignore,
  fn: async () => {
    await using example = await startBackend("backend-hono");
    await meetInBrowser(example.url);
  },
});

Deno.test({
  name: "react: in a browser, its users see each other come and go",
  ignore,
  fn: async () => {
    await using _backend = await startBackend("backend-hono");
    // The folder is a copy outside of the project.
    const commands = (await commandsOf("react")).replace(
      " ../.. ",
      ` ${ROOT} `,
    );
    await using react = await startExample(`${folder}/react`, commands);
    await meetInBrowser(react.url);
  },
});

/** An application whose tokens expire after some seconds. */
function startApplication() {
  let tokens = 0;
  const application = Deno.serve(
    { hostname: "127.0.0.1", port: 0, onListen: () => {} },
    async (request) => {
      const { pathname } = new URL(request.url);
      const headers = { "set-cookie": "user=ada; HttpOnly" };
      if (pathname === "/login") return new Response("", { headers });
      if (request.headers.get("cookie") !== "user=ada") {
        return new Response("", { status: 401 });
      }
      tokens += 1;
      return new Response(await tokenFor(1, 4, { name: "ada" }));
    },
  );
  return {
    url: `http://127.0.0.1:${application.addr.port}`,
    tokens: () => tokens,
    [Symbol.asyncDispose]: () => application.shutdown(),
  };
}

Deno.test("client-python: it prints who comes and goes, sends new tokens in time, resumes after a restart of the server, and leaves on Ctrl-C", async () => {
  const database = await postgres.emptyDatabase();
  const PORT = String(freePort());
  const start = () =>
    startServerOn(database, {
      ...{ AUTO_PROVISION: "true", PORT, HOST: "127.0.0.1", DRAIN_MS: "0" },
      // A user who did not leave would stay for as long.
      OFFLINE_GRACE_MS: "120000",
    });
  await using application = startApplication();
  await using first = await start();
  await using client = await startExample(
    `${folder}/client-python`,
    await commandsOf("client-python"),
    {
      APPLICATION_URL: application.url,
      ROLLCALL_URL: socketUrl(first.url),
    },
    (output) => output.includes("ada is online"),
  );
  const prints = (line: string) =>
    until(`it prints ${line}`, () => client.output.includes(`${line}\n`));
  const bob = { token: () => tokenFor(2, 600, { name: "bob" }) };
  const bobs = connect(`${first.url}ws`, bob);
  await prints("bob is online");
  await until("it sent a new token", () => application.tokens() >= 3);
  equal(client.output, "ada is online\nbob is online\n");

  equal(await first.stop(), 0);
  bobs.close();
  await prints("reconnecting after 1001");
  await using second = await start();
  // It missed this while it was away.
  await prints("bob is offline");
  equal(
    client.output.replaceAll(/^reconnecting .*\n/gm, ""),
    "ada is online\nbob is online\nbob is offline\n",
  );
  equal(await client.stop("SIGINT"), 0);
  await listed(second, []);
});
