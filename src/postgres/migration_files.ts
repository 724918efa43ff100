/**
 * The files of `migrations/`, read from disk. What is applied, and when, is `migrate.ts`'s.
 *
 * @module
 */
import { createHash } from "node:crypto";

export const MIGRATIONS_DIRECTORY = new URL(
  "../../migrations/",
  import.meta.url,
);

export interface MigrationFile {
  /** Relative to the directory: `0001_name.sql` or `functions/name.sql`. */
  readonly name: string;
  readonly sql: string;
  /** Of the file's text, in hexadecimal. */
  readonly sha256: string;
  /** Whether servers that lack this file must not run on a database that has it. */
  readonly isBreaking: boolean;
}

/**
 * The text of a file with the values of placeholders such as `:USERS` in it. A name that is no
 * placeholder stays as it is.
 */
export function fill(
  sql: string,
  values: Readonly<Record<string, string>>,
): string {
  return sql.replace(
    /(?<!:):([A-Z_]+)\b/g,
    (text, name: string) => values[name] ?? text,
  );
}

/** A file of functions with its placeholders filled. Its hash is that of the filled text. */
export function fillFile(
  file: MigrationFile,
  values: Readonly<Record<string, string>>,
): MigrationFile {
  const sql = fill(file.sql, values);
  return { ...file, sql, sha256: hash(sql) };
}

/** Both lists are in the order of their names, in which they are applied. */
export interface MigrationFiles {
  /** Tables, changed step by step. Each file is applied once. */
  readonly numbered: readonly MigrationFile[];
  /** Functions and views. Each file is applied again when its text changes. */
  readonly functions: readonly MigrationFile[];
}

/** Reads all migrations. Files whose names do not fit are ignored. */
export async function readMigrationFiles(
  directory = MIGRATIONS_DIRECTORY,
): Promise<MigrationFiles> {
  return {
    numbered: await readFolder(directory, "", /^\d{4}_\w+\.sql$/),
    functions: await readFolder(directory, "functions/", /^\w+\.sql$/),
  };
}

async function readFolder(
  directory: URL,
  folder: "" | "functions/",
  pattern: RegExp,
): Promise<MigrationFile[]> {
  const path = new URL(`./${folder}`, directory);
  const files: MigrationFile[] = [];
  try {
    for await (const { name } of Deno.readDir(path)) {
      if (!pattern.test(name)) continue;
      const sql = await Deno.readTextFile(new URL(name, path));
      files.push({
        name: folder + name,
        sql,
        sha256: hash(sql),
        isBreaking: /^-- breaking\b/.test(sql),
      });
    }
  } catch (err) {
    if (!(err instanceof Deno.errors.NotFound)) throw err;
  }
  return files.sort((a, b) => a.name < b.name ? -1 : 1);
}

function hash(sql: string): string {
  return createHash("sha256").update(sql).digest("hex");
}
