/** The client library in projects with a strict compiler, and in the oldest supported browsers. */
import { deepEqual, match, ok } from "node:assert/strict";
import ts from "typescript";
import { readDocument, sources, tableRows } from "../support/documents.ts";
import {
  type Application,
  BUNDLER,
  ES2022,
  interfaceMembers,
  makeApplication,
  NODENEXT,
} from "../support/typescript.ts";

/** An application that uses everything, in a project where no type may be inferred from afar. */
const useOf = (client: string, more = "") => `
import {
  connect,
  type ConnectionInfo,
  type Events,
  type Options,
  type PresenceChange,
  type Rollcall,
  type User,
  type UserId,
} from "${client}";

const options: Options = { token: () => Promise.resolve("a.b.c"), watch: [1, "b"] };
export const rollcall: Rollcall = connect("wss://presence.example/ws", options);
export const stop: () => void = rollcall.on("online", ({ user }) => {
  const { id, username, since }: User = user;
  if (since !== undefined) void [id, username, since.getTime()];
});
rollcall.on("state", (users: Events["state"]) => void users.get(1)?.username);
rollcall.on("connection", ({ state, code, reason, retryMs }: ConnectionInfo) => {
  if (state === "reconnecting") void [code, reason, retryMs];
});
rollcall.on("error", ({ code, message }) => void [code, message]);
rollcall.watch("*");
export const ids: UserId[] = [...rollcall.users.keys()];
export async function changes(seen: PresenceChange[]): Promise<void> {
  for await (const change of rollcall) seen.push(change);
}
${more}`;

const SOURCE = "./rollcall/client.ts";

async function application(): Promise<Application> {
  const project = await makeApplication();
  await project.write("main.ts", useOf(SOURCE));
  return project;
}

Deno.test("the client type-checks in a strict project without the types of browsers", async () => {
  await using project = await application();
  deepEqual(project.compile("main.ts", { ...ES2022, ...BUNDLER }), []);
  deepEqual(
    project.compile("main.ts", {
      ...{ ...ES2022, ...NODENEXT },
      ...{ allowImportingTsExtensions: true, noEmit: true },
    }),
    [],
  );
});

Deno.test("a strict project compiles the client to JavaScript and declarations, which type-check alone", async () => {
  await using project = await application();
  deepEqual(
    project.compile("main.ts", {
      ...{ ...ES2022, ...NODENEXT, outDir: `${project.folder}/built` },
      rewriteRelativeImportExtensions: true,
    }),
    [],
  );
  await project.write("user.ts", useOf("./built/rollcall/client.js"));
  const options = { ...ES2022, ...NODENEXT, noEmit: true };
  deepEqual(project.compile("user.ts", options), []);
});

Deno.test("the client accepts the URL and AbortSignal of a project with the types of browsers", async () => {
  await using project = await makeApplication();
  const more = `
connect(new URL("wss://presence.example/ws"), {
  token: "a.b.c",
  signal: new AbortController().signal,
});`;
  await project.write("main.ts", useOf(SOURCE, more));
  const lib = ["lib.es2022.d.ts", "lib.dom.d.ts"];
  const options = { ...ES2022, ...BUNDLER, lib };
  deepEqual(project.compile("main.ts", options), []);
});

/** Compiles the client for ECMAScript 2022 and for the newest version, and returns both. */
async function compiled(project: Application): Promise<string[][]> {
  const outputs: string[][] = [];
  for (const target of [ts.ScriptTarget.ES2022, ts.ScriptTarget.ESNext]) {
    const outDir = `${project.folder}/${ts.ScriptTarget[target]}`;
    const options = { ...ES2022, ...NODENEXT, target, outDir };
    const faults = project.compile("main.ts", {
      ...{ ...options, rewriteRelativeImportExtensions: true },
    });
    const texts: string[] = [...faults];
    for (const folder of ["rollcall", "rollcall/protocol"]) {
      for await (const { name } of Deno.readDir(`${outDir}/${folder}`)) {
        const file = `${outDir}/${folder}/${name}`;
        if (name.endsWith(".js")) texts.push(await Deno.readTextFile(file));
      }
    }
    outputs.push(texts);
  }
  return outputs;
}

Deno.test("the client has no syntax that is newer than ECMAScript 2022", async () => {
  await using project = await application();
  const [old, newest] = await compiled(project);
  ok(old !== undefined && old.length > 5);
  deepEqual(old, newest);
});

for (
  const [code, complaint] of [
    ['export const a: boolean = "".isWellFormed();', /isWellFormed/],
    ["export const a: object = new URL('a:b');", /Cannot find name 'URL'/],
    ["await Promise.resolve();", /Top-level 'await'/],
    ["export const a: RegExp = /[a--b]/v;", /flag is only available/],
  ] as const
) {
  Deno.test(`the check of the client finds ${code}`, async () => {
    await using project = await application();
    await project.write("rollcall/newer.ts", `${code}\nexport {};`);
    const faults = project.compile("rollcall/newer.ts", {
      ...{ ...ES2022, ...BUNDLER },
    });
    match(faults.join("\n"), complaint);
  });
}

