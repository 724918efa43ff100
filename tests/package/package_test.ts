/** The client library as a package: what is in it, and what tools and runtimes make of it. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { gzipSync } from "node:zlib";
import ts from "typescript";
import project from "../../deno.json" with { type: "json" };
import member from "../../src/client/deno.json" with { type: "json" };
import { connect, tokenFor } from "../support/client.ts";
import { postgresForThisFile } from "../support/database.ts";
import {
  codeBlocks,
  readDocument,
  rowOf,
  tableRows,
} from "../support/documents.ts";
import { findNodes } from "../support/nodes.ts";
import { ROOT, sharedServer, startServerOn } from "../support/server.ts";
import { withUserChanging } from "../support/transitions.ts";
import { BUNDLER, compile, ES2022, NODENEXT } from "../support/typescript.ts";
import { untilEqual } from "../support/until.ts";
import { type Consumer, installConsumer } from "./consumer.ts";
import { hasChromium, openReactPage, renderOnServer } from "./react_page.ts";

const consumer = await installConsumer();
const nodes = await findNodes();
const node22 = nodes.find(({ version }) => version >= 22);
const postgres = postgresForThisFile();
const server = sharedServer(() => startServerOn(postgres.database(3)));
Deno.test.afterAll(async () => await consumer?.[Symbol.asyncDispose]());

function test(
  name: string,
  fn: (consumer: Consumer) => Promise<void> | void,
  isPossible = true,
): void {
  Deno.test({
    name,
    ignore: consumer === undefined || !isPossible,
    fn: async () => consumer && await fn(consumer),
  });
}

Deno.test("the tarball and the server are of one version", () => {
  equal(member.version, project.version);
});

Deno.test("the registry of Deno would accept the package", async () => {
  const { success, stderr } = await new Deno.Command(Deno.execPath(), {
    args: ["publish", "--dry-run", "--allow-dirty", "--quiet"],
    cwd: `${ROOT}src/client`,
  }).output();
  ok(success, new TextDecoder().decode(stderr));
});

test("the package has its readme, its licence, the files of each entry, and nothing that only the server needs", async ({ installed }) => {
  const manifest = JSON.parse(
    await Deno.readTextFile(`${installed}/package.json`),
  );
  deepEqual(Object.keys(manifest.exports), Object.keys(member.exports));
  const files = new Set<string>(["./README.md", "./LICENSE"]);
  for (const conditions of Object.values<object>(manifest.exports)) {
    for (const file of Object.values(conditions)) files.add(file);
  }
  for (const file of files) {
    ok((await Deno.stat(`${installed}/${file}`)).isFile);
  }
  for (const file of ["protocol/disconnect.js", "deno.json", "client.ts"]) {
    const isThere = await Deno.stat(`${installed}/${file}`)
      .then(() => true, () => false);
    equal(isThere, false, file);
  }
  deepEqual(
    [manifest.version, manifest.license, manifest.type, manifest.sideEffects],
    [member.version, "MIT", "module", false],
  );
  equal(manifest.dependencies, undefined);
  for (const name of Object.keys(manifest.peerDependencies)) {
    deepEqual(manifest.peerDependenciesMeta[name], { optional: true });
  }
});

/** Bundles a module that imports the package, without the frameworks. */
async function bundle(
  { folder, run }: Consumer,
  source: string,
  ...options: readonly string[]
): Promise<string> {
  const file = await Deno.makeTempFile({ dir: folder, suffix: ".mjs" });
  await Deno.writeTextFile(file, source);
  return await run([
    ...["node_modules/.bin/esbuild", file, "--bundle", "--format=esm"],
    ...["--external:react", "--external:vue", ...options],
  ]);
}

test("client.md states the size of each entry, and it is bounded", async (consumer) => {
  const rows = tableRows(await readDocument("docs/client.md"), "Size");
  for (const entry of Object.keys(member.exports)) {
    const specifier = entry.replace(".", "@rollcall/client");
    const code = await bundle(
      consumer,
      `export * from "${specifier}";`,
      ...["--minify", "--target=es2022"],
    );
    const kilobytes = gzipSync(code, { level: 9 }).length / 1_000;
    ok(kilobytes <= 8, `${specifier}: ${kilobytes} kB`);
    equal(rowOf(rows, specifier)[1], `${kilobytes.toFixed(1)} kB`);
  }
  const readme = await readDocument("src/client/README.md");
  const [, size = ""] = rowOf(rows, "@rollcall/client");
  ok(readme.includes(size), `the package's own readme does not state ${size}`);
});

test("the package runs in browsers of March 2022: it has no syntax that an older one lacks", async (consumer) => {
  const source = 'export * from "@rollcall/client/react";';
  const [old, newest] = await Promise.all(
    ["chrome93,edge93,firefox92,safari15.4", "esnext"].map((target) =>
      bundle(consumer, source, `--target=${target}`)
    ),
  );
  equal(old, newest);
});

test("an import of the package has no effect: a bundler leaves out what is not used", async (consumer) => {
  for (const entry of Object.keys(member.exports)) {
    const specifier = entry.replace(".", "@rollcall/client");
    const source = `import "${specifier}";`;
    const code = await bundle(consumer, source, "--minify");
    equal(code.trim(), "", specifier);
  }
});

