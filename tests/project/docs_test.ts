/** The documentation says what the code does. */
import { deepEqual, equal, ok } from "node:assert/strict";
import { DEFAULTS } from "../../src/config/environment.ts";
import { CLOSE } from "../../src/protocol/close.ts";
import { ROOT } from "../support/server.ts";

/** Every `limits.ts` below `src/`, by its path. */
const limitFiles: string[] = [];
for await (const path of limitsBelow(`${ROOT}src`)) limitFiles.push(path);

/** Every limit of the server by its name. */
const limits: Record<string, unknown> = {};
for (const path of limitFiles) {
  Object.assign(limits, await import(`file://${path}`));
}

const readme = await Deno.readTextFile(`${ROOT}README.md`);

/** The cells of every table row, without the marks of code. */
const rows = readme.split("\n")
  .filter((line) => line.startsWith("| "))
  .map((line) =>
    line.split("|").slice(1, -1).map((cell) => cell.replaceAll("`", "").trim())
  );

function rowOf(name: string): string[] {
  const row = rows.find(([first]) => first === name);
  ok(row !== undefined, `README.md has no row for ${name}`);
  return row;
}

Deno.test("README: every environment variable has a row with its default", () => {
  for (const [name, value] of Object.entries(DEFAULTS)) {
    if (name === "PGHOST" || name === "PGDATABASE") {
      ok(rowOf("DATABASE_URL").join().includes(name));
    } else if (value !== undefined) {
      equal(rowOf(name)[1], String(value), `default of ${name}`);
    } else {
      rowOf(name);
    }
  }
});

Deno.test("README: the table of variables has no row for one that is not read", () => {
  const documented = rows.map(([name]) => name ?? "").filter((name) =>
    /^[A-Z]+(_[A-Z]+)*$/.test(name)
  );
  const known = [...Object.keys(DEFAULTS), ...Object.keys(limits)];
  deepEqual(documented.filter((name) => !known.includes(name)), []);
});

Deno.test("README: the table of close codes is the code's", () => {
  for (const { code, meaning, reconnect } of Object.values(CLOSE)) {
    deepEqual(rowOf(String(code)).slice(1), [meaning, reconnect]);
  }
  const documented =
    rows.filter(([code]) => /^[14]\d{3}$/.test(code ?? "")).length;
  equal(documented, Object.keys(CLOSE).length);
});

Deno.test("README: every limit in the table has its value", () => {
  const listed = Object.entries(limits).filter(([name]) =>
    rows.some(([first]) => first === name)
  );
  ok(listed.length >= 10);
  for (const [name, value] of listed) {
    equal(rowOf(name)[1], String(value), name);
  }
});

Deno.test("[L1] every limit has its reason beside it", async () => {
  const texts = await Promise.all(
    limitFiles.map((path) => Deno.readTextFile(path)),
  );
  const lines = texts.join("\n").split("\n");
  for (const name of Object.keys(limits)) {
    const index = lines.findIndex((line) =>
      line.startsWith(`export const ${name} `)
    );
    const above = lines[index - 1] ?? "";
    ok(
      above.endsWith("*/") || above.startsWith("export const"),
      `${name} has no comment`,
    );
  }
});

Deno.test("README: every HTTP error code is in the table", async () => {
  const codes = new Set<string>();
  for await (const source of sources(`${ROOT}src`)) {
    for (const [, code] of source.matchAll(/[45]\d\d,\s*"([a-z_]+)"/g)) {
      codes.add(code ?? "");
    }
  }
  ok(codes.size >= 10);
  for (const code of codes) {
    ok(readme.includes(`\`${code}\``), `README.md does not tell of ${code}`);
  }
});

Deno.test("src/README.md: every promise with a test is in the list, and the other way round", async () => {
  const promises = await Deno.readTextFile(`${ROOT}src/README.md`);
  const listed = new Set(
    [...promises.matchAll(/^\| ([A-Z]\d) \|/gm)].map(([, id]) => id),
  );
  const tested = new Set<string | undefined>();
  for await (const source of sources(`${ROOT}tests`)) {
    for (
      const [, id] of source.matchAll(/["`](?:\[[A-Z]\d\])*\[([A-Z]\d)\]/g)
    ) tested.add(id);
    for (const [, id] of source.matchAll(/["`]\[([A-Z]\d)\]/g)) tested.add(id);
  }
  deepEqual([...listed].sort(), [...tested].sort());
});

async function* sources(directory: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(directory)) {
    if (isDirectory) yield* sources(`${directory}/${name}`);
    else if (name.endsWith(".ts")) {
      yield await Deno.readTextFile(`${directory}/${name}`);
    }
  }
}

async function* limitsBelow(directory: string): AsyncGenerator<string> {
  for await (const { name, isDirectory } of Deno.readDir(directory)) {
    const path = `${directory}/${name}`;
    if (isDirectory) yield* limitsBelow(path);
    else if (name === "limits.ts") yield path;
  }
}
