/**
 * Migrations that were released do not change.
 *
 * A database records the hash of each file that was applied to it. A server whose numbered file
 * differs refuses to start. A server whose functions differ applies its own, unless the database
 * has a numbered file that the server lacks. So two rules hold from the first release on:
 * - a numbered file of a release stays as it is in all later releases;
 * - a release that changes functions has a numbered file that its predecessor lacks. It keeps older
 *   servers from putting their functions back.
 *
 * A new version in `deno.json` makes this test fail, unless `CHANGELOG.md` says that it is not
 * released yet. The message has the entry to add to `RELEASES` below.
 */
import { deepEqual, equal } from "node:assert/strict";
import project from "../../deno.json" with { type: "json" };
import {
  type MigrationFile,
  readMigrationFiles,
} from "../../src/postgres/migration_files.ts";
import { readDocument } from "../support/documents.ts";

/** The SHA-256 of each file in `migrations/`, by its name. */
type Hashes = Readonly<Record<string, string>>;

/** What was released, by version, oldest first. */
const RELEASES: readonly (readonly [version: string, Hashes])[] = [];

/** Whether the changelog says of a version that it is not released. */
async function isUnreleased(version: string): Promise<boolean> {
  const changelog = await readDocument("CHANGELOG.md");
  return changelog.includes(`\n## ${version}, not released yet\n`);
}

function hashesOf(files: readonly MigrationFile[]): Hashes {
  return Object.fromEntries(files.map(({ name, sha256 }) => [name, sha256]));
}

function isFunctions(name: string): boolean {
  return name.startsWith("functions/");
}

/** What breaks a rule between one release and what comes later. */
function faultsOf(released: Hashes, current: Hashes): string[] {
  const changed = Object.keys(released).filter((name) =>
    current[name] !== released[name]
  );
  const faults = changed.filter((name) => !isFunctions(name)).map((name) =>
    `migrations/${name} was released and has changed since`
  );
  const hasNewNumbered = Object.keys(current).some((name) =>
    !isFunctions(name) && !(name in released)
  );
  if (changed.some(isFunctions) && !hasNewNumbered) {
    faults.push(
      "functions have changed since the last release: expected a new numbered file",
    );
  }
  return faults;
}

Deno.test("migrations that were released have not changed", async () => {
  const { numbered, functions } = await readMigrationFiles();
  const current = hashesOf([...numbered, ...functions]);
  for (const [version, released] of RELEASES) {
    deepEqual(faultsOf(released, current), [], `since ${version}`);
  }
  const isListed = RELEASES.some(([version]) => version === project.version);
  if (isListed || await isUnreleased(project.version)) return;
  const entry = JSON.stringify([project.version, current], null, 2);
  throw new Error(`Add version ${project.version} to RELEASES:\n${entry},`);
});

Deno.test("a released migration may not change, and changed functions need a numbered file", () => {
  const released = { "0001_one.sql": "a", "functions/f.sql": "f" };
  deepEqual(faultsOf(released, released), []);
  deepEqual(faultsOf(released, { ...released, "0002_two.sql": "b" }), []);
  deepEqual(faultsOf(released, { ...released, "0001_one.sql": "A" }), [
    "migrations/0001_one.sql was released and has changed since",
  ]);
  deepEqual(faultsOf(released, { "functions/f.sql": "f" }), [
    "migrations/0001_one.sql was released and has changed since",
  ]);
  const changed = { ...released, "functions/f.sql": "F" };
  equal(faultsOf(released, changed).length, 1);
  deepEqual(faultsOf(released, { ...changed, "0002_two.sql": "b" }), []);
});