test("the package type-checks in a strict project without the types of browsers", ({ folder }) => {
  for (const resolution of [BUNDLER, NODENEXT]) {
    const options = { ...ES2022, ...resolution, noEmit: true };
    deepEqual(compile(folder, ["strict.ts"], options), []);
  }
});

test("the package takes the types of browsers, Vue and ws, and gives React its own, as its documentation says", async ({ folder }) => {
  await Deno.writeTextFile(
    `${folder}/get_token.ts`,
    'export const getToken = () => Promise.resolve("a.b.c");',
  );
  const documents = ["docs/client.md", "src/client/README.md"];
  const files = ["browser_types.ts", "app/browser.tsx"];
  for (const [index, document] of documents.entries()) {
    const [example] = codeBlocks(await readDocument(document), "tsx");
    ok(example !== undefined, `${document} has no example`);
    const file = `example${index}.tsx`;
    await Deno.writeTextFile(`${folder}/${file}`, example);
    files.push(file);
  }

  const options = {
    ...{ ...ES2022, ...BUNDLER, skipLibCheck: true },
    ...{ declaration: false, isolatedDeclarations: false },
    lib: ["lib.es2022.d.ts", "lib.dom.d.ts", "lib.dom.iterable.d.ts"],
    jsx: ts.JsxEmit.ReactJSX,
  };
  deepEqual(compile(folder, files, options), []);
});

/** Each change of presence that the bindings deliver, as node.mjs prints it. */
interface Seen {
  readonly vue: readonly string[];
  readonly svelte: readonly string[];
}

for (const { command, version } of nodes) {
  test(`Node ${version}: the package connects, and the bindings for Vue and Svelte follow it`, async ({ run }) => {
    const url = `${server.url.replace("http", "ws")}ws`;
    const program = [command, "node.mjs", url, await tokenFor(1)];
    const output = await withUserChanging(server.databaseUrl, 2, run(program));
    const [, changes, seen = ""] = /^([^]*?)(\{.*\})\n$/.exec(output) ?? [];
    match(changes ?? output, /^(user2 online\n)?user2 offline\n$/);
    const { vue, svelte }: Seen = JSON.parse(seen);
    deepEqual(vue, svelte);
    match(vue.join(), /^connecting 0,(connecting 0,)*connected \d,/);
  });
}

test("Node 22: the package can be required", async ({ run }) => {
  const url = `${server.url.replace("http", "ws")}ws`;
  const program = ["require.cjs", url, await tokenFor(1)];
  const output = await run([node22?.command ?? "", ...program]);
  match(output, /^\d online\n$/);
}, node22 !== undefined);

test("without a WebSocket, as on Node 20, connect says what to do", async ({ run }) => {
  const { command = "", version = 0 } = nodes[0] ?? {};
  const without = version >= 22 ? ["--no-experimental-websocket"] : [];
  const program = `import { connect } from "@rollcall/client";
    try { connect("wss://presence.example/ws", { token: "t" }); }
    catch ({ name, message }) { console.log(name + ": " + message); }`;
  equal(
    await run([command, ...without, "--input-type=module", "-e", program]),
    "TypeError: Cannot connect: expected a WebSocket, as in browsers, Deno, and Node 22 or newer; set the option WebSocket, for example to that of the package ws\n",
  );
});

test("React renders on a server: nothing is known there, and no socket keeps the process", async (consumer) => {
  equal(
    (await renderOnServer(consumer)).replaceAll("<!-- -->", ""),
    '<p id="list">connecting: </p><b>unknown</b><b>unknown</b><button type="button">Log out</button>',
  );
});

/** The names of the users that the server lists. */
async function listed(): Promise<string[]> {
  const response = await fetch(`${server.url}users/online`);
  const { online_users } = await response.json();
  return online_users.map(({ username }: { username: string }) => username);
}

test(
  "React in StrictMode has one socket while the provider is mounted, and its hooks follow the users",
  async (consumer) => {
    await using react = await openReactPage(consumer, server.url);
    const { page, shows, sockets, render } = react;
    await shows("connected: user1", "offline", "offline");
    deepEqual(await sockets(), { made: 1, open: 1 });
    equal(await page.evaluate("counts.effects"), 2, "StrictMode is on");
    await using user2 = await connect(server.url, 2);
    await shows("connected: user1 user2", "online", "online");
    const dots = await page.evaluate<number>("counts.dots");
    await using user3 = await connect(server.url, 3);
    await shows("connected: user1 user2 user3", "online", "online");
    equal(await page.evaluate("counts.dots"), dots, "no dot rendered again");
    await render({ isLoggedIn: true, watch: [1, 3] });
    await shows("connected: user1 user3", "unknown", "unknown");
    await user2.close();
    await render({ isLoggedIn: true, watch: [1, 2, 3] });
    await shows("connected: user1 user3", "offline", "offline");
    deepEqual(await sockets(), { made: 1, open: 1 });
    await user3.close();

    await render({ isLoggedIn: false, watch: "*" });
    await untilEqual("no socket is open", sockets, { made: 1, open: 0 });
    await untilEqual("the user is offline", listed, []);
    await render({ isLoggedIn: true, watch: "*" });
    await shows("connected: user1", "offline", "offline");
    deepEqual(await sockets(), { made: 2, open: 1 });
    await page.evaluate('document.querySelector("button").click()');
    await shows("closed: user1", "offline", "offline");
    await react.unmount();
    await untilEqual("no socket is open", sockets, { made: 2, open: 0 });
  },
  hasChromium,
);
