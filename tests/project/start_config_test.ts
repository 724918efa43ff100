/** `deno.start.json` has what the server needs, and not what only tests need, of `deno.json`. */
import { deepEqual, equal, ok } from "node:assert/strict";
import start from "../../deno.start.json" with { type: "json" };
import project from "../../deno.json" with { type: "json" };
import { readDocument, sources } from "../support/documents.ts";

const packages: Record<string, string> = project.imports;

async function integrities(lock: string): Promise<Map<string, string>> {
  const { npm } = JSON.parse(await readDocument(lock));
  return new Map(
    Object.entries<{ integrity: string }>(npm)
      .map(([name, { integrity }]) => [name, integrity]),
  );
}

Deno.test("deno.start.json has the packages that the server imports, in the versions of deno.json", async () => {
  const source = [...(await sources("src")).values()].join("\n");
  for (const [name, version] of Object.entries(start.imports)) {
    equal(version, packages[name]);
    ok(source.includes(`"${name}"`), `the server does not import ${name}`);
  }
  deepEqual(start.unstable, project.unstable);
  deepEqual(start.allowScripts, project.allowScripts);
});

Deno.test("deno.start.lock pins what deno.lock pins, without packages that only tests need", async () => {
  const pinned = await integrities("deno.start.lock");
  const all = await integrities("deno.lock");
  ok(pinned.size > 30 && pinned.size < all.size);
  for (const [name, integrity] of pinned) equal(integrity, all.get(name), name);
  const names = [...pinned.keys()].join("\n");
  const { workspace } = JSON.parse(await readDocument("deno.start.lock"));
  deepEqual(Object.keys(workspace), ["dependencies"]);
  const unwanted = Object.entries(packages)
    .filter(([name]) => !(name in start.imports))
    .map(([, specifier]) => specifier.slice("npm:".length))
    .filter((specifier) => names.includes(specifier));
  deepEqual(unwanted, []);
});
