/** The routes of the client library against what its files import. */
import { deepEqual, equal, match, ok } from "node:assert/strict";
import { dirname, join } from "node:path";
import { clientFiles } from "../../../src/http/client_files.ts";
import { ROOT } from "../../support/server.ts";

/** No file depends on it. */
const URL_OF_ALL = "http://node.example/";

const reads = new Map(clientFiles().map(({ path, read }) => [path, read]));

/** The scripts that `/client.js` needs, by path. */
async function scriptsFrom(start: string): Promise<Map<string, string>> {
  const scripts = new Map<string, string>();
  const paths = [start];
  for (const path of paths) {
    if (scripts.has(path)) continue;
    const read = reads.get(path);
    ok(read !== undefined, `no route serves ${path}`);
    const script = await (await read(new Request(URL_OF_ALL))).text();
    scripts.set(path, script);
    const code = script.replaceAll(/\/\*[^]*?\*\//g, "");
    for (const [, specifier = ""] of code.matchAll(/from "([^"]+)"/g)) {
      paths.push(join(dirname(path), specifier));
    }
  }
  return scripts;
}

Deno.test("the server serves each file that the client library imports, and no other", async () => {
  const scripts = await scriptsFrom("/client.js");
  deepEqual([...scripts.keys()].sort(), [...reads.keys()].sort());
});

Deno.test("a file of the client library that a browser has is not sent again, until it changes", async () => {
  const etags = new Set<string>();
  for (const [path, read] of reads) {
    const get = (headers: Record<string, string> = {}) =>
      read(new Request(URL_OF_ALL, { headers }));
    const first = await get();
    const etag = first.headers.get("etag") ?? "";
    match(etag, /^"[\w-]{16}"$/, path);
    etags.add(etag);
    const again = await get({ "if-none-match": `"other", ${etag}` });
    equal(again.status, 304, path);
    equal(await again.text(), "");
    for (
      const header of ["etag", "cache-control", "access-control-allow-origin"]
    ) {
      equal(again.headers.get(header), first.headers.get(header), header);
    }
    equal(first.headers.get("cache-control"), "no-cache");
    const changed = await get({ "if-none-match": '"other"' });
    equal(await changed.text(), await first.text());
  }
  equal(etags.size, reads.size, "each file has an ETag of its own");
});

Deno.test("the served files are JavaScript with the lines of their sources", async () => {
  const folder = await Deno.makeTempDir({ prefix: "rollcall-client-" });
  try {
    for (const [path, script] of await scriptsFrom("/client.js")) {
      await Deno.mkdir(`${folder}${dirname(path)}`, { recursive: true });
      await Deno.writeTextFile(`${folder}${path}`, script);
      if (path === "/client.js") continue;
      const file = `${ROOT}src${path.replace(/js$/, "ts")}`;
      const source = await Deno.readTextFile(file);
      equal(script.split("\n").length, source.split("\n").length, path);
    }
    const { connect } = await import(`file://${folder}/client.js`);
    equal(typeof connect, "function");
  } finally {
    await Deno.remove(folder, { recursive: true });
  }
});
