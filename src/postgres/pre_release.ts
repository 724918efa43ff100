/**
 * Finds databases that a pre-release of Rollcall made, and says how to start over.
 *
 * The migrations were squashed for the first release, so such a database cannot be upgraded.
 *
 * @module
 */
import type pg from "pg";
import { StartError } from "../base/start_error.ts";
import { DATA_DIRECTORY } from "../embedded/data_directory.ts";

/** Numbered migrations of pre-releases. No release uses one of these names again. */
const PRE_RELEASE_MIGRATIONS: ReadonlySet<string> = new Set([
  "0001_users.sql",
  "0002_presence.sql",
  "0003_decisions.sql",
  "0004_one_row_harms_no_other.sql",
  "0005_orders.sql",
  "0006_cost_of_a_write.sql",
  "0007_provisioning.sql",
  "0008_lost_transitions.sql",
  "0009_rename_before_insert.sql",
  "0010_first_to_come.sql",
  "0011_compile_no_plan.sql",
  "0001_users_table.sql",
  "0002_presence_tables.sql",
]);

/**
 * Schemas that pre-releases made: `rollcall_internal` with a table of migrations, but without the
 * table `settings` or the column `breaking`, and before that a schema `rollcall`. Read from the
 * catalog, because the role may have no rights in them.
 */
const FIND_SCHEMA = `
  select n.nspname as schema
    from pg_namespace n
    join pg_class migrations on migrations.relnamespace = n.oid and migrations.relname = 'migrations'
   where n.nspname = 'rollcall_internal'
     and not (
       exists (select from pg_attribute a where a.attrelid = migrations.oid and a.attname = 'breaking')
       and exists (select from pg_class s where s.relnamespace = n.oid and s.relname = 'settings')
     )
      or n.nspname = 'rollcall'
     and exists (select from pg_class claims where claims.relnamespace = n.oid and claims.relname = 'claims')
   limit 1`;

/** What to do about a database that a pre-release made, in whole sentences. */
export function adviceToStartOver(schema = "rollcall_internal"): string {
  return [
    `To start over, stop all Rollcall servers, run "drop schema ${schema} cascade" in this database, and start again.`,
    `This also drops Rollcall's triggers on users, the view online_users, and all revocations; the table users stays.`,
    `If it is the embedded database, delete the folder ${DATA_DIRECTORY}/postgres instead; this deletes all users too.`,
  ].join(" ");
}

/** @throws {StartError} when a pre-release made one of Rollcall's schemas in this database. */
export async function refusePreReleaseSchema(client: pg.Client): Promise<void> {
  const { rows: [found] } = await client.query<{ schema: string }>(FIND_SCHEMA);
  if (found !== undefined) {
    throw new StartError(
      `Cannot use the schema ${found.schema}: a pre-release of Rollcall made it, and it cannot be upgraded. ${
        adviceToStartOver(found.schema)
      }`,
    );
  }
}

/** @throws {StartError} when a migration of a pre-release is among the applied ones. */
export function refusePreReleaseMigrations(applied: Iterable<string>): void {
  for (const name of applied) {
    if (!PRE_RELEASE_MIGRATIONS.has(name)) continue;
    throw new StartError(
      `Cannot use the schema rollcall_internal: a pre-release of Rollcall made it with ${name}, and it cannot be upgraded. ${adviceToStartOver()}`,
    );
  }
}
