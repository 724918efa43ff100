/**
 * Whether a table of the application can be read as a whole: the same for users and for groups.
 *
 * @module
 */
import type pg from "pg";
import { messageOf } from "../base/message_of.ts";
import { StartError } from "../base/start_error.ts";
import type { Relation, Sought } from "./users_catalog.ts";
import { bypass } from "./users_rights.ts";

/** @throws {StartError} when row level security hides rows from this role. */
export function refuseHiddenRows(
  relation: Relation,
  { noun, variable }: Sought,
): void {
  const { table, role, hidesRows } = relation;
  if (!hidesRows) return;
  throw new StartError(
    `Cannot read ${noun} from ${table}: row level security hides rows from the role ${role}; run: ${
      bypass(relation)
    }; or set ${variable} to a view that the table's owner made`,
  );
}

/**
 * Reads no row, with all rights that reading one needs.
 *
 * @param columns Quoted as SQL needs them.
 * @throws {StartError} when the read fails.
 */
export async function tryToRead(
  client: pg.ClientBase,
  table: string,
  columns: readonly string[],
  { noun, variable }: Sought,
): Promise<void> {
  try {
    // Policies on a table behind a view hide rows too. Then the read fails instead.
    await client.query("set local row_security = off");
    await client.query(`select ${columns.join(", ")} from ${table} limit 0`);
  } catch (cause) {
    throw new StartError(
      `Cannot read ${noun} from ${table}: ${
        messageOf(cause)
      }; set ${variable} to a table or view that can be read as a whole`,
      { cause },
    );
  }
}
