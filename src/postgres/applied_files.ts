/**
 * Compares the files of `migrations/` with what the database says was applied.
 *
 * @module
 */
import type pg from "pg";
import { StartError } from "../base/start_error.ts";
import type { MigrationFile } from "./migration_files.ts";
import { adviceToStartOver } from "./pre_release.ts";

/** What the database says about a file that was applied. */
export interface Applied {
  readonly sha256: string;
  readonly isBreaking: boolean;
}

/** The files that were applied, by name. */
export async function readApplied(
  client: pg.Client,
): Promise<Map<string, Applied>> {
  const { rows } = await client.query(
    "select name, sha256, breaking from rollcall_internal.migrations",
  );
  return new Map(rows.map(({ name, sha256, breaking }) => [
    name,
    { sha256, isBreaking: breaking },
  ]));
}

/** @throws {StartError} when the text of a numbered file is not what was applied. */
export function refuseEdited(
  numbered: readonly MigrationFile[],
  applied: ReadonlyMap<string, Applied>,
): void {
  const edited = numbered.find(({ name, sha256 }) =>
    (applied.get(name)?.sha256 ?? sha256) !== sha256
  );
  if (edited === undefined) return;
  throw new StartError(
    `Cannot migrate: migrations/${edited.name} was edited after it was applied; restore it and put the change into a new file. If a pre-release of Rollcall made this database, the file was not final. ${adviceToStartOver()}`,
  );
}

/**
 * Whether a newer server has migrated the database.
 *
 * @throws {StartError} when one of its migrations is breaking.
 */
export function isNewer(
  applied: ReadonlyMap<string, Applied>,
  numbered: readonly MigrationFile[],
): boolean {
  const known = new Set(numbered.map(({ name }) => name));
  const unknown = [...applied].filter(([name]) =>
    !name.startsWith("functions/") && !known.has(name)
  );
  const breaking = unknown.find(([, { isBreaking }]) => isBreaking);
  if (breaking === undefined) return unknown.length > 0;
  throw new StartError(
    `Cannot migrate: the database has ${
      breaking[0]
    }, which is not in migrations/ and which servers without it cannot work with; expected a server of the same or a newer version`,
  );
}
