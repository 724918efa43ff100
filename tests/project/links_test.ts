/** Links between documents lead somewhere, and the README is one page. */
import { deepEqual, ok } from "node:assert/strict";
import {
  anchorsOf,
  documentPaths,
  readDocument,
  relativeLinks,
} from "../support/documents.ts";
import { ROOT } from "../support/server.ts";

const README_LINES_MAX = 150;

/** What is wrong with a link in a document, or `undefined`. */
async function faultOf(
  path: string,
  link: string,
): Promise<string | undefined> {
  const [file = "", anchor] = link.split("#");
  const from = new URL(`file://${ROOT}${path}`);
  const target = file === "" ? from : new URL(file, from);
  if (!await Deno.stat(target).then(() => true, () => false)) {
    return `${path}: ${link}: no such file`;
  }
  if (anchor === undefined || !target.pathname.endsWith(".md")) {
    return undefined;
  }
  const anchors = anchorsOf(await Deno.readTextFile(target));
  return anchors.includes(anchor)
    ? undefined
    : `${path}: ${link}: no such heading`;
}

Deno.test("no relative link in a document is broken", async () => {
  const faults: string[] = [];
  let links = 0;
  for (const path of [...await documentPaths(), "llms.txt"]) {
    for (const link of relativeLinks(await readDocument(path))) {
      links += 1;
      const fault = await faultOf(path, link);
      if (fault !== undefined) faults.push(fault);
    }
  }
  ok(links > 50, `only ${links} links were found`);
  deepEqual(faults, []);
});

Deno.test(`README.md has at most ${README_LINES_MAX} lines`, async () => {
  const lines = (await readDocument("README.md")).trimEnd().split("\n").length;
  ok(lines <= README_LINES_MAX, `README.md has ${lines} lines`);
});

Deno.test("README.md leads to every document, and examples/README.md to those of the examples", async () => {
  const reached = new Set(["README.md"]);
  for (const folder of ["", "examples/"]) {
    for (
      const link of relativeLinks(await readDocument(`${folder}README.md`))
    ) {
      reached.add(`${folder}${link.split("#")[0]}`);
    }
  }
  const paths = await documentPaths();
  deepEqual(paths.filter((path) => !reached.has(path)), []);
});
