/**
 * Which rights on the application's users table a role needs: to read ids and names, to write the
 * copy of the status, and to insert with `AUTO_PROVISION`. Never to own it.
 *
 * @module
 */
import type { Column, Relation } from "./users_catalog.ts";
import { quote, type UsersConfig, type UsersTable } from "./users_table.ts";

/** The statements that give a role everything that it needs, without a semicolon. */
export function neededGrants(
  relation: Relation,
  users: UsersTable,
  config: UsersConfig,
): string[] {
  return grants(relation, users, config, () => true);
}

/** Those of them that the current role lacks. */
export function missingGrants(
  relation: Relation,
  users: UsersTable,
  config: UsersConfig,
): string[] {
  return grants(relation, users, config, (isThere) => !isThere);
}

function grants(
  { table, role, schema, canUseSchema, columns }: Relation,
  { idColumn, nameColumn, canWriteName, statusColumn }: UsersTable,
  { autoProvision }: UsersConfig,
  isWanted: (isThere: boolean) => boolean,
): string[] {
  const to = quote(role);
  const found: string[] = [];
  const add = (
    right: "select" | "update" | "insert",
    names: (string | undefined)[],
    can: (column: Column) => boolean,
  ) => {
    const wanted = [...new Set(names)].filter((name) => name !== undefined);
    const isThere = wanted.every((name) => {
      const column = columns.get(name);
      return column !== undefined && can(column);
    });
    if (wanted.length === 0 || !isWanted(isThere)) return;
    const list = wanted.map(quote).join(", ");
    found.push(`grant ${right} (${list}) on ${table} to ${to}`);
  };
  if (isWanted(canUseSchema)) {
    found.push(`grant usage on schema ${quote(schema)} to ${to}`);
  }
  const isRead = [idColumn, nameColumn, statusColumn];
  add("select", isRead, ({ canSelect }) => canSelect);
  add("update", [statusColumn], ({ canUpdate }) => canUpdate);
  if (autoProvision) {
    const name = canWriteName ? nameColumn : undefined;
    add("insert", [idColumn, name], ({ canInsert }) => canInsert);
    add("update", [name], ({ canUpdate }) => canUpdate);
  }
  return found;
}
