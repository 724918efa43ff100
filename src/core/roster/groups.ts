/**
 * Groups decide which users a user sees: those with whom it shares at least one.
 *
 * The presence of a user is the set of groups in which the user is visible. A user who is offline
 * is in no set. Without groups every user is in the one group `EVERYBODY`. With groups, a user
 * who is in none of the application's is in a group of its own, and so sees itself alone.
 *
 * Where groups come from is not known here.
 *
 * @module
 */
import type { UserId } from "../../client/protocol/user_id.ts";

/** A set of groups. Two sets are equal if their keys are. */
export interface Groups {
  /** Each once, in any order that is the same for equal sets. */
  readonly names: readonly string[];
  readonly key: string;
}

/** Of a user who is offline. */
export const NOBODY: Groups = { names: [], key: "" };

/** Without groups. No name of the application's begins with this character: Postgres cannot store it. */
export const EVERYBODY: Groups = { names: ["\0everybody"], key: "\0everybody" };

/**
 * The set of a user who is online.
 *
 * @param names Sorted, each once. `undefined`: without groups.
 */
export function groupsFor(
  userId: UserId,
  names: readonly string[] | undefined,
): Groups {
  if (names === undefined) return EVERYBODY;
  if (names.length > 0) return { names, key: JSON.stringify(names) };
  const own = `\0user ${userId}`;
  return { names: [own], key: own };
}

/** The groups that are in one of two sets, and not in the other: the symmetric difference. */
export function difference(one: Groups, other: Groups): readonly string[] {
  // Most users come online or go offline.
  if (one === NOBODY) return other.names;
  if (other === NOBODY) return one.names;
  return [
    ...one.names.filter((name) => !other.names.includes(name)),
    ...other.names.filter((name) => !one.names.includes(name)),
  ];
}

/** The groups of a user that are in both sets. */
export function intersection(
  userId: UserId,
  before: Groups,
  after: Groups,
): Groups {
  if (before.key === after.key) return after;
  const names = before.names.filter((name) => after.names.includes(name));
  return groupsFor(userId, names);
}
