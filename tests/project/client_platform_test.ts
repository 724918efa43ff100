/** The client library in projects with a strict compiler, and in the oldest supported browsers. */
import { deepEqual, match, ok } from "node:assert/strict";
import { readDocument, sources, tableRows } from "../support/documents.ts";
import {
  BUNDLER,
  ES2022,
  interfaceMembers,
  makeApplication,
} from "../support/typescript.ts";

Deno.test("the client type-checks in a strict project without the types of browsers", async () => {
  await using project = await makeApplication();
  const options = { ...ES2022, ...BUNDLER };
  deepEqual(project.compile("rollcall/client.ts", options), []);
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
    await using project = await makeApplication();
    await project.write("rollcall/newer.ts", `${code}\nexport {};`);
    const faults = project.compile("rollcall/newer.ts", {
      ...{ ...ES2022, ...BUNDLER },
    });
    match(faults.join("\n"), complaint);
  });
}

type Versions = readonly [
  chrome: number,
  edge: number,
  firefox: number,
  safari: number,
];

/**
 * ECMAScript 2022 without static blocks, which Safari has since 16.4, and without lookbehind. A test of
 * the package holds it. The newest part of it are `Array.prototype.at` and `Object.hasOwn`.
 */
const LANGUAGE_SINCE: Versions = [93, 93, 92, 15.4];

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
  const needed = [LANGUAGE_SINCE, ...Object.values(SINCE)].filter((versions) =>
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
  const oldest =
    `Chrome ${chrome}, Edge ${edge}, Firefox ${firefox}, Safari ${safari}`;
  ok((await readDocument("src/client/README.md")).includes(oldest), oldest);
});

Deno.test("the client reads Web APIs from platform.ts alone", async () => {
  for (const [path, text] of await sources("src/client")) {
    if (path === "src/client/platform.ts") continue;
    ok(!/\bglobalThis\b|\bself\.|\bwindow\./.test(text), path);
  }
});