Deno.test("the check of the client finds syntax that is newer than ECMAScript 2022", async () => {
  await using project = await application();
  const file = "rollcall/throttle.ts";
  const path = `${project.folder}/${file}`;
  const text = await Deno.readTextFile(path);
  await project.write(
    file,
    `${text}\nexport function f(g: Disposable): void {\n  using _h = g;\n}`,
  );
  const [old, newest] = await compiled(project);
  ok(JSON.stringify(old) !== JSON.stringify(newest));
});

type Versions = readonly [
  chrome: number,
  edge: number,
  firefox: number,
  safari: number,
];

/** The newest part of it in Safari and Chrome are static blocks, in Firefox too. */
const ES2022_SINCE: Versions = [94, 94, 93, 16.4];

/**
 * Since when browsers have what `platform.ts` declares. From MDN's browser-compat-data 8.1.9, the
 * later one of Safari on macOS and iOS. `undefined`: the library does without it where it is absent.
 */
const SINCE: Readonly<Record<string, Versions | undefined>> = {
  "Platform.WebSocket": [5, 12, 11, 5],
  "Platform.URL": [32, 13, 26, 14.5],
  "Platform.performance": [6, 12, 7, 8],
  "Platform.performance.now": [24, 12, 15, 8],
  "Platform.Date": [1, 12, 1, 1],
  "Platform.Date.now": [5, 12, 3, 4],
  "Platform.navigator": [2, 12, 1.5, 4],
  "Platform.navigator.onLine": [2, 12, 1.5, 4],
  "Platform.navigator.userAgent": [1, 12, 1, 1],
  "Platform.location": [1, 12, 1, 1],
  "Platform.location.href": [1, 12, 1, 1],
  "Platform.origin": [59, 18, 54, 11],
  "Platform.document": [1, 12, 1, 1],
  "Platform.setTimeout": [1, 12, 1, 1],
  "Platform.clearTimeout": [1, 12, 1, 4],
  "Platform.queueMicrotask": [71, 79, 69, 12.2],
  "Platform.fetch": [42, 14, 39, 10.3],
  "Platform.fetch.mode": [42, 14, 39, 10.3],
  "Platform.fetch.cache": [64, 14, 48, 10.3],
  "Platform.fetch.status": [42, 14, 39, 10.3],
  "PlatformEvents.addEventListener": [1, 12, 1, 1],
  "PlatformEvents.removeEventListener": [1, 12, 1, 1],
  "PlatformPageEvent.persisted": [4, 12, 11, 5],
  "PlatformDocument.baseURI": [1, 12, 1, 4],
  "PlatformDocument.visibilityState": [33, 12, 18, 7],
  "PlatformUrl.href": [32, 13, 22, 10],
  "PlatformSocketConstructor.new": [5, 12, 11, 5],
  "PlatformSocket.readyState": [5, 12, 7, 5],
  "PlatformSocket.onopen": [5, 12, 7, 5],
  "PlatformSocket.onmessage": [5, 12, 7, 5],
  "PlatformSocket.onmessage.data": [5, 12, 7, 5],
  "PlatformSocket.onclose": [5, 12, 7, 5],
  "PlatformSocket.onclose.code": [15, 12, 8, 6],
  "PlatformSocket.onclose.reason": [15, 12, 8, 6],
  "PlatformSocket.onerror": [5, 12, 7, 5],
  "PlatformSocket.send": [5, 12, 18, 5],
  "PlatformSocket.close": [5, 12, 7, 5],
  "PlatformAbortSignal.aborted": [66, 16, 57, 11.3],
  "PlatformAbortSignal.addEventListener": [66, 16, 57, 11.3],
  "PlatformAbortSignal.removeEventListener": [66, 16, 57, 11.3],
};

Deno.test("docs/client.md states the oldest browsers with the Web APIs that the client uses", async () => {
  const members = await interfaceMembers("src/client/platform.ts");
  deepEqual(members.toSorted(), Object.keys(SINCE).toSorted());
  const needed = [ES2022_SINCE, ...Object.values(SINCE)].filter((versions) =>
    versions !== undefined
  );
  const [chrome, edge, firefox, safari] = [0, 1, 2, 3].map((browser) =>
    String(Math.max(...needed.map((versions) => versions[browser] ?? Infinity)))
  );
  const rows = tableRows(await readDocument("docs/client.md"), "Browsers");
  const stated = rows.slice(1).map(([browser, library]) => [browser, library]);
  deepEqual(stated, [
    ["Chrome", chrome],
    ["Edge", edge],
    ["Firefox", firefox],
    ["Safari, macOS and iOS", safari],
  ]);
});

Deno.test("the client reads Web APIs from platform.ts alone", async () => {
  for (const [path, text] of await sources("src/client")) {
    if (path === "src/client/platform.ts") continue;
    ok(!/\bglobalThis\b|\bself\.|\bwindow\./.test(text), path);
  }
});
