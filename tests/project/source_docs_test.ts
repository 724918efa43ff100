/** The pages for readers of the source say how it is built. */
import { deepEqual, ok } from "node:assert/strict";
import {
  agree,
  readDocument,
  sources,
  tableRows,
} from "../support/documents.ts";
import { FLOORS } from "./imports_point_down.ts";

const source = await sources("src");
const tests = await sources("tests");

Deno.test("README.md: the numbers of lines of code are right to a tenth", async () => {
  const statements = await sources("migrations", ".sql");
  const count = (texts: ReadonlyMap<string, string>, comment: string) =>
    [...texts.values()]
      .flatMap((text) => text.replaceAll(/\/\*[\s\S]*?\*\//g, "").split("\n"))
      .filter((line) => line.trim() && !line.trim().startsWith(comment)).length;
  const claim =
    /About ([\d,]+)\s+lines\s+of\s+TypeScript\s+and\s+([\d,]+)\s+of\s+SQL/
      .exec(await readDocument("README.md")) ?? [];
  const lines = [count(source, "//"), count(statements, "--")];
  for (const [index, there] of lines.entries()) {
    const ratio = there / Number(claim[index + 1]?.replace(",", ""));
    ok(ratio > 0.9 && ratio < 1.1, `there are ${there}`);
  }
});

Deno.test("decisions.md: the tests that are named as evidence exist", async () => {
  const text = (await readDocument("docs/decisions.md")).replaceAll(/\s+/g, " ")
    .replaceAll("the simulation", "tests/simulation");
  let checked = 0;
  const claims = text.matchAll(
    /((?:\[[A-Z]\d\](?: and )?)+) in ((?:tests\/[\w/]+(?: and(?: in)? )?)+)/g,
  );
  for (const [, ids = "", folders = ""] of claims) {
    for (const [id] of ids.matchAll(/\[[A-Z]\d\]/g)) {
      for (const [folder] of folders.matchAll(/tests\/[\w/]+\w/g)) {
        checked += 1;
        const isTested = [...tests].some(([path, source]) =>
          path.startsWith(`${folder}/`) && source.includes(id)
        );
        ok(isTested, `no test of ${id} in ${folder}`);
      }
    }
  }
  ok(checked >= 25, `only ${checked} were found`);
});

Deno.test("src/README.md: the table of folders is the lint rule's", async () => {
  const rows = tableRows(await readDocument("src/README.md"), "Folders");
  const documented = rows.slice(1).map(([, text]) =>
    [...(text ?? "").matchAll(/(main\.ts|src\/[\w/]*)(?=:)/g)]
      .map(([, path = ""]) => path === "main.ts" ? "." : path.slice(0, -1))
      .sort()
  );
  deepEqual(
    documented,
    FLOORS.map((folders) => [...folders].sort()).toReversed(),
  );
});

Deno.test("src/README.md: every promise with a test is in the list, and the other way round", async () => {
  const rows = tableRows(await readDocument("src/README.md"), "Promises");
  const listed = new Set(rows.slice(1).map(([id = ""]) => id));
  const tested = new Set<string>();
  for (const text of tests.values()) {
    for (
      const [, id = ""] of text.matchAll(/["`](?:\[[A-Z]\d\])*\[([A-Z]\d)\]/g)
    ) tested.add(id);
    for (const [, id = ""] of text.matchAll(/["`]\[([A-Z]\d)\]/g)) {
      tested.add(id);
    }
  }
  agree([...listed], [...tested]);
});
