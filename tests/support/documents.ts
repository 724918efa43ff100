/**
 * The project's Markdown files, and what tests read from them: links, tables and code.
 *
 * @module
 */
import { deepEqual, ok } from "node:assert/strict";
import { ROOT } from "./server.ts";

/** Folders that hold no documents of the project. */
const NOT_OURS = ["node_modules", ".git", ".data"];

/** Forms that the hosting site fills in: nobody reads them as documents. */
const FORMS = /^\.github\/(ISSUE_TEMPLATE\/|pull_request_template)/;

/** Paths of all Markdown files, relative to the project. */
export async function documentPaths(below = ""): Promise<string[]> {
  const paths: string[] = [];
  for await (const { name, isDirectory } of Deno.readDir(`${ROOT}${below}`)) {
    if (NOT_OURS.includes(name)) continue;
    const path = `${below}${name}`;
    if (isDirectory) paths.push(...await documentPaths(`${path}/`));
    else if (name.endsWith(".md") && !FORMS.test(path)) paths.push(path);
  }
  return paths.sort();
}

/** The text of a file of the project. */
export async function readDocument(path: string): Promise<string> {
  return await Deno.readTextFile(`${ROOT}${path}`);
}

/** The text without fenced code. */
export function proseOf(text: string): string {
  return text.replaceAll(/^```[\s\S]*?^```$/gm, "");
}

/** The cells of every table row below a heading, without the marks of code; of all rows without one. */
export function tableRows(text: string, heading?: string): string[][] {
  return sectionOf(text, heading).split("\n")
    .filter((line) => line.startsWith("| "))
    .map((line) =>
      line.split("|").slice(1, -1).map((cell) =>
        cell.replaceAll("`", "").trim()
      )
    )
    .filter(([first]) => !/^-+$/.test(first ?? ""));
}

/** The text from a heading to the next one of the same level or above. */
export function sectionOf(text: string, heading?: string): string {
  if (heading === undefined) return text;
  const lines = text.split("\n");
  const start = lines.findIndex((line) =>
    line.replace(/^#+ /, "") === heading && line.startsWith("#")
  );
  if (start < 0) throw new Error(`There is no heading "${heading}"`);
  const level = /^#+/.exec(lines[start] ?? "")?.[0].length ?? 1;
  const rest = lines.slice(start + 1);
  const end = rest.findIndex((line) =>
    (/^(#+) /.exec(line)?.[1]?.length ?? Infinity) <= level
  );
  return rest.slice(0, end < 0 ? undefined : end).join("\n");
}

/** The code of every fenced block of a language. */
export function codeBlocks(text: string, language: string): string[] {
  const pattern = new RegExp(`^\`\`\`${language}\\n([\\s\\S]*?)^\`\`\`$`, "gm");
  return [...text.matchAll(pattern)].map(([, code]) => code ?? "");
}

/** The anchors of a document's headings, as GitHub makes them. */
export function anchorsOf(text: string): string[] {
  const headings = proseOf(text).matchAll(/^#+ (.*)$/gm);
  return [...headings].map(([, title]) =>
    (title ?? "").toLowerCase().replaceAll(/[^\w\- ]/g, "").replaceAll(" ", "-")
  );
}

/** The targets of all links and images that are not on the web. */
export function relativeLinks(text: string): string[] {
  const links = proseOf(text).matchAll(/\]\(([^)\s]+)\)/g);
  return [...links].map(([, target]) => target ?? "")
    .filter((target) => !/^[a-z]+:/.test(target));
}

/** The text of every file below a folder of the project with this ending, by its path. */
export async function sources(
  below: string,
  ending = ".ts",
): Promise<Map<string, string>> {
  const texts = new Map<string, string>();
  for await (const { name, isDirectory } of Deno.readDir(`${ROOT}${below}`)) {
    const path = `${below}/${name}`;
    if (isDirectory) {
      for (const [inner, text] of await sources(path, ending)) {
        texts.set(inner, text);
      }
    } else if (name.endsWith(ending)) {
      texts.set(path, await readDocument(path));
    }
  }
  return texts;
}

/** The row of a table that starts with a name. */
export function rowOf(rows: readonly string[][], name: string): string[] {
  const row = rows.find(([first]) => first === name);
  ok(row !== undefined, `there is no row for ${name}`);
  return row;
}

/** Both hold the same texts. Names those that only one of them has. */
export function agree(
  documented: readonly string[],
  inCode: readonly string[],
): void {
  const missing = inCode.filter((text) => !documented.includes(text));
  const unknown = documented.filter((text) => !inCode.includes(text));
  deepEqual({ missing, unknown }, { missing: [], unknown: [] });
}
