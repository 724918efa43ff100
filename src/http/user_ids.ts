/**
 * Lists of user ids in a query string.
 *
 * @module
 */
import { parseUserId, type UserId } from "../protocol/user_id.ts";

/** Reads ids that are separated by commas. `undefined`: one of them is no id, or there are more than `max`. */
export function readUserIds(
  list: string,
  max: number,
): ReadonlySet<UserId> | undefined {
  const names = list === "" ? [] : list.split(",", max + 1);
  if (names.length > max) return undefined;
  const userIds = names.map(parseUserId);
  return userIds.every((userId) => userId !== undefined)
    ? new Set(userIds)
    : undefined;
}
