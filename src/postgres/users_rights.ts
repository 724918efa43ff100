/**
 * Which rights on the application's users table a role needs: to read ids and names, to write the
 * copy of the status, and to insert with `AUTO_PROVISION`. Never to own it.
 *
 * @module
 */
import type { Column, Relation } from "./users_catalog.ts";
import type { UsersConfig, UsersTable } from "./users_table.ts";

/** The statements that give a role everything that it needs, without a semicolon. */
export function neededGrants(
  relation: Relation,
  users: UsersTable,
  config: UsersConfig,
): string[] {
  const needed = grants(relation, users, config, () => true);
  if (relation.hasRowSecurity) needed.push(bypass(relation));
  return needed;
}

/** What lets a role see all rows in spite of row level security. Not a grant: only some may run it. */
export function bypass({ role }: Relation): string {
  return `alter role ${role} bypassrls`;
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
    const list = wanted.map((name) => columns.get(name)?.quoted).join(", ");
    found.push(`grant ${right} (${list}) on ${table} to ${role}`);
  };
  if (isWanted(canUseSchema)) {
    found.push(`grant usage on schema ${schema} to ${role}`);
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
