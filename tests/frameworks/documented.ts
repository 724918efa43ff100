/**
 * What docs/database.md says for each framework: the variables to set and the statements that give
 * a role its rights. The tests run these very lines.
 *
 * @module
 */
import { equal, ok } from "node:assert/strict";
import { codeBlocks, readDocument, sectionOf } from "../support/documents.ts";

const text = await readDocument("docs/database.md");

export interface Documented {
  /** As in the document: a URL of an issuer is not one that a test can reach. */
  readonly env: Readonly<Record<string, string>>;
  /** Statements for the role `rollcall` in the database `app`, without the semicolon. */
  readonly statements: readonly string[];
}

/** The lines below a heading: one block of variables, and at most one of SQL. */
export function documented(heading: string): Documented {
  const section = sectionOf(text, heading);
  const [variables, ...moreVariables] = codeBlocks(section, "sh");
  const [sql = "", ...moreSql] = codeBlocks(section, "sql");
  ok(variables !== undefined, `${heading} has no variables`);
  equal(moreVariables.length + moreSql.length, 0, `${heading}: one block each`);
  return { env: readVariables(variables), statements: readStatements(sql) };
}

/** The statements of a block of SQL below a heading. */
export function statementsIn(heading: string, block = 0): string[] {
  const sql = codeBlocks(sectionOf(text, heading), "sql")[block];
  ok(sql !== undefined, `${heading} has no block ${block} of SQL`);
  return readStatements(sql);
}

/** The headings below "Frameworks". */
export function documentedFrameworks(): string[] {
  return [...sectionOf(text, "Frameworks").matchAll(/^### (.*)$/gm)]
    .map(([, title]) => title ?? "");
}

/** `NAME=value`, with an optional comment behind it. */
function readVariables(block: string): Record<string, string> {
  const lines = block.split("\n").filter((line) => line.trim() !== "");
  return Object.fromEntries(lines.map((line) => {
    const [, name, quoted, plain] =
      /^([A-Z_]+)=(?:'([^']*)'|([^\s'"]+))(?:\s+#.*)?$/.exec(line) ?? [];
    ok(name !== undefined, `not a line of a shell: ${line}`);
    return [name, quoted ?? plain ?? ""];
  }));
}

function readStatements(sql: string): string[] {
  return sql.replaceAll(/--.*$/gm, "").split(";")
    .map((statement) => statement.trim().replaceAll(/\s+/g, " "))
    .filter((statement) => statement !== "");
}
